//! `POST /memo/{memo_id}/attachments/{attachment_id}/complete`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    ids::{AttachmentId, MemoId, UserId},
    memo::attachment::{ATTACHMENTS_MAX, Mismatch, verify_upload},
};

use super::{
    AttachmentView, NOT_UPLOADED, TOO_MANY_ATTACHMENTS, key_of,
    store::{self, Attachment, State},
};
use crate::{
    app::App,
    memos::{private, store as memos},
};

/// Makes an uploaded file part of its memo, once the object storage has confirmed that it is there and as declared.
///
/// Twice is the same as once, also at the same time. A file that is not as declared is deleted; ask for a new upload.
///
/// **Permissions**: the memo's owner.
#[utoipa::path(
    post, path = "/memo/{memo_id}/attachments/{attachment_id}/complete", tag = "attachments",
    security(("bearer" = [])),
    params(("memo_id" = Uuid, Path), ("attachment_id" = Uuid, Path)),
    responses(
        (status = 200, body = AttachmentView),
        (status = 404, description = "`attachment_not_found`", body = ProblemView),
        (status = 409, description = "`not_uploaded`, `too_many_attachments`", body = ProblemView),
        (status = 422, description = "`size_mismatch`, `type_mismatch`, `checksum_mismatch`", body = ProblemView)
    )
)]
pub async fn complete(app: Data<App>, person: Person, path: Path<(MemoId, AttachmentId)>) -> Outcome<HttpResponse> {
    let (memo_id, attachment_id) = path.into_inner();
    let attachment = settle(&app, person.0.user_id, memo_id, attachment_id).await?;
    Ok(private(HttpResponse::Ok().json(AttachmentView::new(&attachment, &app.storage))))
}

/// Returns the file once it is ready. The storage is asked without a connection in hand: it may take its time.
async fn settle(app: &App, owner: UserId, memo: MemoId, id: AttachmentId) -> Outcome<Attachment> {
    let attachment = {
        let mut conn = app.ground.pg.conn().await?;
        store::get(&mut conn, owner, memo, id).await?
    };
    match attachment.state()? {
        State::Ready => return Ok(attachment),
        State::Rejected(mismatch) => return Err(mismatch.fault().into()),
        State::Initiated => {}
    }
    let found = app.storage.find(&key_of(&attachment)).await?.ok_or(NOT_UPLOADED)?;
    match verify_upload(&attachment.declared(), &found) {
        Ok(()) => accept(app, owner, memo, id).await,
        Err(mismatch) => reject(app, &attachment, mismatch).await,
    }
}

async fn accept(app: &App, owner: UserId, memo: MemoId, id: AttachmentId) -> Outcome<Attachment> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        memos::lock(conn, owner, memo).await?;
        let attachment = store::get(conn, owner, memo, id).await?;
        match attachment.state()? {
            // Another request came first.
            State::Ready => Ok(attachment),
            State::Rejected(mismatch) => Err(mismatch.fault().into()),
            // An upload that outlived its URL did not keep its place.
            State::Initiated if store::count_ready(conn, memo).await? >= ATTACHMENTS_MAX => {
                Err(TOO_MANY_ATTACHMENTS.into())
            }
            State::Initiated => {
                store::make_ready(conn, attachment.id, now).await?;
                Outcome::Ok(attachment)
            }
        }
    })
    .await
}

/// Rejects a file and then deletes its object, in this order: what a parallel request accepted is never deleted.
async fn reject(app: &App, attachment: &Attachment, mismatch: Mismatch) -> Outcome<Attachment> {
    let rejected = {
        let mut conn = app.ground.pg.conn().await?;
        store::reject(&mut conn, attachment.id, mismatch).await?
    };
    if rejected {
        app.storage.delete(&key_of(attachment)).await?;
    }
    Err(mismatch.fault().into())
}
