//! What browsers keep of a login, where no script can read it.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration as CookieDuration},
};

use super::begin::{Lasting, TokensView};
use crate::config::AuthConfig;

/// Holds the access token.
pub const ACCESS_COOKIE: &str = "maru_at";
/// Holds the refresh token.
pub const REFRESH_COOKIE: &str = "maru_rt";

/// Makes the cookies of a login.
pub fn of(config: &AuthConfig, tokens: &TokensView) -> [Cookie<'static>; 2] {
    let life = i64::try_from(tokens.expires_in).unwrap_or_default();
    // The server knows better when a login ends; the browser may keep the cookie for as long as any could last.
    let longest = Lasting::of(domain::principal::Role::User).at_most.num_seconds();
    [
        cookie(config, ACCESS_COOKIE, tokens.access_token.clone(), life),
        cookie(config, REFRESH_COOKIE, tokens.refresh_token.clone(), longest),
    ]
}

/// Makes the cookies that clear those.
pub fn cleared(config: &AuthConfig) -> [Cookie<'static>; 2] {
    [ACCESS_COOKIE, REFRESH_COOKIE].map(|name| cookie(config, name, String::new(), 0))
}

/// Makes a cookie that lasts for some seconds: across sites over https, on its own site over plain http.
pub fn cookie(config: &AuthConfig, name: &'static str, value: String, seconds: i64) -> Cookie<'static> {
    let secure = config.secure_cookies();
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(if secure { SameSite::None } else { SameSite::Lax })
        .max_age(CookieDuration::seconds(seconds))
        .finish()
}

/// Returns the value of a cookie that is not empty.
pub fn read(req: &HttpRequest, name: &str) -> Option<String> {
    req.cookie(name).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}
