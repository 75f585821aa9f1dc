//! `maru-memo` over real HTTP, with a database of its own in every test and a real object storage.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod attachments;
mod changes;
mod daily;
mod faults;
mod forms;
mod internal;
mod memory;
mod memos;
mod person;
mod plans;
mod previews;
mod privacy;
mod schema;
mod search;
mod stats;
mod steps;
mod sweeper;
mod trash;
mod urls;

use chassis::peers::Urls;
use domain::principal::Service;
use memo::config::{FilesConfig, MemoConfig, S3Config, ServicesConfig};
use reqwest::{Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{Answer, Stage, TestApp, TestClient};

/// Some bytes that pass for a picture.
pub const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n and then the light of an autumn afternoon \0\xff";

/// A program of the same length.
pub const EXECUTABLE: &[u8] = b"MZ\x90\0\x03\0\0\0 and then the light of an autumn afternoon \0\xff";

/// Sets the stage and serves `maru-memo` on it.
pub async fn start() -> (Stage, TestApp) {
    let stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    let app = stage.serve(memo::build(config(&stage), stage.clock.clone()).unwrap());
    (stage, app)
}

/// The configuration of a test's `maru-memo`.
pub fn config(stage: &Stage) -> MemoConfig {
    let s3 = testkit::s3();
    MemoConfig {
        base: stage.base_config(),
        port: 0,
        files: FilesConfig { files_quota_mb: 2_048 },
        s3: S3Config {
            s3_endpoint: s3.endpoint.parse().unwrap(),
            s3_public_endpoint: None,
            s3_region: s3.region,
            s3_bucket: s3.bucket,
            s3_access_key: s3.access_key_id,
            s3_secret_key: SecretString::from(s3.secret_access_key),
        },
        signing: stage.signing_config(),
        // Nobody is there: whoever needs focus sessions serves some.
        services: ServicesConfig { session_urls: Urls(vec!["http://127.0.0.1:1".parse().unwrap()]) },
    }
}

/// Writes a memo and returns its path.
pub async fn a_memo(of: &TestClient) -> String {
    let made = of.post("/memo", json!({ "content": "가을 하늘" })).await.assert_status(201);
    format!("/memo/{}", made.text("/id"))
}

/// What somebody says about [`PICTURE`] before they upload it.
pub fn picture() -> Value {
    json!({ "filename": "가을.png", "content_type": "image/png", "size": PICTURE.len() })
}

/// The same, with its digest.
pub fn picture_with_digest() -> Value {
    let mut declared = picture();
    declared["sha256"] = json!(hex::encode(Sha256::digest(PICTURE)));
    declared
}

/// Asks for an upload to a memo.
pub async fn begin(of: &TestClient, memo: &str, declared: Value) -> Answer {
    of.post(&format!("{memo}/attachments"), declared).await.assert_status(201)
}

/// Returns the path of the file that an upload is for.
pub fn path_of(memo: &str, upload: &Answer) -> String {
    format!("{memo}/attachments/{}", upload.text("/attachment_id"))
}

/// Sends bytes to the storage with the headers of an upload; the length is that of the bytes.
pub async fn put(upload: &Answer, bytes: &[u8]) -> StatusCode {
    put_to(upload.text("/upload_url"), &upload.json["headers"], bytes).await
}

/// Sends bytes to a URL of the storage with these headers.
pub async fn put_to(url: &str, headers: &Value, bytes: &[u8]) -> StatusCode {
    let mut request = browser().put(url).body(bytes.to_vec());
    for (name, value) in headers.as_object().unwrap() {
        if name != "content-length" {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    request.send().await.unwrap().status()
}

/// Asks the storage for a URL.
pub async fn fetch(url: &str) -> Response {
    browser().get(url).send().await.unwrap()
}

/// Whoever talks to the storage without us.
pub fn browser() -> reqwest::Client {
    testkit::http_client()
}

/// Returns whether the storage refused: implementations differ in how they say it.
pub fn refused(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 403)
}
