//! Files of memos.
//!
//! A file goes up in three steps: this service permits one upload and remembers what was declared, the person's app
//! sends the bytes straight to the object storage, and this service then asks the storage whether they are there and as
//! declared. What it holds is looked at under a key that no URL leads to, and stays there: only then is the file part of
//! its memo. Coming down, each look at it signs a new URL. Files may come in a form with their memo, too, and then pass
//! through this service, a few MB at a time.
//!
//! No object is ever without a row to find it by: see [`unowned`].

pub mod begin;
pub mod complete;
pub mod form;
pub mod open;
pub mod preview;
pub mod remove;
pub mod store;
pub mod sweep;
pub mod unowned;

use actix_web::web::{self, ServiceConfig};
use domain::{
    fault::{Fault, Kind},
    ids::{AttachmentId, UserId},
    memo::attachment::{AttachmentKind, object_key, thumbnail_key, upload_key},
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

/// The person's files would be larger together than they may be.
pub const QUOTA_EXCEEDED: Fault = Fault::new(
    Kind::Conflict,
    "quota_exceeded",
    "저장 공간이 부족합니다. 첨부 파일을 지운 뒤 다시 시도해 주세요.",
    "There is not enough storage left. Delete some files and try again.",
);

/// Mounts the routes of files.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.configure(form::routes)
        .service(web::resource(["/memo/{memo_id}/attachments", "/memo/{memo_id}/attachments/"]).post(begin::begin))
        .service(web::resource("/memo/{memo_id}/attachments/{attachment_id}").get(open::open).delete(remove::remove))
        .service(web::resource("/memo/{memo_id}/attachments/{attachment_id}/complete").post(complete::complete));
}

/// A file that is there, as its owner sees it.
// No `Debug`: no log line may show its name or its URLs.
#[derive(Serialize, ToSchema)]
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
    /// `processing`, `ready` or `failed`: how far the fields below have come. The file itself can be opened meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// Where to `GET` a small picture of it, JPEG; lives 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// Pixels, as it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<i32>,
    /// Pixels, as it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<i32>,
    /// How long it plays, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// How loud it is over its length, 0-127 a value, at most 64 values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waveform: Option<Vec<u8>>,
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
            preview: attachment.preview.clone(),
            thumbnail_url: attachment.has_thumbnail.then(|| storage.permit_thumbnail(&thumbnail_of(attachment)).url),
            width: attachment.width,
            height: attachment.height,
            duration_ms: attachment.duration_ms,
            waveform: attachment.waveform.clone(),
        }
    }
}

/// Signs a new URL of a file.
pub(crate) fn permit_download(attachment: &store::Attachment, storage: &ObjectStorage) -> Presigned {
    let kind = AttachmentKind::parse(&attachment.kind);
    storage.permit_download(&key_of(attachment), kind, &attachment.content_type, &attachment.filename)
}

/// Returns the name under which a file that is ready lies in the object storage.
pub(crate) fn key_of(attachment: &store::Attachment) -> String {
    // Older rows have no name of their own for it.
    object_key(UserId(attachment.user_id), attachment.object_id.unwrap_or(attachment.id))
}

/// Returns the name under which a file is uploaded.
pub(crate) fn upload_of(attachment: &store::Attachment) -> String {
    upload_key(UserId(attachment.user_id), AttachmentId(attachment.id))
}

/// Returns the name of an image's small picture.
pub(crate) fn thumbnail_of(attachment: &store::Attachment) -> String {
    thumbnail_key(UserId(attachment.user_id), attachment.object_id.unwrap_or(attachment.id))
}
