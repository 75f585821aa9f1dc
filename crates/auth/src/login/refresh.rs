//! `POST /auth/refresh`.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chassis::{
    optional_json::OptionalJson,
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::{Fault, Kind, common},
    principal::Principal,
    refresh::Verdict,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    begin::{TokensView, tokens},
    cookies, end,
    refresh_token::RefreshToken,
    store::{self, Which},
};
use crate::{
    account::store as accounts,
    app::App,
    audit::{self, Entry},
    mail::{self, Notice},
    visitor::{Page, Visitor},
};

/// A token was shown whose successor is at work: somebody has a copy. The login has ended.
pub const REFRESH_REUSED: Fault = Fault::new(
    Kind::Unauthenticated,
    "refresh_reused",
    "이미 사용된 갱신 토큰입니다. 안전을 위해 이 로그인을 종료했습니다.",
    "This refresh token was used before. To be safe, the login has been ended.",
);

/// The refresh token, unless it comes as a cookie.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// As the last answer gave it.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<SecretString>,
}

/// Exchanges a refresh token for new tokens.
///
/// Asking twice with the same token, at once or because the answer was lost, gives the same refresh token again. Once
/// the new tokens have been used, the old one ends the login. By cookie only from an allowed origin, and answered with
/// cookies too.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "logins", request_body = Option<RefreshRequest>,
    responses(
        (status = 200, body = TokensView),
        (status = 401, description = "`invalid_token`, or `refresh_reused`: the login has ended", body = ProblemView),
        (status = 403, description = "`origin_not_allowed`", body = ProblemView)
    )
)]
pub async fn refresh(
    app: Data<App>,
    _caller: Anyone,
    visitor: Visitor,
    page: Page,
    req: HttpRequest,
    body: OptionalJson<RefreshRequest>,
) -> Outcome<HttpResponse> {
    let (shown, by_cookie) = match body.0.refresh_token {
        Some(token) => (token, false),
        None => (from_cookie(&req, &page)?, true),
    };
    // Forged ones cost no query.
    let token = RefreshToken::read(shown.expose_secret(), &app.refresh_mac).ok_or(common::INVALID_TOKEN)?;
    app.limits.refresh(token.login_id)?;
    let tokens = exchange(&app, token, &visitor).await?;
    let mut response = HttpResponse::Ok();
    if by_cookie {
        let [access, refresh] = cookies::of(&app.config, &tokens);
        response.cookie(access).cookie(refresh);
    }
    Ok(response.json(tokens))
}

fn from_cookie(req: &HttpRequest, page: &Page) -> Outcome<SecretString> {
    let token = cookies::read(req, cookies::REFRESH_COOKIE).ok_or(common::UNAUTHENTICATED)?;
    page.require_allowed()?;
    Ok(SecretString::from(token))
}

async fn exchange(app: &App, token: RefreshToken, visitor: &Visitor) -> Outcome<TokensView> {
    let now = app.ground.clock.now();
    let access_ends_at = now + app.config.jwt_expires_in;
    let mut conn = app.ground.pg.conn().await?;
    let exchanged = store::exchange(&mut conn, token.login_id, token.counter, now, access_ends_at).await?;
    if let Some(principal) = exchanged {
        count("exchanged");
        return tokens(app, principal, token.counter + 1, now);
    }
    let found = store::find_exchangeable(&mut conn, token.login_id, now).await?;
    let Some(login) = found.filter(|login| !login.has_ended) else { return Err(common::INVALID_TOKEN.into()) };
    match login.chain.judge(token.counter, now) {
        // Somebody else's exchange came in between: the token before is judged by what it finds.
        Verdict::Repeat => {
            count("repeated");
            if !store::extend(&mut conn, token.login_id, access_ends_at).await? {
                return Err(common::INVALID_TOKEN.into());
            }
            tokens(app, login.principal, login.chain.counter, now)
        }
        Verdict::Reused => {
            count("reused");
            end_stolen(app, &mut conn, login.principal, visitor).await?;
            Err(REFRESH_REUSED.into())
        }
        Verdict::Exchange | Verdict::Unknown => Err(common::INVALID_TOKEN.into()),
    }
}

/// Ends a login that two hold, and tells its owner.
async fn end_stolen(app: &App, conn: &mut AsyncPgConnection, principal: Principal, visitor: &Visitor) -> Outcome<()> {
    let now = app.ground.clock.now();
    conn.transaction(async |conn| {
        let ended = store::end(conn, principal.user_id, Which::One(principal.login_id), "refresh_reused", now).await?;
        if end::announce(app, conn, ended, now).await? > 0 {
            audit::record(app, conn, Entry::of(principal.user_id.0, "refresh_reused").from(visitor)).await?;
            if let Some(user) = accounts::find(conn, principal.user_id).await? {
                mail::notify(app, conn, &user, Notice::LoginEnded).await?;
            }
        }
        Outcome::Ok(())
    })
    .await?;
    app.outbox.wake();
    Ok(())
}

fn count(verdict: &'static str) {
    metrics::counter!("refreshes_total", "verdict" => verdict).increment(1);
}
