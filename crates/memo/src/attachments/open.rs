//! `GET /memo/{memo_id}/attachments/{attachment_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::{AttachmentId, MemoId},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ATTACHMENT_NOT_FOUND, NOT_UPLOADED, permit_download,
    store::{self, State},
};
use crate::{app::App, memos::private};

/// Where a file is, for 15 minutes.
#[derive(Serialize, ToSchema)]
pub struct DownloadView {
    /// Where to `GET` it.
    url: String,
    /// When the URL ends.
    expires_at: Instant,
}

/// Signs a new URL of a file.
///
/// **Permissions**: the memo's owner.
#[utoipa::path(
    get, path = "/memo/{memo_id}/attachments/{attachment_id}", tag = "attachments", security(("bearer" = [])),
    params(("memo_id" = Uuid, Path), ("attachment_id" = Uuid, Path)),
    responses(
        (status = 200, body = DownloadView),
        (status = 404, description = "`attachment_not_found`", body = ProblemView),
        (status = 409, description = "`not_uploaded`", body = ProblemView),
        (status = 422, description = "`size_mismatch`, `type_mismatch`, `checksum_mismatch`", body = ProblemView)
    )
)]
pub async fn open(app: Data<App>, person: Person, path: Path<(MemoId, AttachmentId)>) -> Outcome<HttpResponse> {
    let (memo_id, attachment_id) = path.into_inner();
    let mut conn = app.ground.pg.conn().await?;
    let attachment = store::get(&mut conn, person.0.user_id, memo_id, attachment_id).await?;
    match attachment.state()? {
        // Its object is not found; see the sweep.
        State::Ready if attachment.missing_since.is_some() => return Err(ATTACHMENT_NOT_FOUND.into()),
        State::Ready => {}
        State::Initiated => return Err(NOT_UPLOADED.into()),
        State::Rejected(mismatch) => return Err(mismatch.fault().into()),
    }
    let presigned = permit_download(&attachment, &app.storage);
    let view = DownloadView { url: presigned.url, expires_at: presigned.expires_at.into() };
    Ok(private(HttpResponse::Ok().json(view)))
}
