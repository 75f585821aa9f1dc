//! `GET /auth/google/login`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Query},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{
    principal::Anyone,
    problem::{Outcome, Problem, ProblemView},
};
use domain::fault::{Violations, common};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use utoipa::{IntoParams, ToSchema};

use super::{
    GOOGLE_LOGIN_NOT_CONFIGURED, GoogleLogin,
    state::{self, BROWSER_COOKIE},
};
use crate::{app::App, login::cookies};

/// Where the login is to come back to.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BeginQuery {
    /// One of the configured addresses, exactly; the first of them when it is left out.
    redirect_uri: Option<String>,
}

/// A login that has begun.
#[derive(Debug, Serialize, ToSchema)]
pub struct BegunView {
    /// Where to send the person.
    authorization_url: String,
    /// Comes back with the code; send both on. Good for ten minutes, in this browser, once.
    state: String,
    /// Send it along with the code: it proves that whoever began is who comes back.
    code_verifier: String,
}

/// Begins a login with Google.
#[utoipa::path(
    get, path = "/auth/google/login", tag = "logins", params(BeginQuery),
    responses(
        (status = 200, body = BegunView),
        (status = 422, description = "`invalid`: not a configured address", body = ProblemView),
        (status = 503, description = "`google_login_not_configured`", body = ProblemView)
    )
)]
pub async fn begin(
    app: Data<App>,
    _caller: Anyone,
    req: HttpRequest,
    query: Query<BeginQuery>,
) -> Outcome<HttpResponse> {
    let google = app.google.as_deref().ok_or(GOOGLE_LOGIN_NOT_CONFIGURED)?;
    let redirect_uri = choose_redirect(google, query.into_inner().redirect_uri.as_deref())?;
    // Two tabs of one browser may both be in the middle of a login.
    let browser = match cookies::read(&req, BROWSER_COOKIE) {
        Some(known) => known,
        None => state::random()?,
    };
    let (state, code_verifier) = (state::random()?, state::random()?);
    let mut conn = app.ground.pg.conn().await?;
    state::keep(&mut conn, (&state, &browser), redirect_uri, app.ground.clock.now()).await?;
    let authorization_url = authorization_url(google, redirect_uri, &state, &code_verifier);
    let cookie = cookies::cookie(&app.config, BROWSER_COOKIE, browser, state::LIFE.num_seconds());
    Ok(HttpResponse::Ok().cookie(cookie).json(BegunView {
        authorization_url: authorization_url.into(),
        state,
        code_verifier,
    }))
}

/// Returns the configured address that was asked for.
///
/// # Errors
/// 422 when it is none of them.
pub(super) fn choose_redirect<'g>(google: &'g GoogleLogin, asked: Option<&str>) -> Outcome<&'g str> {
    let mut configured = google.redirect_uris.iter().map(String::as_str);
    let chosen = match asked {
        Some(asked) => configured.find(|known| *known == asked),
        None => configured.next(),
    };
    chosen.ok_or_else(|| {
        let mut violations = Violations::new();
        violations.add(
            "/redirect_uri",
            "not_configured",
            "등록된 주소가 아닙니다.",
            "This is not one of the configured addresses.",
        );
        Problem::from(violations)
    })
}

fn authorization_url(google: &GoogleLogin, redirect_uri: &str, state: &str, code_verifier: &str) -> Url {
    let mut url = google.authorization_url.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", google.client_id())
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("scope", "openid email profile")
        .append_pair("state", state)
        .append_pair("nonce", &nonce(google, state))
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(code_verifier.as_bytes())))
        .append_pair("code_challenge_method", "S256");
    url
}

/// Makes the nonce of a state: it need not be kept, and nobody else can make it.
pub(super) fn nonce(google: &GoogleLogin, state: &str) -> String {
    URL_SAFE_NO_PAD.encode(google.nonce_mac.tag(state.as_bytes()))
}

/// Returns whether a nonce belongs to a state.
pub(super) fn is_nonce_of(google: &GoogleLogin, state: &str, nonce: &str) -> Outcome<bool> {
    let tag = URL_SAFE_NO_PAD.decode(nonce).map_err(|_not_ours| Problem::from(common::MALFORMED))?;
    Ok(google.nonce_mac.verify(state.as_bytes(), &tag))
}
