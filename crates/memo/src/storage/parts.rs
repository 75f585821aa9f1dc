//! Objects whose length nobody knows before they end: they go up in parts, of which one at a time is in memory.

use bytes::Bytes;
use chassis::problem::{Outcome, Problem};
use reqwest::{Method, StatusCode, header};
use rusty_s3::{S3Action, actions};

use super::{ObjectStorage, WRITE_TIMEOUT, send, succeeded, text_of};

/// Bytes of a part, all but the last: the least that S3 takes, because this much is in memory for each file that goes up.
pub const PART_BYTES: usize = 5 * 1024 * 1024;

/// An object of which some parts are up.
#[derive(Debug)]
pub struct Parts {
    key: String,
    id: String,
    etags: Vec<String>,
}

impl Parts {
    /// Returns the storage's name of the upload, to end it by.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl ObjectStorage {
    /// Begins an object in parts.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn begin_parts(&self, key: &str, content_type: &str) -> Outcome<Parts> {
        let mut create = self.inside.create_multipart_upload(Some(&self.credentials), key);
        create.headers_mut().insert(header::CONTENT_TYPE.as_str(), content_type);
        let request = self.request(Method::POST, &create).header(header::CONTENT_TYPE, content_type).body(Bytes::new());
        let answer = text_of(send(request).await?).await?;
        let begun = actions::CreateMultipartUpload::parse_response(&answer).map_err(Problem::unavailable)?;
        Ok(Parts { key: key.to_owned(), id: begun.upload_id().to_owned(), etags: Vec::new() })
    }

    /// Adds a part.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn add_part(&self, parts: &mut Parts, bytes: Bytes) -> Outcome<()> {
        let number = u16::try_from(parts.etags.len() + 1).map_err(Problem::unexpected)?;
        let upload = self.inside.upload_part(Some(&self.credentials), &parts.key, number, &parts.id);
        let response = succeeded(send(self.request(Method::PUT, &upload).timeout(WRITE_TIMEOUT).body(bytes)).await?)?;
        let etag = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok());
        parts.etags.push(etag.ok_or_else(|| Problem::unavailable("a part has no etag"))?.to_owned());
        Ok(())
    }

    /// Makes the parts one object.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn finish_parts(&self, parts: &Parts) -> Outcome<()> {
        let etags = || parts.etags.iter().map(String::as_str);
        let action =
            |etags| self.inside.complete_multipart_upload(Some(&self.credentials), &parts.key, &parts.id, etags);
        let request = self.request(Method::POST, &action(etags())).timeout(WRITE_TIMEOUT);
        // One that fails after it has begun says so under the status 200, behind spaces that keep the line open.
        let answer = text_of(send(request.body(action(etags()).body())).await?).await?;
        if answer.contains("<Error") { Err(Problem::unavailable("the parts were not joined")) } else { Ok(()) }
    }

    /// Ends an upload in parts, if it is still open, and frees what is up of it.
    ///
    /// # Errors
    /// 503 when the storage is away.
    pub async fn abort_parts(&self, key: &str, id: &str) -> Outcome<()> {
        let abort = self.inside.abort_multipart_upload(Some(&self.credentials), key, id);
        let response = send(self.request(Method::DELETE, &abort)).await?;
        // Storages differ in what they call an upload that has ended.
        let is_over =
            matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST);
        if is_over { Ok(()) } else { succeeded(response).map(drop) }
    }
}
