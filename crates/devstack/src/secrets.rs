//! Keys of the development stack.
//!
//! Made once per data directory, so that logins and uploads of yesterday still work today, and kept in a file that
//! only its owner can read. None of them is ever written to the terminal or to a log.

use std::{collections::BTreeMap, path::Path};

use aws_lc_rs::{
    rand,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    fault::Fault,
    files,
    services::{GATEWAY, SERVICES},
};

/// Name of a process's signing key in the set of public keys.
pub(crate) fn key_id(process: &str) -> String {
    format!("{process}.1")
}

/// The processes that have a signing key.
fn signers() -> impl Iterator<Item = &'static str> {
    std::iter::once(GATEWAY).chain(SERVICES)
}

/// The keys that the services are started with. Has no `Debug`, so that it cannot be logged.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    /// `JWT_SECRET`: 48 random bytes, base64.
    pub(crate) jwt_secret: String,
    /// `PARTICIPANT_SECRET`: 48 random bytes, base64.
    #[serde(default)]
    pub(crate) participant_secret: String,
    /// `TICKET_SECRET`: 48 random bytes, base64.
    #[serde(default)]
    pub(crate) ticket_secret: String,
    /// `EMOTION_MASTER_KEY`: 32 random bytes, base64. With it go the conversations of this data directory.
    #[serde(default)]
    pub(crate) emotion_master_key: String,
    /// `INTERNAL_SIGNING_KEY` of each process: Ed25519, PKCS#8, PEM.
    #[serde(default)]
    pub(crate) signing_keys: BTreeMap<String, String>,
    /// `INTERNAL_PUBLIC_KEYS`: the matching public keys as a JWKS document.
    #[serde(default)]
    pub(crate) internal_public_keys: String,
    /// Key id of the embedded object store.
    pub(crate) s3_access_key_id: String,
    /// Key of the embedded object store.
    pub(crate) s3_secret_access_key: String,
}

impl Secrets {
    /// Reads the keys, or makes them when there are none yet.
    pub(crate) fn load_or_make(path: &Path) -> Result<Self, Fault> {
        let kept: Option<Self> = files::read_json(path);
        let mut secrets = match kept {
            Some(secrets) if secrets.is_complete() => return Ok(secrets),
            Some(secrets) => secrets,
            None => Self::make()?,
        };
        // Kept by an older version: nobody is logged out for the sake of keys that live for a minute.
        secrets.make_signing_keys()?;
        if secrets.participant_secret.is_empty() {
            secrets.participant_secret = shared_secret()?;
        }
        if secrets.ticket_secret.is_empty() {
            secrets.ticket_secret = shared_secret()?;
        }
        if secrets.emotion_master_key.is_empty() {
            secrets.emotion_master_key = master_key()?;
        }
        files::replace_json(path, &secrets)?;
        Ok(secrets)
    }

    /// Makes fresh keys.
    pub(crate) fn make() -> Result<Self, Fault> {
        let mut secrets = Self {
            jwt_secret: shared_secret()?,
            participant_secret: shared_secret()?,
            ticket_secret: shared_secret()?,
            emotion_master_key: master_key()?,
            signing_keys: BTreeMap::new(),
            internal_public_keys: String::new(),
            s3_access_key_id: format!("MARU{}", hex::encode_upper(random_bytes::<8>()?)),
            s3_secret_access_key: hex::encode(random_bytes::<24>()?),
        };
        secrets.make_signing_keys()?;
        Ok(secrets)
    }

    /// Returns whether nothing is missing that this version needs.
    fn is_complete(&self) -> bool {
        signers().all(|name| self.signing_keys.contains_key(name))
            && ![&self.participant_secret, &self.ticket_secret, &self.emotion_master_key]
                .into_iter()
                .any(String::is_empty)
    }

    /// Gives every process a key of its own.
    fn make_signing_keys(&mut self) -> Result<(), Fault> {
        let mut public = Vec::new();
        self.signing_keys.clear();
        for name in signers() {
            let document = Ed25519KeyPair::generate_pkcs8v1(&rand::SystemRandom::new()).map_err(no_randomness)?;
            let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(no_randomness)?;
            self.signing_keys.insert(name.to_owned(), pem(document.as_ref()));
            public.push(jwk(&key_id(name), pair.public_key().as_ref()));
        }
        self.internal_public_keys = json!({ "keys": public }).to_string();
        Ok(())
    }
}

/// A fresh secret for keyed digests: 48 random bytes, base64.
fn shared_secret() -> Result<String, Fault> {
    Ok(BASE64_STANDARD.encode(random_bytes::<48>()?))
}

/// A fresh key for AES-256: 32 random bytes, base64.
fn master_key() -> Result<String, Fault> {
    Ok(BASE64_STANDARD.encode(random_bytes::<32>()?))
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

fn jwk(kid: &str, public_key: &[u8]) -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid,
        "x": BASE64_URL_SAFE_NO_PAD.encode(public_key),
    })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, jwk::JwkSet};

    use super::*;

    #[test]
    fn what_the_signing_key_signs_the_public_keys_verify() {
        let secrets = Secrets::make().expect("randomness");
        let set: JwkSet = serde_json::from_str(&secrets.internal_public_keys).expect("a JWKS document");
        assert_eq!(set.keys.len(), secrets.signing_keys.len());
        for (process, pem) in &secrets.signing_keys {
            let kid = key_id(process);
            let key = EncodingKey::from_ed_pem(pem.as_bytes()).expect("a PEM key");
            let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
            let token = encode(&header, &json!({ "sub": "x", "exp": 4_000_000_000_u64 }), &key).expect("a token");
            let public = DecodingKey::from_jwk(set.find(&kid).expect("the key by its id")).expect("a public key");
            let claims = decode::<Value>(&token, &public, &Validation::new(Algorithm::EdDSA)).expect("verified").claims;
            assert_eq!(claims["sub"], "x");
        }
    }

    #[test]
    fn secrets_of_an_older_version_keep_logins_and_files_and_get_the_keys_they_lack() {
        let path = std::env::temp_dir().join(format!("maru-secrets-{}", std::process::id()));
        let old = json!({
            "jwt_secret": "kept", "internal_signing_key": "x", "internal_public_keys": "{}",
            "s3_access_key_id": "kept", "s3_secret_access_key": "kept",
        });
        std::fs::write(&path, old.to_string()).expect("written");
        let first = Secrets::load_or_make(&path).expect("read");
        let second = Secrets::load_or_make(&path).expect("read again");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!((first.jwt_secret.as_str(), first.s3_secret_access_key.as_str()), ("kept", "kept"));
        assert_eq!(first.signing_keys.len(), 6);
        assert_eq!(first.signing_keys, second.signing_keys);
        assert_eq!(first.participant_secret, second.participant_secret);
        assert_eq!(BASE64_STANDARD.decode(&first.participant_secret).expect("base64").len(), 48);
        assert_eq!(first.ticket_secret, second.ticket_secret);
        assert_eq!(BASE64_STANDARD.decode(&first.ticket_secret).expect("base64").len(), 48);
        assert_eq!(first.emotion_master_key, second.emotion_master_key);
        assert_eq!(BASE64_STANDARD.decode(&first.emotion_master_key).expect("base64").len(), 32);
    }

    #[test]
    fn the_token_secret_carries_48_bytes() {
        let secrets = Secrets::make().expect("randomness");
        assert_eq!(BASE64_STANDARD.decode(&secrets.jwt_secret).expect("base64").len(), 48);
    }
}
