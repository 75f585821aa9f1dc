//! Login with Google, checked by hand.
//!
//! A login comes back in one of three forms: a code to be exchanged, a credential from Google's button, or an id token
//! from a phone. All end in an id token, and it counts only when Google signed it, for us, just now, and once. Who
//! somebody is there is the token's subject and never an address; which account that is here, `link` decides.

pub mod begin;
pub mod callback;
pub mod config;
pub mod id_token;
pub mod keys;
pub mod link;
pub mod peer;
pub mod proof;
pub mod state;

use actix_web::web::{self, ServiceConfig};
use chassis::{
    access::AccessConfig,
    clock::Clock,
    mac::Mac,
    problem::{Outcome, Problem},
};
use domain::fault::{Fault, Kind};
use secrecy::SecretString;
use url::Url;

use self::{config::GoogleConfig, keys::Keys, peer::Google};

/// There is no client id to log in with.
pub const GOOGLE_LOGIN_NOT_CONFIGURED: Fault = Fault::new(
    Kind::Unavailable,
    "google_login_not_configured",
    "Google 로그인이 설정되지 않았습니다.",
    "Google login has not been set up here.",
);

/// Mounts the routes.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/auth/google/login").get(begin::begin))
        .service(web::resource("/auth/google/callback").post(callback::callback))
        // Where Tiketi's client sends Google's credential.
        .service(web::resource("/api/auth/google").post(callback::callback));
}

/// What a login with Google needs.
pub struct GoogleLogin {
    /// Our client ids there; the first one is used to begin.
    pub client_ids: Vec<String>,
    /// Proves the first one when a code is exchanged.
    pub client_secret: Option<SecretString>,
    /// Who signs.
    pub issuer: Url,
    /// Where people are sent to.
    pub authorization_url: Url,
    /// Where they may come back to, exactly.
    pub redirect_uris: Vec<String>,
    /// Google's keys.
    pub keys: Keys,
    /// How Google is asked.
    pub peer: Google,
    /// Makes nonces of states.
    pub nonce_mac: Mac,
}

impl GoogleLogin {
    /// Takes the configuration, if there is one; asks nobody yet.
    ///
    /// # Errors
    /// Returns a problem when the HTTP client cannot be built.
    pub fn new(config: &GoogleConfig, access: &AccessConfig, public_url: &Url, clock: Clock) -> Outcome<Option<Self>> {
        let client_ids = config.client_ids();
        if client_ids.is_empty() {
            return Ok(None);
        }
        let peer = Google::new(config.google_token_url.clone()).map_err(Problem::unexpected)?;
        let own = public_url.join("/auth/google/callback").map(String::from).map_err(Problem::unexpected)?;
        let configured = config.redirect_uris();
        Ok(Some(Self {
            client_ids,
            client_secret: config.google_client_secret.clone(),
            issuer: config.google_issuer.clone(),
            authorization_url: config.google_authorization_url.clone(),
            redirect_uris: if configured.is_empty() { vec![own] } else { configured },
            keys: Keys::new(config.google_jwks_url.clone(), peer.clone(), clock),
            peer,
            nonce_mac: access.mac("google nonce"),
        }))
    }

    /// Returns the client id that logins begin with.
    pub fn client_id(&self) -> &str {
        self.client_ids.first().map_or("", String::as_str)
    }

    /// Returns the issuer as tokens and pages name it, without a slash at the end.
    pub fn issuer(&self) -> &str {
        self.issuer.as_str().trim_end_matches('/')
    }
}
