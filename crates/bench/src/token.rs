//! The secrets of what is measured, and tokens it accepts.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::json;

use crate::trouble::Trouble;

/// What auth and the gateway share; it opens nothing but the gateway started here.
pub(crate) const JWT_SECRET: &str = "maru-bench-secret-of-no-worth-0123456789";

/// The user of every token here, who exists nowhere.
pub(crate) const PERSON: &str = "8f14e45f-ceea-467f-8a3b-1c5b2f0e9d01";
/// That user's login.
const LOGIN: &str = "c9f0f895-fb98-4b91-9a4e-7d2a6e3c5b02";

/// How long a token is good for: longer than any run.
const LIFETIME_SECONDS: u64 = 24 * 3600;
/// How long an internal token is good for, as the gateway mints them.
const INTERNAL_LIFETIME_SECONDS: u64 = 60;
/// The id of the internal key: its owner's name, and a number.
const KEY_ID: &str = "gateway.1";

/// The claims of an access token as the auth service issues it.
#[derive(Debug, Serialize)]
struct Claims {
    iss: &'static str,
    aud: &'static str,
    sub: &'static str,
    sid: &'static str,
    role: &'static str,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// Returns an access token of a user who exists nowhere.
pub(crate) fn access_token() -> Result<String, Trouble> {
    let now = now();
    let claims = Claims {
        iss: "maru-auth",
        aud: "maru",
        sub: PERSON,
        sid: LOGIN,
        role: "user",
        iat: now,
        nbf: now,
        exp: now + LIFETIME_SECONDS,
    };
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes()))
        .map_err(|fault| Trouble::Broken(format!("no access token: {fault}")))
}

/// Returns a fresh Ed25519 key as PKCS#8 PEM, for the gateway's internal tokens.
pub(crate) fn signing_key() -> Result<String, Trouble> {
    let pair = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
    let document = pair.map_err(|fault| Trouble::Broken(format!("no signing key: {fault}")))?;
    let encoded = STANDARD.encode(document.as_ref());
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n"))
}

/// A gateway's key pair, for a service that is called without one in between.
pub(crate) struct InternalKey {
    key: EncodingKey,
    public_keys: String,
}

impl InternalKey {
    pub(crate) fn generate() -> Result<Self, Trouble> {
        let broken = |fault: String| Trouble::Broken(format!("no internal key: {fault}"));
        let pair = Ed25519KeyPair::generate().map_err(|fault| broken(fault.to_string()))?;
        let document = pair.to_pkcs8v1().map_err(|fault| broken(fault.to_string()))?;
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
        });
        let key = EncodingKey::from_ed_der(document.as_ref());
        Ok(Self { key, public_keys: json!({ "keys": [jwk] }).to_string() })
    }

    /// Returns what the service has to trust, as a JSON Web Key Set.
    pub(crate) fn public_keys(&self) -> &str {
        &self.public_keys
    }

    /// Returns a token for a request of [`PERSON`] that is passed on to `audience`.
    pub(crate) fn token(&self, audience: &str) -> Result<String, Trouble> {
        let now = now();
        let claims = json!({
            "iss": "gateway", "aud": audience, "sub": PERSON, "sid": LOGIN, "role": "user",
            "iat": now, "exp": now + INTERNAL_LIFETIME_SECONDS,
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("int+jwt".to_owned());
        header.kid = Some(KEY_ID.to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|fault| Trouble::Broken(format!("no internal token: {fault}")))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_token_is_what_the_gateway_expects() {
        let token = access_token().unwrap();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&["maru-auth"]);
        validation.set_audience(&["maru"]);
        validation.validate_nbf = true;
        let key = DecodingKey::from_secret(JWT_SECRET.as_bytes());
        let decoded = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(decoded.header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(decoded.claims["role"], "user");
    }

    #[test]
    fn an_internal_token_is_what_its_key_set_verifies() {
        let key = InternalKey::generate().unwrap();
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(key.public_keys()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&["gateway"]);
        validation.set_audience(&["session"]);
        let public = DecodingKey::from_jwk(&set.keys[0]).unwrap();
        let decoded = jsonwebtoken::decode::<Value>(&key.token("session").unwrap(), &public, &validation).unwrap();
        assert_eq!(decoded.header.kid, set.keys[0].common.key_id);
        assert_eq!(decoded.claims["sub"], PERSON);
    }

    #[test]
    fn the_signing_key_can_be_read() {
        assert!(EncodingKey::from_ed_pem(signing_key().unwrap().as_bytes()).is_ok());
    }
}
