//! Single objects: what is there, what it begins with, copies, ends.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chassis::problem::{Outcome, Problem};
use domain::memo::attachment::Found;
use reqwest::{Method, Response, StatusCode, header};
use rusty_s3::S3Action;

use super::{CHECKSUM, ObjectStorage, WRITE_TIMEOUT, send, succeeded, text_of};

/// Asks the storage to tell what it checked.
const CHECKSUM_MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");
/// Longest to read at most the largest image.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest for a copy inside the storage, or to read it all: 100 MB, on a slow disk.
const COPY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What the storage says of it.
    pub found: Found,
    /// Another one whenever the bytes change.
    pub etag: String,
}

/// How a copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is there.
    Done,
    /// The original has changed or is gone.
    Changed,
}

impl ObjectStorage {
    /// Asks what is stored under `key`.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn find(&self, key: &str) -> Outcome<Option<Stored>> {
        let mut head = self.inside.head_object(Some(&self.credentials), key);
        head.headers_mut().insert(CHECKSUM_MODE.0, CHECKSUM_MODE.1);
        let response = send(self.request(Method::HEAD, &head).header(CHECKSUM_MODE.0, CHECKSUM_MODE.1)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        stored(&succeeded(response)?).map(Some)
    }

    /// Copies an object inside the storage, its type with it, as long as it is still the one with this `etag`. Not every
    /// storage heeds that: what counts is what the copy turns out to be.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn copy(&self, from: &str, etag: &str, to: &str) -> Outcome<Copied> {
        let source = format!("/{}/{from}", self.inside.name());
        let headers = [("x-amz-copy-source", source.as_str()), ("x-amz-copy-source-if-match", etag)];
        let mut put = self.inside.put_object(Some(&self.credentials), to);
        for (name, value) in headers {
            put.headers_mut().insert(name, value);
        }
        let mut request = self.request(Method::PUT, &put).timeout(COPY_TIMEOUT).body(Bytes::new());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = send(request).await?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED) {
            return Ok(Copied::Changed);
        }
        // A copy that fails after it has begun says so under the status 200.
        let answer = text_of(response).await?;
        if answer.contains("<Error") { Err(Problem::unavailable("the copy failed")) } else { Ok(Copied::Done) }
    }

    /// Reads bytes of an object from `first` on, at most `length`; fewer at its end.
    ///
    /// # Errors
    /// 503 when the storage is away or there is no such object.
    pub async fn read(&self, key: &str, first: u64, length: usize) -> Outcome<Bytes> {
        let last = first + u64::try_from(length.max(1)).unwrap_or(u64::MAX) - 1;
        let get = self.inside.get_object(Some(&self.credentials), key);
        let request = self.request(Method::GET, &get).timeout(READ_TIMEOUT);
        let request = request.header(header::RANGE, format!("bytes={first}-{last}"));
        let response = send(request).await?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(Bytes::new());
        }
        let mut response = succeeded(response)?;
        let mut read = Vec::new();
        // A storage that knows no ranges sends everything: no more of it is taken than was asked for.
        while let Some(chunk) = response.chunk().await.map_err(|error| Problem::unavailable(error.without_url()))? {
            read.extend_from_slice(chunk.get(..length - read.len()).unwrap_or(&chunk));
            if read.len() >= length {
                break;
            }
        }
        Ok(read.into())
    }

    /// Reads all of an object and returns its SHA-256, for a storage that computes none.
    ///
    /// # Errors
    /// 503 when the storage is away or there is no such object.
    pub async fn sha256(&self, key: &str) -> Outcome<Vec<u8>> {
        let get = self.inside.get_object(Some(&self.credentials), key);
        let mut response = succeeded(send(self.request(Method::GET, &get).timeout(COPY_TIMEOUT)).await?)?;
        let mut digest = Context::new(&SHA256);
        while let Some(chunk) = response.chunk().await.map_err(|error| Problem::unavailable(error.without_url()))? {
            digest.update(&chunk);
        }
        Ok(digest.finish().as_ref().to_vec())
    }

    /// Writes a small object.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn put(&self, key: &str, content_type: &str, bytes: Bytes) -> Outcome<()> {
        let mut put = self.inside.put_object(Some(&self.credentials), key);
        put.headers_mut().insert(header::CONTENT_TYPE.as_str(), content_type);
        let request = self.request(Method::PUT, &put).header(header::CONTENT_TYPE, content_type).body(bytes);
        succeeded(send(request.timeout(WRITE_TIMEOUT)).await?).map(drop)
    }

    /// Deletes what is stored under `key`, if anything is.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn delete(&self, key: &str) -> Outcome<()> {
        let delete = self.inside.delete_object(Some(&self.credentials), key);
        let response = send(self.request(Method::DELETE, &delete)).await?;
        if response.status() == StatusCode::NOT_FOUND { Ok(()) } else { succeeded(response).map(drop) }
    }
}

fn stored(response: &Response) -> Outcome<Stored> {
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let size = text(header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
    let found = Found {
        size: size.ok_or_else(|| Problem::unavailable("the object storage told no size"))?,
        content_type: text(header::CONTENT_TYPE.as_str()).map(ToOwned::to_owned),
        sha256: text(CHECKSUM).and_then(|digest| STANDARD.decode(digest).ok()),
    };
    let etag = text(header::ETAG.as_str()).ok_or_else(|| Problem::unavailable("the object storage told no etag"))?;
    Ok(Stored { found, etag: etag.to_owned() })
}
