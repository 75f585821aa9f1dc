//! One file of a form, on its way through.

use std::borrow::Cow;

use actix_multipart::Field;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use chassis::problem::{Outcome, Problem};
use domain::{
    fault::{Violations, common},
    memo::attachment::{AttachmentKind, ContentType, HEAD_BYTES, TYPE_MISMATCH, guess, may_be, parse_filename},
};
use futures_util::StreamExt as _;

use super::{refused, staging::Staging};
use crate::{
    attachments::{store::ReadyFile, unowned},
    storage::{PART_BYTES, Parts},
};

/// What apps say that do not know.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Sends a file on to the object storage and returns what will be its row.
///
/// # Errors
/// 422 when it is empty, or not what its name or type say; 413 when it is too large; `quota_exceeded`.
pub(super) async fn receive(
    staging: &mut Staging<'_>,
    field: &mut Field,
    wanted: AttachmentKind,
) -> Outcome<ReadyFile> {
    let mut incoming = Incoming::new(field);
    incoming.fill(HEAD_BYTES).await?;
    let (filename, content_type) = judge(incoming.field, wanted, &incoming.buffer)?;
    let kind = content_type.kind();
    let app = staging.app();
    let (id, key) = staging.stage().await?;
    let largest = usize::try_from(kind.max_bytes()).unwrap_or(usize::MAX);
    let mut parts: Option<Parts> = None;
    loop {
        incoming.fill(PART_BYTES).await?;
        if incoming.size > largest {
            return Err(common::TOO_LARGE.into());
        }
        let bytes = incoming.take();
        unowned::count(app, staging.owner(), &key, bytes.len()).await?;
        match (&mut parts, incoming.is_over) {
            (None, true) => {
                app.storage.put(&key, content_type.as_str(), bytes).await?;
                break;
            }
            (None, false) => {
                let begun = app.storage.begin_parts(&key, content_type.as_str()).await?;
                unowned::note_parts(app, &key, begun.id()).await?;
                app.storage.add_part(parts.insert(begun), bytes).await?;
            }
            (Some(parts), is_over) => {
                if !bytes.is_empty() {
                    app.storage.add_part(parts, bytes).await?;
                }
                if is_over {
                    app.storage.finish_parts(parts).await?;
                    break;
                }
            }
        }
    }
    let size = i64::try_from(incoming.size).map_err(Problem::unexpected)?;
    let sha256 = incoming.digest.finish().as_ref().to_vec();
    Ok(ReadyFile { id, kind, filename, content_type: content_type.as_str().to_owned(), size, sha256 })
}

/// Returns the name of a file, as browsers write it or, beyond ASCII, as some clients do (RFC 8187).
pub(super) fn name_of(field: &Field) -> Option<Cow<'_, str>> {
    let disposition = field.content_disposition()?;
    let extended = || disposition.get_filename_ext().map(|name| String::from_utf8_lossy(&name.value));
    disposition.get_filename().map(Cow::Borrowed).or_else(extended)
}

/// Judges a file by its first bytes and by what is said about it; returns its name and type.
fn judge(field: &Field, wanted: AttachmentKind, head: &[u8]) -> Outcome<(String, ContentType)> {
    let mut violations = Violations::new();
    violations.require(!head.is_empty(), "/size", "too_small", "빈 파일입니다.", "The file is empty.");
    let filename = parse_filename(&name_of(field).unwrap_or_else(|| "file".into()), &mut violations);
    let told = field.content_type().map(AsRef::as_ref).filter(|told| *told != UNKNOWN_TYPE);
    let content_type = ContentType::parse(told.or_else(|| guess(head)).unwrap_or(UNKNOWN_TYPE), &mut violations);
    let (Some(filename), Some(content_type)) = (filename, content_type) else { return Err(violations.into()) };
    violations.into_result()?;
    let head = head.get(..HEAD_BYTES).unwrap_or(head);
    // Whoever sends a picture as one and it is none has sent something else.
    let is_wanted = wanted == AttachmentKind::File || content_type.kind() == wanted;
    if is_wanted && may_be(content_type.kind(), content_type.as_str(), &filename, head) {
        Ok((filename, content_type))
    } else {
        Err(TYPE_MISMATCH.into())
    }
}

/// What has come of a file and was not sent on yet.
struct Incoming<'f> {
    field: &'f mut Field,
    buffer: Vec<u8>,
    /// What came together with the last bytes that had room.
    rest: Bytes,
    size: usize,
    digest: Context,
    is_over: bool,
}

impl<'f> Incoming<'f> {
    fn new(field: &'f mut Field) -> Self {
        let (buffer, rest) = (Vec::new(), Bytes::new());
        Self { field, buffer, rest, size: 0, digest: Context::new(&SHA256), is_over: false }
    }

    /// Waits until there are `bytes` here, or the file has ended.
    async fn fill(&mut self, bytes: usize) -> Outcome<()> {
        // Once and whole: a buffer that grows is in memory twice while it does. What is not written to costs nothing.
        self.buffer.reserve_exact(PART_BYTES - self.buffer.len().min(PART_BYTES));
        while self.buffer.len() < bytes && !self.is_over {
            if self.rest.is_empty() {
                match self.field.next().await {
                    None => self.is_over = true,
                    Some(chunk) => self.rest = chunk.map_err(refused)?,
                }
            }
            let room = (PART_BYTES - self.buffer.len()).min(self.rest.len());
            let chunk = self.rest.split_to(room);
            self.digest.update(&chunk);
            self.size += chunk.len();
            self.buffer.extend_from_slice(&chunk);
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.buffer).into()
    }
}
