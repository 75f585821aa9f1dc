//! `GET /memo/{memo_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::ids::MemoId;

use super::{MemoView, answer, store};
use crate::{app::App, attachments::store as attachments};

/// Shows a memo with its files, whose URLs live 15 minutes; `ETag` is its version, for `If-Match`.
///
/// **Permissions**: its owner.
#[utoipa::path(
    get, path = "/memo/{memo_id}", tag = "memos", security(("bearer" = [])),
    params(("memo_id" = Uuid, Path)),
    responses((status = 200, body = MemoView), (status = 404, description = "`memo_not_found`", body = ProblemView))
)]
pub async fn read(app: Data<App>, person: Person, memo_id: Path<MemoId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let memo = store::get(&mut conn, person.0.user_id, *memo_id).await?;
    let files = attachments::list_ready(&mut conn, &[memo.id]).await?;
    Ok(answer(&MemoView::new(memo, &files, &app.storage)))
}
