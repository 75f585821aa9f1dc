//! Files of memos.
//!
//! A file goes up in three steps: this service permits one upload and remembers what was declared, the person's app
//! sends the bytes straight to the object storage, and this service then asks the storage whether they are there and as
//! declared. Only then is the file part of its memo. Coming down, each look at it signs a new URL.

pub mod begin;
pub mod complete;
pub mod open;
pub mod store;

use actix_web::web::{self, ServiceConfig};
use domain::{
    fault::{Fault, Kind},
    ids::{AttachmentId, UserId},
    memo::attachment::{AttachmentKind, object_key},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::storage::{ObjectStorage, Presigned};

/// No such file, or not the caller's.
pub const ATTACHMENT_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "attachment_not_found", "첨부 파일을 찾을 수 없습니다.", "There is no such attachment.");
/// The file's bytes have not arrived.
pub const NOT_UPLOADED: Fault = Fault::new(
    Kind::Conflict,
    "not_uploaded",
    "파일이 아직 올라오지 않았습니다.",
    "The file has not been uploaded yet.",
);
/// The memo has as many files as it may have.
pub const TOO_MANY_ATTACHMENTS: Fault = Fault::new(
    Kind::Conflict,
    "too_many_attachments",
    "메모 하나에 파일은 10개까지 붙일 수 있습니다.",
    "A memo has at most 10 files.",
);

/// Mounts the routes of files.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(["/memo/{memo_id}/attachments", "/memo/{memo_id}/attachments/"]).post(begin::begin))
        .service(web::resource("/memo/{memo_id}/attachments/{attachment_id}").get(open::open))
        .service(web::resource("/memo/{memo_id}/attachments/{attachment_id}/complete").post(complete::complete));
}

/// A file that is there, as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttachmentView {
    /// The file.
    pub id: Uuid,
    /// Shown, played or downloaded.
    #[serde(rename = "type")]
    pub kind: AttachmentKind,
    /// Where to `GET` it; lives 15 minutes.
    pub url: String,
    /// The name it was given.
    pub filename: String,
    /// Media type.
    pub content_type: String,
    /// Bytes.
    pub size: i64,
}

impl AttachmentView {
    /// Shows a file that is ready; its URL is signed now.
    pub fn new(attachment: &store::Attachment, storage: &ObjectStorage) -> Self {
        Self {
            id: attachment.id,
            kind: AttachmentKind::parse(&attachment.kind),
            url: permit_download(attachment, storage).url,
            filename: attachment.filename.clone(),
            content_type: attachment.content_type.clone(),
            size: attachment.size,
        }
    }
}

/// Signs a new URL of a file.
pub(crate) fn permit_download(attachment: &store::Attachment, storage: &ObjectStorage) -> Presigned {
    let kind = AttachmentKind::parse(&attachment.kind);
    storage.permit_download(&key_of(attachment), kind, &attachment.content_type, &attachment.filename)
}

/// Returns the name of a file in the object storage.
pub(crate) fn key_of(attachment: &store::Attachment) -> String {
    object_key(UserId(attachment.user_id), AttachmentId(attachment.id))
}
