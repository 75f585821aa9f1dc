//! `DELETE /auth/sessions` and `DELETE /auth/sessions/{sid}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{fault::common, ids::LoginId, locale::Text};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    end,
    store::{self, Which},
};
use crate::{
    app::App,
    audit::{self, Entry},
    visitor::Visitor,
};

const ENDED: Text = Text::new("로그인을 종료했습니다.", "The login has been ended.");
const OTHERS_ENDED: Text = Text::new("다른 모든 로그인을 종료했습니다.", "All other logins have been ended.");

/// What was ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedView {
    /// For people.
    message: &'static str,
    /// How many logins that were.
    revoked: usize,
}

/// Ends one login of whoever asks; its tokens are refused everywhere within a second.
#[utoipa::path(
    delete, path = "/auth/sessions/{sid}", tag = "logins", security(("bearer" = [])), params(("sid" = Uuid, Path)),
    responses((status = 200, body = RevokedView), (status = 404, description = "`not_found`", body = ProblemView))
)]
pub async fn revoke(
    app: Data<App>,
    person: Person,
    language: Language,
    visitor: Visitor,
    sid: Path<Uuid>,
) -> Outcome<HttpResponse> {
    let revoked = end_logins(&app, person, Which::One(LoginId(*sid)), &visitor).await?;
    if revoked == 0 {
        return Err(common::NOT_FOUND.into());
    }
    Ok(HttpResponse::Ok().json(RevokedView { message: ENDED.in_locale(language.0), revoked }))
}

/// Ends every login of whoever asks but the one the request was made with.
#[utoipa::path(
    delete, path = "/auth/sessions", tag = "logins", security(("bearer" = [])),
    responses((status = 200, body = RevokedView))
)]
pub async fn revoke_others(
    app: Data<App>,
    person: Person,
    language: Language,
    visitor: Visitor,
) -> Outcome<HttpResponse> {
    let revoked = end_logins(&app, person, Which::AllBut(person.0.login_id), &visitor).await?;
    Ok(HttpResponse::Ok().json(RevokedView { message: OTHERS_ENDED.in_locale(language.0), revoked }))
}

async fn end_logins(app: &App, person: Person, which: Which, visitor: &Visitor) -> Outcome<usize> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    let revoked = conn
        .transaction(async |conn| {
            let ended = store::end(conn, person.0.user_id, which, "revoked", now).await?;
            let revoked = end::announce(app, conn, ended, now).await?;
            if revoked > 0 {
                let entry = Entry::of(person.0.user_id.0, "logins_revoked").with("logins", revoked);
                audit::record(app, conn, entry.from(visitor)).await?;
            }
            Outcome::Ok(revoked)
        })
        .await?;
    app.outbox.wake();
    Ok(revoked)
}
