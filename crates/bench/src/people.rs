//! Many people and their tokens: what an auth service and a gateway would have given them.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::{token::JWT_SECRET, trouble::Trouble};

/// The id of the internal key: its owner's name, and a number.
const KEY_ID: &str = "gateway.1";
/// How long an access token is good for, seconds: longer than any run.
const LIFETIME: u64 = 24 * 3600;
/// How long an internal token is good for, seconds: as the gateway mints them.
const INTERNAL_LIFETIME: u64 = 60;

/// A gateway's key pair and what the gateway shares with the auth service.
pub(crate) struct Keys {
    internal: EncodingKey,
    shared: EncodingKey,
    /// The private key, PKCS#8 PEM.
    pub(crate) private_pem: String,
    /// The public one, as a JSON Web Key Set.
    pub(crate) public_set: String,
}

/// Whose token is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A service behind the gateway takes the gateway's word, for a minute.
    Ticketing,
    /// The gateway takes what the auth service gave.
    Gateway,
}

impl Keys {
    pub(crate) fn generate() -> Result<Self, Trouble> {
        let broken = |fault: String| Trouble::Broken(format!("no keys: {fault}"));
        let pair = Ed25519KeyPair::generate().map_err(|fault| broken(fault.to_string()))?;
        let document = pair.to_pkcs8v1().map_err(|fault| broken(fault.to_string()))?;
        let encoded = STANDARD.encode(document.as_ref());
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
        });
        Ok(Self {
            internal: EncodingKey::from_ed_der(document.as_ref()),
            shared: EncodingKey::from_secret(JWT_SECRET.as_bytes()),
            private_pem: format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n"),
            public_set: json!({ "keys": [jwk] }).to_string(),
        })
    }

    /// Returns a token of somebody.
    pub(crate) fn token(&self, audience: Audience, person: &str) -> Result<String, Trouble> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (algorithm, typ, key, claims) = match audience {
            Audience::Ticketing => {
                let claims = json!({
                    "iss": "gateway", "aud": "ticketing", "sub": person, "sid": person, "role": "user",
                    "iat": now, "exp": now + INTERNAL_LIFETIME,
                });
                (Algorithm::EdDSA, "int+jwt", &self.internal, claims)
            }
            Audience::Gateway => {
                let claims = json!({
                    "iss": "maru-auth", "aud": "maru", "sub": person, "sid": person, "role": "user",
                    "iat": now, "nbf": now, "exp": now + LIFETIME,
                });
                (Algorithm::HS256, "at+jwt", &self.shared, claims)
            }
        };
        let mut header = Header::new(algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = (audience == Audience::Ticketing).then(|| KEY_ID.to_owned());
        jsonwebtoken::encode(&header, &claims, key).map_err(|fault| Trouble::Broken(format!("no token: {fault}")))
    }

    /// Returns tokens of many people.
    pub(crate) fn tokens(&self, audience: Audience, people: &[String]) -> Result<Arc<[String]>, Trouble> {
        people.iter().map(|person| self.token(audience, person)).collect()
    }
}

/// Returns so many people's ids: random, as those of accounts are not made one after the other.
pub(crate) fn people(count: usize) -> Result<Arc<[String]>, Trouble> {
    (0..count).map(|_| random_id()).collect()
}

/// Returns a random UUID of version 4.
pub(crate) fn random_id() -> Result<String, Trouble> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|fault| Trouble::Broken(format!("no randomness: {fault}")))?;
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{number:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    #[test]
    fn ids_are_random_uuids() {
        let id = random_id().unwrap();
        assert_eq!((id.len(), id.chars().nth(14)), (36, Some('4')));
        assert_ne!(id, random_id().unwrap());
    }

    #[test]
    fn a_token_names_its_person() {
        let (keys, person) = (Keys::generate().unwrap(), random_id().unwrap());
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&keys.public_set).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["ticketing"]);
        let public = DecodingKey::from_jwk(&set.keys[0]).unwrap();
        let token = keys.token(Audience::Ticketing, &person).unwrap();
        assert_eq!(jsonwebtoken::decode::<Value>(&token, &public, &validation).unwrap().claims["sub"], person);
        assert!(EncodingKey::from_ed_pem(keys.private_pem.as_bytes()).is_ok());
    }
}
