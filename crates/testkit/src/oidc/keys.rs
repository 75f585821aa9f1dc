//! The provider's signing keys: one signs, those before it stay published until they are withdrawn.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Characters of a line of PEM (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// An RSA key of 2048 bits.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) kid: String,
    pair: KeyPair,
}

impl Key {
    fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("make an RSA key");
        let digest = Sha256::digest(pair.public_key().as_ref());
        Self { kid: hex::encode(digest.get(..20).unwrap_or_default()), pair }
    }

    /// Signs as RS256 does.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let signed = self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.expect("sign with an RSA key");
        signature
    }

    /// Returns the public key as PEM, which everybody has: an HMAC with it proves nothing.
    pub(super) fn public_pem(&self) -> String {
        let der = self.pair.public_key().as_der().expect("the public key");
        let text = STANDARD.encode(der.as_ref());
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for (index, character) in text.chars().enumerate() {
            if index > 0 && index % PEM_LINE == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem + "\n-----END PUBLIC KEY-----\n"
    }

    fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
        })
    }
}

/// All keys of a provider, the newest last, and one that it never publishes.
#[derive(Debug)]
pub(super) struct Keys {
    own: RwLock<Vec<Arc<Key>>>,
    foreign: OnceLock<Key>,
}

impl Keys {
    pub(super) fn generate() -> Self {
        Self { own: RwLock::new(vec![Arc::new(Key::generate())]), foreign: OnceLock::new() }
    }

    /// Returns the key that signs.
    pub(super) fn current(&self) -> Arc<Key> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(own.last().expect("a provider always has a key"))
    }

    /// Returns a key that the provider does not have, as a forger does.
    pub(super) fn foreign(&self) -> &Key {
        self.foreign.get_or_init(Key::generate)
    }

    pub(super) fn rotate(&self) -> String {
        let key = Arc::new(Key::generate());
        let kid = key.kid.clone();
        self.own.write().unwrap_or_else(PoisonError::into_inner).push(key);
        kid
    }

    pub(super) fn withdraw_old(&self) {
        let current = self.current();
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = vec![current];
    }

    /// Returns the published keys as a JSON Web Key Set.
    pub(super) fn jwks(&self) -> Value {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        json!({ "keys": own.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
    }
}
