//! Google's id token, read as strictly as our own.

use chassis::{
    jwt,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Duration, Utc};
use domain::fault::{Fault, Kind};
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::GoogleLogin;

/// Difference between two machines' clocks that is forgiven.
const LEEWAY: Duration = Duration::seconds(5);
/// Oldest token that is taken: a login takes seconds.
const OLDEST: Duration = Duration::minutes(10);
/// Longest subject, as Google promises.
const SUBJECT_MAX: usize = 255;

/// Not a token that Google made for us, just now.
pub const INVALID_GOOGLE_TOKEN: Fault = Fault::new(
    Kind::Unauthenticated,
    "invalid_google_token",
    "Google 로그인 정보를 확인할 수 없습니다.",
    "The Google login could not be verified.",
);

/// What an id token says, once it is believed.
#[derive(Clone, Debug, Deserialize)]
pub struct GoogleIdentity {
    iss: String,
    #[serde(deserialize_with = "one_or_many")]
    aud: Vec<String>,
    azp: Option<String>,
    iat: i64,
    /// When the token ends, seconds since 1970.
    pub exp: i64,
    /// Who it is there; never changes.
    pub sub: String,
    /// What the login was begun with.
    pub nonce: Option<String>,
    /// Address.
    pub email: Option<String>,
    /// Whether Google has proved it.
    #[serde(default, deserialize_with = "truth")]
    pub email_verified: bool,
    /// The Workspace domain the address belongs to.
    pub hd: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Address of a picture.
    pub picture: Option<String>,
}

impl GoogleIdentity {
    /// Returns whether Google itself gives the address out, so that nobody else can ever have it.
    pub fn is_authoritative(&self) -> bool {
        let is_gmail = self.email.as_deref().is_some_and(|email| email.to_lowercase().ends_with("@gmail.com"));
        self.email_verified && (is_gmail || self.hd.is_some())
    }
}

/// Verifies an id token.
///
/// # Errors
/// 401 `invalid_google_token`, 502 when Google's keys cannot be had.
pub async fn verify(google: &GoogleLogin, token: &str, now: DateTime<Utc>) -> Outcome<GoogleIdentity> {
    let header = jwt::header(token, Algorithm::RS256, "JWT").map_err(|refused| invalid(refused.0))?;
    let kid = header.kid.ok_or_else(|| invalid("no kid"))?;
    let key = google.keys.find(&kid).await?.ok_or_else(|| invalid("unknown kid"))?;
    let mut validation = Validation::new(Algorithm::RS256);
    // Time, issuer and audience are judged below.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let identity = jsonwebtoken::decode::<GoogleIdentity>(token, &key, &validation)
        .map_err(|_bad_signature_or_claims| invalid("signature or claims"))?
        .claims;
    judge(google, &identity, now).map_err(invalid)?;
    Ok(identity)
}

fn judge(google: &GoogleLogin, identity: &GoogleIdentity, now: DateTime<Utc>) -> Result<(), &'static str> {
    let issuer = google.issuer();
    // Google signs with and without the scheme.
    let is_issuer = identity.iss == issuer || issuer.strip_prefix("https://") == Some(identity.iss.as_str());
    let ours = |id: &str| google.client_ids.iter().any(|ours| ours == id);
    if !is_issuer {
        return Err("another issuer");
    }
    if identity.aud.is_empty() || !identity.aud.iter().any(|aud| ours(aud)) {
        return Err("another audience");
    }
    if identity.aud.len() > 1 && !identity.azp.as_deref().is_some_and(ours) {
        return Err("many audiences, and another party asked for it");
    }
    if identity.exp <= (now - LEEWAY).timestamp() {
        return Err("expired");
    }
    if identity.iat > (now + LEEWAY).timestamp() || identity.iat < (now - OLDEST).timestamp() {
        return Err("not made just now");
    }
    if identity.sub.is_empty() || identity.sub.len() > SUBJECT_MAX {
        return Err("no subject");
    }
    Ok(())
}

/// The reason is for a developer's eyes.
fn invalid(reason: &'static str) -> Problem {
    tracing::debug!(reason, "google id token refused");
    INVALID_GOOGLE_TOKEN.into()
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => many.into_iter().map(|aud| aud.as_str().map(ToOwned::to_owned)).collect::<Option<_>>(),
        _ => None,
    }
    .ok_or_else(|| de::Error::custom("not an audience"))
}

/// Google has written this as text too.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(truth) => truth,
        Value::String(text) => text == "true",
        _ => false,
    })
}
