//! An id_token before it is signed.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{CLIENT_SECRET, keys::Keys};

/// How a token is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// RS256 with the current key.
    #[default]
    Proper,
    /// RS256 with a key that the provider does not have, under the kid of the current one.
    ForeignKey,
    /// RS256 with a key that the provider does not have, under that key's kid.
    UnknownKid,
    /// HS256 with the client's secret.
    ClientSecret,
    /// HS256 with the public key's PEM as the secret, under the kid of the current key.
    PublicKey,
    /// Not at all: `alg` is `none` and the last part is empty.
    None,
}

/// An id_token that can still be changed.
///
/// What is changed here is covered by the signature: a verifier that checks no more than that lets it pass.
#[derive(Clone, Debug)]
pub struct Draft {
    keys: Arc<Keys>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signing: Signing,
}

impl Draft {
    pub(super) fn new(keys: Arc<Keys>, claims: Map<String, Value>) -> Self {
        Self { keys, header: Map::new(), claims, signing: Signing::Proper }
    }

    /// Adds or replaces a claim; `null` stays `null`.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Adds or replaces claims, and leaves out those that are `null`.
    ///
    /// # Panics
    /// When `claims` is not an object.
    #[must_use]
    pub fn claims(mut self, claims: Value) -> Self {
        let Value::Object(claims) = claims else { panic!("claims are an object, not {claims}") };
        for (name, value) in claims {
            self = if value.is_null() { self.without(&name) } else { self.claim(&name, value) };
        }
        self
    }

    /// Adds a header, or replaces one that the way of signing sets: `kid`, `alg`, `typ`.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Chooses how it is signed.
    #[must_use]
    pub fn signed(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }

    /// Signs it.
    pub fn sign(self) -> String {
        let current = self.keys.current();
        let (alg, kid) = match self.signing {
            Signing::Proper | Signing::ForeignKey => ("RS256", Some(&current.kid)),
            Signing::UnknownKid => ("RS256", Some(&self.keys.foreign().kid)),
            Signing::ClientSecret => ("HS256", None),
            Signing::PublicKey => ("HS256", Some(&current.kid)),
            Signing::None => ("none", None),
        };
        let mut header = Map::from_iter([("alg".to_owned(), json!(alg)), ("typ".to_owned(), json!("JWT"))]);
        header.extend(kid.map(|kid| ("kid".to_owned(), json!(kid))));
        header.extend(self.header);
        let message = format!("{}.{}", encode(header), encode(self.claims));
        let signature = match self.signing {
            Signing::Proper => current.sign(message.as_bytes()),
            Signing::ForeignKey | Signing::UnknownKid => self.keys.foreign().sign(message.as_bytes()),
            Signing::ClientSecret => hs256(CLIENT_SECRET, &message),
            Signing::PublicKey => hs256(&current.public_pem(), &message),
            Signing::None => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn encode(part: Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Object(part).to_string())
}

fn hs256(secret: &str, message: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}
