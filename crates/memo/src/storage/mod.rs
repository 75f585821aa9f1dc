//! The object storage: presigned URLs, and the few questions this service asks it itself.
//!
//! Signing needs no network and no waiting. A URL is bound to its object and method, an upload's URL to type, size and
//! (where one was declared) SHA-256 as well, and each ends after [`URL_LIFE`]. URLs are secrets: they are never logged
//! and never stored.

mod disposition;
mod listing;
mod objects;
mod parts;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use chassis::{
    clock::Clock,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use domain::memo::attachment::{AttachmentKind, Declared};
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, Response, header};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use secrecy::ExposeSecret;
use url::Url;

use self::disposition::content_disposition;
pub use self::{
    listing::Listed,
    objects::{Copied, Stored},
    parts::{PART_BYTES, Parts},
};
use crate::config::S3Config;

/// Life of a URL that a person's app gets: long enough for 100 MB over a slow network, which must only have begun.
pub const URL_LIFE: Duration = Duration::from_mins(15);
/// Media type of small pictures.
pub const THUMBNAIL_TYPE: &str = "image/jpeg";
/// Life of a URL that this service uses itself, at once.
const OWN_URL_LIFE: Duration = Duration::from_mins(1);
/// Longest for a few MB to be written, or for parts to be joined.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The header of a SHA-256 that the storage checks, base64.
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// A URL that ends.
// No `Debug`: whoever has it may use it.
#[derive(Clone)]
pub struct Presigned {
    /// Where; whoever has it may use it.
    pub url: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Permission to upload one file.
#[derive(Clone)]
pub struct UploadPermit {
    /// Where to `PUT` the bytes.
    pub presigned: Presigned,
    /// What to send along, exactly; the storage refuses anything else.
    pub headers: BTreeMap<&'static str, String>,
}

/// The bucket of all files.
pub struct ObjectStorage {
    /// As this service reaches it.
    inside: Bucket,
    /// As people's apps reach it.
    outside: Bucket,
    credentials: Credentials,
    http: reqwest::Client,
    clock: Clock,
    /// The machine's own: what this service asks itself is judged by the storage's clock, whatever time it is here.
    machine: Clock,
}

impl ObjectStorage {
    /// Describes the bucket; connects to nothing yet.
    ///
    /// # Errors
    /// Returns a problem when an endpoint is none.
    pub fn new(config: &S3Config, clock: Clock) -> Outcome<Self> {
        let bucket = |endpoint: &Url| {
            Bucket::new(endpoint.clone(), UrlStyle::Path, config.s3_bucket.clone(), config.s3_region.clone())
                .map_err(Problem::unexpected)
        };
        Ok(Self {
            inside: bucket(&config.s3_endpoint)?,
            outside: bucket(config.public_endpoint())?,
            credentials: Credentials::new(&config.s3_access_key, config.s3_secret_key.expose_secret()),
            http: chassis::client::http_client().map_err(Problem::unexpected)?,
            clock,
            machine: Clock::system(),
        })
    }

    /// Permits one upload to `key` of exactly what was declared.
    pub fn permit_upload(&self, key: &str, declared: &Declared) -> UploadPermit {
        let mut headers = BTreeMap::from([
            (header::CONTENT_LENGTH.as_str(), declared.size.to_string()),
            (header::CONTENT_TYPE.as_str(), declared.content_type.clone()),
        ]);
        if let Some(sha256) = &declared.sha256 {
            headers.insert(CHECKSUM, STANDARD.encode(sha256));
        }
        let mut put = self.outside.put_object(Some(&self.credentials), key);
        for (&name, value) in &headers {
            put.headers_mut().insert(name, value.clone());
        }
        let presigned = presign(&self.clock, &put, URL_LIFE);
        UploadPermit { presigned, headers }
    }

    /// Permits to look at the small picture under `key`.
    pub fn permit_thumbnail(&self, key: &str) -> Presigned {
        self.permit_download(key, AttachmentKind::Image, THUMBNAIL_TYPE, "thumbnail.jpg")
    }

    /// Permits to download `key`, under its name; only images and audio are shown where they are opened.
    pub fn permit_download(&self, key: &str, kind: AttachmentKind, content_type: &str, filename: &str) -> Presigned {
        let (disposition, content_type) = match kind {
            AttachmentKind::Image | AttachmentKind::Audio => ("inline", content_type),
            // Whatever it was declared to be, no browser makes a page of it.
            AttachmentKind::File => ("attachment", "application/octet-stream"),
        };
        let mut get = self.outside.get_object(Some(&self.credentials), key);
        let query = get.query_mut();
        query.insert("response-content-disposition", content_disposition(disposition, filename));
        query.insert("response-content-type", content_type.to_owned());
        // Whoever shares a cache with them does not see it.
        query.insert("response-cache-control", "private".to_owned());
        presign(&self.clock, &get, URL_LIFE)
    }

    /// Returns whether the bucket is there and open to these credentials.
    pub async fn answers(&self) -> bool {
        let head = self.inside.head_bucket(Some(&self.credentials));
        send(self.request(Method::HEAD, &head)).await.is_ok_and(|response| response.status().is_success())
    }

    /// Builds a request of this service's own, signed for a minute.
    fn request<'a>(&self, method: Method, action: &impl S3Action<'a>) -> RequestBuilder {
        self.http.request(method, presign(&self.machine, action, OWN_URL_LIFE).url)
    }
}

fn presign<'a>(clock: &Clock, action: &impl S3Action<'a>, life: Duration) -> Presigned {
    // Signatures know whole seconds only.
    let seconds = clock.now().timestamp();
    let signed_at = Timestamp::from_second(seconds).unwrap_or_default();
    let url = action.sign_with_time(life, &signed_at).into();
    Presigned { url, expires_at: DateTime::from_timestamp(seconds, 0).unwrap_or_default() + life }
}

async fn send(request: RequestBuilder) -> Outcome<Response> {
    // The URL is a secret and stays out of the log.
    request.send().await.map_err(|error| Problem::unavailable(error.without_url()))
}

/// Reads a small answer whole.
async fn text_of(response: Response) -> Outcome<String> {
    succeeded(response)?.text().await.map_err(|error| Problem::unavailable(error.without_url()))
}

/// Turns a refusal by the storage into 503: its cause is our configuration or the storage, never the request.
fn succeeded(response: Response) -> Outcome<Response> {
    if response.status().is_success() {
        Ok(response)
    } else {
        Err(Problem::unavailable(format!("the object storage answered {}", response.status())))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn storage() -> ObjectStorage {
        let config = S3Config {
            s3_endpoint: "http://store:9000".parse().unwrap(),
            s3_public_endpoint: Some("https://files.example.com".parse().unwrap()),
            s3_region: "auto".to_owned(),
            s3_bucket: "maru".to_owned(),
            s3_access_key: "key".to_owned(),
            s3_secret_key: SecretString::from("hunter2"),
        };
        let at = DateTime::from_timestamp_millis(1_800_000_000_900).unwrap();
        ObjectStorage::new(&config, Clock::manual(at)).unwrap()
    }

    #[test]
    fn an_upload_is_bound_to_object_type_size_and_digest() {
        let declared = Declared { size: 3, content_type: "image/png".to_owned(), sha256: Some(vec![0; 32]) };
        let permit = storage().permit_upload("memo/a/b", &declared);
        let url = &permit.presigned.url;
        assert!(url.starts_with("https://files.example.com/maru/memo/a/b?"), "{url}");
        let signed = "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-amz-checksum-sha256";
        assert!(url.contains(signed) && url.contains("X-Amz-Expires=900"), "{url}");
        assert!(!url.contains("hunter2"), "{url}");
        assert_eq!(permit.headers["content-length"], "3");
        assert_eq!(permit.headers[CHECKSUM], STANDARD.encode([0; 32]));
        assert_eq!(permit.presigned.expires_at, DateTime::from_timestamp(1_800_000_900, 0).unwrap());
    }

    #[test]
    fn a_file_that_is_not_known_to_be_harmless_is_only_downloaded() {
        let storage = storage();
        let page = storage.permit_download("k", AttachmentKind::File, "text/html", "a.html").url;
        assert!(page.contains("response-content-type=application%2Foctet-stream"), "{page}");
        assert!(page.contains("response-content-disposition=attachment%3B"), "{page}");
        let picture = storage.permit_download("k", AttachmentKind::Image, "image/png", "가 \"\r\n.png").url;
        assert!(picture.contains("response-content-type=image%2Fpng"), "{picture}");
        assert!(
            picture.contains("inline%3B%20filename%2A%3DUTF-8%27%27%25EA%25B0%2580%2520%2522%250D%250A.png"),
            "{picture}"
        );
    }
}
