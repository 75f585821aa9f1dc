//! `GET /emotion/steps/{session_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use chassis::{
    page,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncPgConnection;
use domain::{ids::ConversationId, page::Limit};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{StepView, store};
use crate::{app::App, conversation, vault::PersonVault};

/// Steps of one answer; a step may hold 8 KiB of words and its reply.
const LIMIT: i64 = 500;

/// Which part of the conversation.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Most steps, 1-500.
    limit: Option<i64>,
    /// The `step_order` after which the page begins, as `Link` says.
    cursor: Option<i32>,
}

/// Lists the steps of a conversation in the order they were taken.
///
/// **Permissions**: the conversation's owner; for anybody else it is not there.
#[utoipa::path(
    get, path = "/emotion/steps/{session_id}", tag = "steps", security(("bearer" = [])),
    params(("session_id" = ConversationId, Path), ListQuery),
    responses(
        (status = 200, body = [StepView], description = "`X-Total-Count`, and `Link` with `rel=\"next\"`"),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn list(
    app: Data<App>,
    person: Person,
    id: Path<ConversationId>,
    query: Query<ListQuery>,
) -> Outcome<HttpResponse> {
    let limit = Limit::parse(query.limit, LIMIT, LIMIT)?;
    let talk = conversation::get(&app, person.0.user_id, id.into_inner()).await?;
    let id = ConversationId(talk.conversation.id);
    let mut conn = app.ground.pg.conn().await?;
    let after = query.cursor.unwrap_or_default();
    let page =
        async |conn: &mut AsyncPgConnection, vault: &PersonVault| store::list_of(conn, vault, id, limit, after).await;
    let mut found = app.vault.read(&mut conn, person.0.user_id, page).await?;
    let total = store::count_of(&mut conn, id).await?;
    let rows = usize::try_from(limit.rows()).unwrap_or_default();
    let more = found.len() > rows;
    found.truncate(rows);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| format!("/emotion/steps/{id}?limit={}&cursor={}", limit.rows(), last.step_order));
    let views: Vec<_> = found.into_iter().map(StepView::from).collect();
    Ok(page::answer(&views, total, next))
}
