//! Logins: what a logout ends.
//!
//! A login is one row; its access tokens count while that row is not revoked. The row is the truth, and the gateways'
//! memory of revoked logins follows it through the outbox within a second.

pub mod keys;
#[expect(clippy::module_inception, reason = "the file is named after its endpoint, like every other")]
pub mod login;
pub mod logout;
pub mod notice;
pub mod revocations;
pub mod store;

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration as CookieDuration},
    http::header,
    web::{self, ServiceConfig},
};
use chassis::problem::{Outcome, Problem};
use diesel_async::AsyncPgConnection;
use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, config::AuthConfig, routes::ALIASES};

/// The cookie that holds the access token for browsers.
pub const ACCESS_COOKIE: &str = "maru_at";
/// Most of a `User-Agent` that is kept, characters.
const USER_AGENT_MAX: usize = 200;

/// Mounts the routes of logins.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/login").post(login::login))
        .service(web::resource("/auth/logout").post(logout::logout))
        .service(web::resource("/.well-known/jwks.json").get(keys::jwks))
        .service(web::resource("/internal/revocations").get(revocations::revocations));
    for prefix in ALIASES {
        cfg.service(web::resource(format!("{prefix}/login")).post(login::login))
            .service(web::resource(format!("{prefix}/logout")).post(logout::logout));
    }
}

/// The tokens of a new login.
#[derive(Serialize, ToSchema)]
pub struct TokensView {
    /// Access token (JWT), for `Authorization: Bearer`.
    pub access_token: String,
    /// The same, under the name some clients read.
    pub token: String,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// Writes a new login and issues its tokens; call in the transaction that proved who it is.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn begin(
    app: &App,
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    role: Role,
    user_agent: Option<String>,
) -> Outcome<TokensView> {
    let now = app.ground.clock.now();
    let life = app.config.jwt_expires_in;
    let principal = Principal { user_id, login_id: app.ground.clock.id::<LoginId>(), role };
    store::insert(conn, &store::NewLogin::new(principal, now, now + life, user_agent)).await?;
    let access_token = app.tokens.issue(principal, 0, now, life).map_err(Problem::unexpected)?;
    Ok(TokensView { token: access_token.clone(), access_token, token_type: "bearer", expires_in: life.as_secs() })
}

/// Returns what the client says it is, shortened.
pub fn user_agent(req: &HttpRequest) -> Option<String> {
    let text = req.headers().get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.chars().take(USER_AGENT_MAX).collect())
}

/// Makes the cookie that holds an access token, or clears it.
pub(crate) fn access_cookie(config: &AuthConfig, token: Option<&str>) -> Cookie<'static> {
    let (value, seconds) = match token {
        Some(token) => (token.to_owned(), config.jwt_expires_in.as_secs()),
        None => (String::new(), 0),
    };
    let secure = config.secure_cookies();
    Cookie::build(ACCESS_COOKIE, value)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(if secure { SameSite::None } else { SameSite::Lax })
        .max_age(CookieDuration::seconds(i64::try_from(seconds).unwrap_or_default()))
        .finish()
}
