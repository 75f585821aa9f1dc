//! `POST /auth/logout`.

use actix_web::{HttpResponse, web::Data};
use chassis::{edge::Language, principal::Anyone, problem::Outcome};
use diesel_async::AsyncConnection;
use domain::{contract::REVOCATIONS, locale::Text, principal::Principal};
use serde::Serialize;
use utoipa::ToSchema;

use super::{access_cookie, store};
use crate::app::App;

const GOODBYE: Text = Text::new("로그아웃되었습니다.", "You are logged out.");

/// Said to whoever leaves.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogoutView {
    /// For people.
    message: &'static str,
}

/// Ends the login this request was made with, and clears its cookie; twice is the same as once.
///
/// Every gateway refuses the login's tokens within a second. Without a login there is nothing to end, and the cookie is
/// cleared all the same.
#[utoipa::path(
    post, path = "/auth/logout", tag = "logins", security(("bearer" = [])),
    responses((status = 200, body = LogoutView))
)]
pub async fn logout(app: Data<App>, caller: Anyone, language: Language) -> Outcome<HttpResponse> {
    if let Some(principal) = caller.0 {
        end(&app, principal).await?;
    }
    let view = LogoutView { message: GOODBYE.in_locale(language.0) };
    Ok(HttpResponse::Ok().cookie(access_cookie(&app.config, None)).json(view))
}

async fn end(app: &App, principal: Principal) -> Outcome<()> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        if let Some(revocation) = store::revoke(conn, principal, "logout", now).await? {
            app.outbox.put(conn, REVOCATIONS, &revocation).await?;
        }
        Outcome::Ok(())
    })
    .await?;
    app.outbox.wake();
    Ok(())
}
