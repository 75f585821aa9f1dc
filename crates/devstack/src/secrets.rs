//! Keys of the development stack.
//!
//! Made once per data directory, so that logins and uploads of yesterday still work today, and kept in a file that
//! only its owner can read. None of them is ever written to the terminal or to a log.

use std::path::Path;

use aws_lc_rs::{
    rand,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{fault::Fault, files};

/// Name of the gateway's signing key in the set of public keys.
pub(crate) const SIGNING_KEY_ID: &str = "gateway.1";

/// The keys that the services are started with. Has no `Debug`, so that it cannot be logged.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// `JWT_SECRET`: 48 random bytes, base64.
    pub(crate) jwt_secret: String,
    /// `INTERNAL_SIGNING_KEY`: Ed25519, PKCS#8, PEM.
    pub(crate) internal_signing_key: String,
    /// `INTERNAL_PUBLIC_KEYS`: the matching public key as a JWKS document.
    pub(crate) internal_public_keys: String,
    /// Key id of the embedded object store.
    pub(crate) s3_access_key_id: String,
    /// Key of the embedded object store.
    pub(crate) s3_secret_access_key: String,
}

impl Secrets {
    /// Reads the keys, or makes them when there are none yet.
    pub(crate) fn load_or_make(path: &Path) -> Result<Self, Fault> {
        if let Some(kept) = files::read_json(path) {
            return Ok(kept);
        }
        let made = Self::make()?;
        files::replace_json(path, &made)?;
        Ok(made)
    }

    /// Makes fresh keys.
    pub(crate) fn make() -> Result<Self, Fault> {
        let document = Ed25519KeyPair::generate_pkcs8v1(&rand::SystemRandom::new()).map_err(no_randomness)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(no_randomness)?;
        Ok(Self {
            jwt_secret: BASE64_STANDARD.encode(random_bytes::<48>()?),
            internal_signing_key: pem(document.as_ref()),
            internal_public_keys: jwks(SIGNING_KEY_ID, pair.public_key().as_ref()),
            s3_access_key_id: format!("MARU{}", hex::encode_upper(random_bytes::<8>()?)),
            s3_secret_access_key: hex::encode(random_bytes::<24>()?),
        })
    }
}

/// A fresh password that needs no escaping anywhere: 48 hexadecimal digits.
pub(crate) fn password() -> Result<String, Fault> {
    Ok(hex::encode(random_bytes::<24>()?))
}

/// A random number, for the choice of a port or a name.
pub(crate) fn random_u16() -> Result<u16, Fault> {
    Ok(u16::from_ne_bytes(random_bytes()?))
}

fn random_bytes<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

fn no_randomness(error: impl std::fmt::Display) -> Fault {
    Fault::new(format!("could not make a key ({error})"), "check that this machine has a source of randomness")
}

fn pem(der: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(der);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

fn jwks(kid: &str, public_key: &[u8]) -> String {
    json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid,
        "x": BASE64_URL_SAFE_NO_PAD.encode(public_key),
    }] })
    .to_string()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, jwk::JwkSet};
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_the_signing_key_signs_the_public_keys_verify() {
        let secrets = Secrets::make().expect("randomness");
        let key = EncodingKey::from_ed_pem(secrets.internal_signing_key.as_bytes()).expect("a PEM key");
        let header = Header { kid: Some(SIGNING_KEY_ID.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &json!({ "sub": "x", "exp": 4_000_000_000_u64 }), &key).expect("a token");

        let set: JwkSet = serde_json::from_str(&secrets.internal_public_keys).expect("a JWKS document");
        let public = DecodingKey::from_jwk(set.find(SIGNING_KEY_ID).expect("the key by its id")).expect("a public key");
        let claims = decode::<Value>(&token, &public, &Validation::new(Algorithm::EdDSA)).expect("verified").claims;
        assert_eq!(claims["sub"], "x");
    }

    #[test]
    fn the_token_secret_carries_48_bytes() {
        let secrets = Secrets::make().expect("randomness");
        assert_eq!(BASE64_STANDARD.decode(&secrets.jwt_secret).expect("base64").len(), 48);
    }
}
