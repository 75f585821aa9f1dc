//! `DELETE /memo/{memo_id}/attachments/{attachment_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::Violations,
    ids::{AttachmentId, MemoId, UserId},
    memo::refuse_empty,
};

use super::store;
use crate::{app::App, memos::store as memos};

/// Takes a file from its memo for good, or gives up an upload that was permitted; what it takes of the quota is free
/// once its object is gone and nothing more can be uploaded.
///
/// The last file of a memo without text stays: delete the memo.
///
/// **Permissions**: the memo's owner.
#[utoipa::path(
    delete, path = "/memo/{memo_id}/attachments/{attachment_id}", tag = "attachments", security(("bearer" = [])),
    params(("memo_id" = Uuid, Path), ("attachment_id" = Uuid, Path)),
    responses(
        (status = 204),
        (status = 404, description = "`attachment_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`: nothing would be left of the memo", body = ProblemView)
    )
)]
pub async fn remove(app: Data<App>, person: Person, path: Path<(MemoId, AttachmentId)>) -> Outcome<HttpResponse> {
    let (memo_id, attachment_id) = path.into_inner();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| take_away(conn, person.0.user_id, memo_id, attachment_id).await).await?;
    app.unowned.notify_one();
    Ok(HttpResponse::NoContent().finish())
}

async fn take_away(conn: &mut AsyncPgConnection, owner: UserId, memo: MemoId, id: AttachmentId) -> Outcome<()> {
    let file = store::get(conn, owner, memo, id).await?;
    // Looked at again under the lock: files of a memo come and go one after the other.
    let memo = memos::get_for_change(conn, owner, memo).await?;
    let shown = store::list_ready(conn, &[memo.id]).await?;
    let is_last = matches!(shown.as_slice(), [last] if last.id == file.id);
    if memo.content.is_empty() && is_last {
        let mut violations = Violations::new();
        refuse_empty(&mut violations);
        return Err(violations.into());
    }
    store::delete(conn, file.id).await
}
