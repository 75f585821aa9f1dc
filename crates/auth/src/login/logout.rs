//! `POST /auth/logout`.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chassis::{edge::Language, principal::Anyone, problem::Outcome};
use diesel_async::AsyncConnection;
use domain::{locale::Text, principal::Principal};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    cookies, end,
    refresh_token::RefreshToken,
    store::{self, Which},
};
use crate::{
    app::App,
    audit::{self, Entry},
    visitor::{Page, Visitor},
};

const GOODBYE: Text = Text::new("로그아웃되었습니다.", "You are logged out.");

/// Said to whoever leaves.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogoutView {
    /// For people.
    message: &'static str,
}

/// Ends the login this request was made with, and clears its cookies; twice is the same as once.
///
/// Every gateway refuses the login's tokens within a second, and its open sockets are closed. A browser whose access
/// token has run out is known by its refresh cookie. Without a login there is nothing to end, and the cookies are
/// cleared all the same.
#[utoipa::path(
    post, path = "/auth/logout", tag = "logins", security(("bearer" = [])),
    responses((status = 200, body = LogoutView))
)]
pub async fn logout(
    app: Data<App>,
    caller: Anyone,
    language: Language,
    visitor: Visitor,
    page: Page,
    req: HttpRequest,
) -> Outcome<HttpResponse> {
    let principal = match caller.0 {
        Some(principal) => Some(principal),
        None if page.is_allowed => by_cookie(&app, &req).await?,
        None => None,
    };
    if let Some(principal) = principal {
        leave(&app, principal, &visitor).await?;
    }
    let [access, refresh] = cookies::cleared(&app.config);
    let view = LogoutView { message: GOODBYE.in_locale(language.0) };
    Ok(HttpResponse::Ok().cookie(access).cookie(refresh).json(view))
}

async fn by_cookie(app: &App, req: &HttpRequest) -> Outcome<Option<Principal>> {
    let shown = cookies::read(req, cookies::REFRESH_COOKIE);
    let Some(token) = shown.and_then(|text| RefreshToken::read(&text, &app.refresh_mac)) else { return Ok(None) };
    let mut conn = app.ground.pg.conn().await?;
    let found = store::find_exchangeable(&mut conn, token.login_id, app.ground.clock.now()).await?;
    Ok(found.map(|login| login.principal))
}

async fn leave(app: &App, principal: Principal, visitor: &Visitor) -> Outcome<()> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let ended = store::end(conn, principal.user_id, Which::One(principal.login_id), "logout", now).await?;
        if end::announce(app, conn, ended, now).await? > 0 {
            audit::record(app, conn, Entry::of(principal.user_id.0, "logged_out").from(visitor)).await?;
        }
        Outcome::Ok(())
    })
    .await?;
    app.outbox.wake();
    Ok(())
}
