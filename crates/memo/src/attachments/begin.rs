//! `POST /memo/{memo_id}/attachments`.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Json, Path},
};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::{Fault, Kind, Violations},
    ids::{AttachmentId, MemoId, UserId},
    memo::attachment::{self, ATTACHMENTS_MAX, ContentType},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    TOO_MANY_ATTACHMENTS,
    store::{self, Attachment, NewAttachment, State},
    upload_of,
};
use crate::{
    app::App,
    memos::{private, store as memos},
    storage::{URL_LIFE, UploadPermit},
};

/// The file of this idempotency key is there already, and a new URL could overwrite it.
pub const ALREADY_UPLOADED: Fault =
    Fault::new(Kind::Conflict, "already_uploaded", "이미 올라온 파일입니다.", "This file has been uploaded already.");

/// A file that somebody wants to upload.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginUploadRequest {
    /// The file's name, 1-200 characters; a path in front of it is dropped.
    filename: String,
    /// Media type, such as `image/png`.
    content_type: String,
    /// Bytes: images and other files at most 25 MB, audio 100 MB.
    size: i64,
    /// SHA-256 of the bytes in hex; with it, other bytes are refused.
    sha256: Option<String>,
}

/// Permission to upload one file.
#[derive(Serialize, ToSchema)]
pub struct UploadView {
    /// The file.
    attachment_id: Uuid,
    /// Where to `PUT` its bytes; bound to type, size and digest.
    upload_url: String,
    /// What to send along, exactly. Browsers set `content-length` themselves.
    headers: BTreeMap<&'static str, String>,
    /// When the URL ends.
    expires_at: Instant,
}

struct Upload {
    filename: String,
    content_type: ContentType,
    size: i64,
    sha256: Option<[u8; 32]>,
}

impl TryFrom<&BeginUploadRequest> for Upload {
    type Error = Violations;

    fn try_from(request: &BeginUploadRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let filename = attachment::parse_filename(&request.filename, &mut violations);
        let content_type = ContentType::parse(&request.content_type, &mut violations);
        if let Some(content_type) = &content_type {
            attachment::check_size(request.size, content_type.kind(), &mut violations);
        }
        let sha256 = request.sha256.as_deref().and_then(|text| attachment::parse_sha256(text, &mut violations));
        match (filename, content_type, violations.into_result()) {
            (Some(filename), Some(content_type), Ok(())) => {
                Ok(Self { filename, content_type, size: request.size, sha256 })
            }
            (_, _, Err(violations)) => Err(violations),
            // Both parsers record a violation whenever they return nothing.
            _ => Err(Violations::new()),
        }
    }
}

/// What stays under an idempotency key: a URL is a secret and is signed again instead.
#[derive(Deserialize, Serialize)]
struct Begun {
    attachment_id: AttachmentId,
}

/// Permits the upload of one file to the object storage; call `complete` when it is there.
///
/// The URL lives 15 minutes. The same `Idempotency-Key` gets the same file and a new URL.
///
/// **Permissions**: the memo's owner.
#[utoipa::path(
    post, path = "/memo/{memo_id}/attachments", tag = "attachments", security(("bearer" = [])),
    request_body = BeginUploadRequest,
    params(
        ("memo_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")
    ),
    responses(
        (status = 201, body = UploadView),
        (status = 404, description = "`memo_not_found`", body = ProblemView),
        (status = 409, description = "`too_many_attachments`, `already_uploaded`, `quota_exceeded`", body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn begin(
    app: Data<App>,
    person: Person,
    key: IdempotencyKey,
    memo_id: Path<MemoId>,
    body: Json<BeginUploadRequest>,
) -> Outcome<HttpResponse> {
    let request = (*memo_id, &*body);
    let attempt = Attempt::new(person.0.user_id, "POST /memo/{memo_id}/attachments", key, &request)?;
    let upload = Upload::try_from(&*body)?;
    let (attachment, permit) = permit(&app, person.0.user_id, *memo_id, upload, attempt).await?;
    Ok(private(HttpResponse::Created().json(UploadView {
        attachment_id: attachment.id,
        upload_url: permit.presigned.url,
        headers: permit.headers,
        expires_at: permit.presigned.expires_at.into(),
    })))
}

async fn permit(
    app: &App,
    owner: UserId,
    memo: MemoId,
    upload: Upload,
    attempt: Attempt,
) -> Outcome<(Attachment, UploadPermit)> {
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        memos::lock(conn, owner, memo).await?;
        let attachment = match attempt.replay(conn).await? {
            Some(answer) => replayed(conn, owner, memo, answer).await?,
            None => reserve(app, conn, owner, memo, upload, &attempt).await?,
        };
        let permit = app.storage.permit_upload(&upload_of(&attachment), &attachment.declared());
        store::extend_upload(conn, attachment.id, permit.presigned.expires_at).await?;
        Outcome::Ok((attachment, permit))
    })
    .await
}

/// Finds the file that this key began before.
async fn replayed(conn: &mut AsyncPgConnection, owner: UserId, memo: MemoId, answer: Answer) -> Outcome<Attachment> {
    let begun: Begun = serde_json::from_value(answer.body).map_err(Problem::unexpected)?;
    let attachment = store::get(conn, owner, memo, begun.attachment_id).await?;
    match attachment.state()? {
        State::Initiated => Ok(attachment),
        State::Ready => Err(ALREADY_UPLOADED.into()),
        State::Rejected(mismatch) => Err(mismatch.fault().into()),
    }
}

async fn reserve(
    app: &App,
    conn: &mut AsyncPgConnection,
    owner: UserId,
    memo: MemoId,
    upload: Upload,
    attempt: &Attempt,
) -> Outcome<Attachment> {
    let now = app.ground.clock.now();
    if store::count_taken(conn, memo, now).await? >= ATTACHMENTS_MAX {
        return Err(TOO_MANY_ATTACHMENTS.into());
    }
    let id: AttachmentId = app.ground.clock.id();
    let new = NewAttachment {
        id: id.0,
        memo_id: memo.0,
        user_id: owner.0,
        kind: upload.content_type.kind().name(),
        filename: upload.filename,
        content_type: upload.content_type.as_str().to_owned(),
        size: upload.size,
        sha256: upload.sha256.map(Vec::from),
        upload_expires_at: now + URL_LIFE,
        created_at: now,
    };
    let attachment = store::insert(conn, &new).await?;
    store::check_quota(conn, owner, app.config.files.quota_bytes()).await?;
    attempt.keep(conn, &Answer::new(StatusCode::CREATED, &Begun { attachment_id: id })?).await?;
    Ok(attachment)
}
