//! The three forms in which a login with Google comes back, and how each is made into an id token that counts once.

use actix_web::HttpRequest;
use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::ExpressionMethods;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::fault::{Fault, Kind, Violations, common};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{
    GoogleLogin,
    begin::{choose_redirect, is_nonce_of},
    id_token::{self, GoogleIdentity, INVALID_GOOGLE_TOKEN},
    peer::CodeExchange,
    state::{self, BROWSER_COOKIE, INVALID_STATE},
};
use crate::{app::App, login::cookies, schema::used_proofs};

/// The cookie that Google's button sets on the page's own site.
const CSRF_COOKIE: &str = "g_csrf_token";
/// The form was not sent by the page Google's button stands on.
pub const CSRF_MISMATCH: Fault = Fault::new(
    Kind::Forbidden,
    "csrf_mismatch",
    "요청의 출처를 확인할 수 없습니다.",
    "It could not be verified where this request comes from.",
);

/// A login with Google, in exactly one of its forms.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackRequest {
    /// The code, as it came back.
    #[schema(value_type = Option<String>)]
    code: Option<SecretString>,
    /// What the login was begun with.
    #[schema(value_type = Option<String>)]
    code_verifier: Option<SecretString>,
    /// Where the code was sent to; one of the configured addresses.
    redirect_uri: Option<String>,
    /// As it came back; needed when the login was begun here.
    state: Option<String>,
    /// What Google's button gives.
    #[schema(value_type = Option<String>)]
    credential: Option<SecretString>,
    /// Its cookie, repeated.
    g_csrf_token: Option<String>,
    /// What Google's button also says; nothing is made of it.
    #[serde(rename = "select_by")]
    _select_by: Option<String>,
    /// What Google's button also says; nothing is made of it.
    #[serde(rename = "clientId", alias = "client_id")]
    _client_id: Option<String>,
    /// What Google's library on a phone gives.
    #[schema(value_type = Option<String>)]
    id_token: Option<SecretString>,
    /// What it was asked with.
    nonce: Option<String>,
}

/// One form of a login.
pub enum Form {
    /// A code, to be exchanged.
    #[expect(missing_docs, reason = "the fields of `CallbackRequest`")]
    Code {
        code: SecretString,
        code_verifier: Option<SecretString>,
        redirect_uri: Option<String>,
        state: Option<String>,
    },
    /// A credential of Google's button.
    #[expect(missing_docs, reason = "the fields of `CallbackRequest`")]
    Credential { credential: SecretString, g_csrf_token: Option<String> },
    /// An id token of a phone.
    #[expect(missing_docs, reason = "the fields of `CallbackRequest`")]
    IdToken { id_token: SecretString, nonce: Option<String> },
}

impl TryFrom<CallbackRequest> for Form {
    type Error = Violations;

    fn try_from(request: CallbackRequest) -> Result<Self, Violations> {
        let CallbackRequest {
            code, code_verifier, redirect_uri, state, credential, g_csrf_token, id_token, nonce, ..
        } = request;
        let belongs_to_code = code_verifier.is_some() || redirect_uri.is_some() || state.is_some();
        match (code, credential, id_token) {
            (Some(code), None, None) if g_csrf_token.is_none() && nonce.is_none() => {
                Ok(Self::Code { code, code_verifier, redirect_uri, state })
            }
            (None, Some(credential), None) if !belongs_to_code && nonce.is_none() => {
                Ok(Self::Credential { credential, g_csrf_token })
            }
            (None, None, Some(id_token)) if !belongs_to_code && g_csrf_token.is_none() => {
                Ok(Self::IdToken { id_token, nonce })
            }
            _ => {
                let mut violations = Violations::new();
                violations.add(
                    "",
                    "one_form",
                    "code, credential, id_token 중 한 가지 형식만 보내 주세요.",
                    "Send exactly one of code, credential and id_token, with what belongs to it.",
                );
                Err(violations)
            }
        }
    }
}

impl Form {
    /// Proves who somebody is at Google.
    ///
    /// # Errors
    /// 4xx for what cannot be believed, 502 when Google is away.
    pub async fn prove(
        self,
        app: &App,
        google: &GoogleLogin,
        req: &HttpRequest,
        is_form: bool,
    ) -> Outcome<GoogleIdentity> {
        let now = app.ground.clock.now();
        let (token, identity) = match self {
            Self::Code { code, code_verifier, redirect_uri, state } => {
                let state = take_state(app, req, state.as_deref(), now).await?;
                let redirect_uri = choose_redirect(google, redirect_uri.as_deref().or(state.redirect_uri.as_deref()))?;
                if state.redirect_uri.as_deref().is_some_and(|begun_with| begun_with != redirect_uri) {
                    return Err(INVALID_STATE.into());
                }
                let exchange = CodeExchange {
                    client_id: google.client_id(),
                    client_secret: google.client_secret.as_ref(),
                    code: code.expose_secret(),
                    redirect_uri,
                    code_verifier: code_verifier.as_ref().map(ExposeSecret::expose_secret),
                };
                let token = google.peer.exchange(exchange).await?;
                let identity = id_token::verify(google, token.expose_secret(), now).await?;
                state.judge_nonce(google, identity.nonce.as_deref())?;
                (token, identity)
            }
            Self::Credential { credential, g_csrf_token } => {
                judge_csrf(req, g_csrf_token.as_deref(), is_form)?;
                let identity = id_token::verify(google, credential.expose_secret(), now).await?;
                (credential, identity)
            }
            Self::IdToken { id_token, nonce } => {
                let identity = id_token::verify(google, id_token.expose_secret(), now).await?;
                // Whoever asked with a nonce says which; a token of somebody else's has another one.
                if identity.nonce != nonce {
                    return Err(INVALID_GOOGLE_TOKEN.into());
                }
                (id_token, identity)
            }
        };
        let mut conn = app.ground.pg.conn().await?;
        use_once(&mut conn, token.expose_secret(), &identity).await?;
        Ok(identity)
    }
}

/// The state of a code: begun here, or somewhere else.
struct BegunState {
    state: Option<String>,
    redirect_uri: Option<String>,
}

impl BegunState {
    fn judge_nonce(&self, google: &GoogleLogin, nonce: Option<&str>) -> Outcome<()> {
        let Some(state) = &self.state else { return Ok(()) };
        match nonce {
            Some(nonce) if is_nonce_of(google, state, nonce)? => Ok(()),
            _ => Err(INVALID_GOOGLE_TOKEN.into()),
        }
    }
}

/// Takes the state of a login that was begun here. A client that has begun by itself sends none, and its browser has no
/// cookie of ours; a browser in which a login was begun here has to come back with it.
async fn take_state(app: &App, req: &HttpRequest, state: Option<&str>, now: DateTime<Utc>) -> Outcome<BegunState> {
    match (state, cookies::read(req, BROWSER_COOKIE)) {
        (Some(state), Some(browser)) => {
            let mut conn = app.ground.pg.conn().await?;
            let redirect_uri = state::take(&mut conn, (state, &browser), now).await?;
            Ok(BegunState { state: Some(state.to_owned()), redirect_uri: Some(redirect_uri) })
        }
        (None, None) => Ok(BegunState { state: None, redirect_uri: None }),
        _ => Err(INVALID_STATE.into()),
    }
}

/// A form that is sent by a page other than the one Google's button stands on lacks its cookie.
fn judge_csrf(req: &HttpRequest, g_csrf_token: Option<&str>, is_form: bool) -> Outcome<()> {
    let cookie = cookies::read(req, CSRF_COOKIE);
    match (cookie.as_deref(), g_csrf_token) {
        (Some(cookie), Some(told)) if cookie == told => Ok(()),
        // A page that calls with JSON has been asked for its origin; the button's cookie may lie around.
        (_, None) if !is_form => Ok(()),
        _ => Err(CSRF_MISMATCH.into()),
    }
}

/// Lets an id token and its nonce count once, for as long as they could be shown again.
async fn use_once(conn: &mut AsyncPgConnection, token: &str, identity: &GoogleIdentity) -> Outcome<()> {
    let expires_at = DateTime::from_timestamp(identity.exp, 0).ok_or(INVALID_GOOGLE_TOKEN)?;
    // A signature can be spelled in more than one way; what was signed cannot.
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    let nonce = identity.nonce.as_deref().map(|nonce| format!("nonce\n{nonce}"));
    let proofs = [Some(format!("token\n{signed}")), nonce].into_iter().flatten();
    let rows: Vec<_> = proofs
        .map(|proof| {
            let hash = Sha256::digest(proof.as_bytes()).to_vec();
            (used_proofs::hash.eq(hash), used_proofs::expires_at.eq(expires_at + chrono::Duration::minutes(1)))
        })
        .collect();
    let shown = rows.len();
    let new = diesel::insert_into(used_proofs::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    if new == shown { Ok(()) } else { Err(Problem::from(INVALID_GOOGLE_TOKEN)) }
}

/// Reads the body of a callback: JSON, or the form that Google's button sends.
///
/// # Errors
/// 400 and 415.
pub fn read(req: &HttpRequest, body: &[u8]) -> Outcome<(CallbackRequest, bool)> {
    use actix_web::{HttpMessage, error::JsonPayloadError};
    match req.content_type() {
        "application/json" => {
            let read = serde_json::from_slice(body);
            let read = read.map_err(|error| chassis::edge::json_refused(JsonPayloadError::Deserialize(error)))?;
            Ok((read, false))
        }
        "application/x-www-form-urlencoded" => {
            let read = serde_urlencoded::from_bytes(body);
            Ok((read.map_err(|_malformed| Problem::from(common::MALFORMED))?, true))
        }
        _ => Err(common::UNSUPPORTED_MEDIA.into()),
    }
}
