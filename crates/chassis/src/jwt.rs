//! JSON Web Tokens, read strictly.
//!
//! The library's defaults accept a token without issuer or audience, one with an unknown critical header, and one that
//! expired a minute ago. Here every claim is required and compared, the header may hold nothing but `alg`, `typ` and
//! `kid`, and time comes from the caller.

use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Serialize, de::DeserializeOwned};

/// Difference between two machines' clocks that is forgiven.
const LEEWAY: Duration = Duration::seconds(5);
/// Longest token that is looked at; ours have about 400 bytes.
const MAX_BYTES: usize = 4096;

/// Why a token is refused; never shown to the client in this detail.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

/// What must be true of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The header's `typ`.
    pub typ: &'a str,
    /// The claim `iss`.
    pub issuer: &'a str,
    /// The claim `aud`.
    pub audience: &'a str,
}

/// The registered claims every token of ours has.
pub trait Registered {
    /// Returns `(iss, aud, iat, exp)`; the last two in seconds since 1970.
    fn registered(&self) -> (&str, &str, i64, i64);
}

/// Signs claims.
///
/// # Errors
/// Returns the library's error when the key does not fit the algorithm.
pub fn sign(
    algorithm: Algorithm,
    typ: &str,
    kid: Option<&str>,
    claims: &impl Serialize,
    key: &EncodingKey,
) -> Result<String, jsonwebtoken::errors::Error> {
    let mut header = Header::new(algorithm);
    header.typ = Some(typ.to_owned());
    header.kid = kid.map(ToOwned::to_owned);
    jsonwebtoken::encode(&header, claims, key)
}

/// Reads a token's header, refusing whatever could steer verification.
///
/// # Errors
/// Refuses oversized tokens, other algorithms, other types, and any header parameter beyond `alg`, `typ`, `kid`.
pub fn header(token: &str, algorithm: Algorithm, typ: &str) -> Result<Header, Refused> {
    if token.len() > MAX_BYTES {
        return Err(Refused("too long"));
    }
    let raw = token.split('.').next().unwrap_or_default();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, raw)
        .map_err(|_bad_base64| Refused("header is not base64url"))?;
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(|_bad_json| Refused("header is not an object"))?;
    if object.keys().any(|key| !matches!(key.as_str(), "alg" | "typ" | "kid")) {
        return Err(Refused("header has a parameter that is not understood"));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_bad_header| Refused("header cannot be read"))?;
    if header.alg != algorithm {
        return Err(Refused("another algorithm"));
    }
    if header.typ.as_deref() != Some(typ) {
        return Err(Refused("another type of token"));
    }
    Ok(header)
}

/// Verifies a token's signature and every registered claim.
///
/// # Errors
/// Refuses a token that is not signed by `key`, not meant as `expected`, not yet valid or no longer valid at `now`.
pub fn verify<C: DeserializeOwned + Registered + Clone>(
    token: &str,
    algorithm: Algorithm,
    key: &DecodingKey,
    expected: Expected<'_>,
    now: DateTime<Utc>,
) -> Result<C, Refused> {
    header(token, algorithm, expected.typ)?;
    claims(token, algorithm, key, expected, now)
}

/// Verifies a token whose header was read: its signature and every registered claim.
///
/// # Errors
/// As [`verify`], but for what the header may hold.
pub fn claims<C: DeserializeOwned + Registered + Clone>(
    token: &str,
    algorithm: Algorithm,
    key: &DecodingKey,
    expected: Expected<'_>,
    now: DateTime<Utc>,
) -> Result<C, Refused> {
    let mut validation = Validation::new(algorithm);
    // Time is checked below against the caller's clock, the rest against exact values.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = jsonwebtoken::decode::<C>(token, key, &validation)
        .map_err(|_bad_signature_or_claims| Refused("signature or claims"))?
        .claims;
    let (issuer, audience, issued_at, expires_at) = claims.registered();
    if issuer != expected.issuer {
        return Err(Refused("another issuer"));
    }
    if audience != expected.audience {
        return Err(Refused("another audience"));
    }
    if issued_at > (now + LEEWAY).timestamp() {
        return Err(Refused("from the future"));
    }
    if expires_at <= (now - LEEWAY).timestamp() {
        return Err(Refused("expired"));
    }
    Ok(claims)
}
