//! The keys of all processes of a house.

use std::{collections::BTreeMap, sync::Arc};

use chassis::token::{KeyPair, Signer, SigningConfig};
use domain::principal::Service;
use serde_json::{Value, json};

/// A signing key for each process; clones share them.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<BTreeMap<Service, KeyPair>>);

impl KeyRing {
    /// Makes a key for the gateway and every service behind it.
    pub fn new() -> Self {
        let all = [Service::Gateway].into_iter().chain(Service::BEHIND_GATEWAY);
        let pair = |service| KeyPair::generate(&format!("{service}.1")).expect("make a key pair");
        Self(Arc::new(all.map(|service| (service, pair(service))).collect()))
    }

    /// Returns the public keys of all as one JSON Web Key Set.
    pub fn public_jwks(&self) -> String {
        let keys: Vec<Value> = self.0.values().flat_map(|pair| public_keys(&pair.public_jwks)).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Returns a process's key as its configuration has it.
    pub fn config(&self, service: Service) -> SigningConfig {
        SigningConfig { internal_signing_key: self.pair(service).private_pem.clone(), internal_signing_kid: None }
    }

    /// Returns a process's signer.
    pub fn signer(&self, service: Service) -> Signer {
        self.config(service).signer(service).expect("the key that was just made")
    }

    fn pair(&self, service: Service) -> &KeyPair {
        self.0.get(&service).expect("a key for every process")
    }
}

impl Default for KeyRing {
    fn default() -> Self {
        Self::new()
    }
}

fn public_keys(jwks: &str) -> Vec<Value> {
    let mut set: Value = serde_json::from_str(jwks).expect("a key set");
    match set.get_mut("keys").map(Value::take) {
        Some(Value::Array(keys)) => keys,
        _ => Vec::new(),
    }
}
