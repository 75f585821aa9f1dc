//! The secrets of a measured gateway, and an access token it accepts.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::trouble::Trouble;

/// What auth and the gateway share; it opens nothing but the gateway started here.
pub(crate) const JWT_SECRET: &str = "maru-bench-secret-of-no-worth-0123456789";

/// How long a token is good for: longer than any run.
const LIFETIME_SECONDS: u64 = 24 * 3600;

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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = Claims {
        iss: "maru-auth",
        aud: "maru",
        sub: "8f14e45f-ceea-467f-8a3b-1c5b2f0e9d01",
        sid: "c9f0f895-fb98-4b91-9a4e-7d2a6e3c5b02",
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
    fn the_signing_key_can_be_read() {
        assert!(EncodingKey::from_ed_pem(signing_key().unwrap().as_bytes()).is_ok());
    }
}
