//! `GET /emotion/sessions/user/{user_id}`.

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
use domain::{
    fault::{Violations, common},
    ids::{ConversationId, UserId},
    page::Limit,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Conversation, ConversationView, store};
use crate::{app::App, vault::PersonVault};

/// Conversations of one answer. The documents promise the whole list; beyond this, pages are followed.
const LIMIT: i64 = 500;

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Most conversations, 1-500.
    limit: Option<i64>,
    /// The `session_id` after which the page begins, as `Link` says.
    cursor: Option<ConversationId>,
}

/// Lists the caller's conversations, newest first.
///
/// **Permissions**: the person themselves.
#[utoipa::path(
    get, path = "/emotion/sessions/user/{user_id}", tag = "conversations", security(("bearer" = [])),
    params(("user_id" = UserId, Path), ListQuery),
    responses(
        (status = 200, body = [ConversationView], description = "`X-Total-Count`, and `Link` with `rel=\"next\"`"),
        (status = 403, description = "`forbidden`: another person", body = ProblemView)
    )
)]
pub async fn list(
    app: Data<App>,
    person: Person,
    user_id: Path<UserId>,
    query: Query<ListQuery>,
) -> Outcome<HttpResponse> {
    if *user_id != person.0.user_id {
        return Err(common::FORBIDDEN.into());
    }
    page_of(&app, person.0.user_id, &query, &format!("/emotion/sessions/user/{user_id}")).await
}

/// Lists the caller's conversations, newest first, as under `/emotion/sessions/user/{user_id}`.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/emotion/sessions", tag = "conversations", security(("bearer" = [])), params(ListQuery),
    responses((status = 200, body = [ConversationView], description = "`X-Total-Count`, and `Link` with `rel=\"next\"`"))
)]
pub async fn list_own(app: Data<App>, person: Person, query: Query<ListQuery>) -> Outcome<HttpResponse> {
    page_of(&app, person.0.user_id, &query, "/emotion/sessions").await
}

async fn page_of(app: &App, owner: UserId, query: &ListQuery, path: &str) -> Outcome<HttpResponse> {
    let limit = Limit::parse(query.limit, LIMIT, LIMIT)?;
    let mut conn = app.ground.pg.conn().await?;
    let page = async |conn: &mut AsyncPgConnection, vault: &PersonVault| {
        let after = match query.cursor {
            Some(cursor) => Some(known(store::find(conn, vault, owner, cursor).await?)?),
            None => None,
        };
        store::list_of(conn, vault, owner, limit, after.as_ref()).await
    };
    let mut found = app.vault.read(&mut conn, owner, page).await?;
    let total = store::count_of(&mut conn, owner).await?;
    let rows = usize::try_from(limit.rows()).unwrap_or_default();
    let more = found.len() > rows;
    found.truncate(rows);
    let next = found.last().filter(|_| more).map(|last| format!("{path}?limit={}&cursor={}", limit.rows(), last.id));
    let views: Vec<_> = found.into_iter().map(ConversationView::from).collect();
    Ok(page::answer(&views, total, next))
}

fn known(cursor: Option<Conversation>) -> Result<Conversation, Violations> {
    cursor.ok_or_else(|| {
        let mut violations = Violations::new();
        violations.add("?cursor", "unknown", "cursor 값을 확인해 주세요.", "There is no such cursor.");
        violations
    })
}
