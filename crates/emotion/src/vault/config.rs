//! The master keys, as configuration gives them.

use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{
    config::{Environment, Faults},
    problem::{Outcome, Problem},
};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{Vault, master::MasterKey};

/// Bytes of a master key: AES-256.
pub(super) const KEY_BYTES: usize = 32;
/// What a developer's machine seals with when it was given no key. Everybody knows it: it keeps nothing secret.
const DEVELOPMENT_KEY: &[u8; KEY_BYTES] = b"maru: nobody's secret, only here";

/// The keys that wrap people's keys.
#[derive(Args, Clone, Debug, Default)]
pub struct VaultConfig {
    /// Key that wraps the keys of what people wrote: 32 bytes in base64. Who loses it has lost every conversation.
    #[arg(long, env = "EMOTION_MASTER_KEY")]
    pub emotion_master_key: Option<SecretString>,
    /// The key before this one: what it wrapped is still read, and wrapped anew.
    #[arg(long, env = "EMOTION_MASTER_KEY_PREVIOUS")]
    pub emotion_master_key_previous: Option<SecretString>,
}

impl VaultConfig {
    /// Checks the form of both; outside development there must be one.
    pub fn validate(&self, environment: Environment, faults: &mut Faults) {
        if self.emotion_master_key.is_none() && environment != Environment::Development {
            faults.add("EMOTION_MASTER_KEY", "is not set (try: openssl rand -base64 32)");
        }
        for (key, secret) in [
            ("EMOTION_MASTER_KEY", &self.emotion_master_key),
            ("EMOTION_MASTER_KEY_PREVIOUS", &self.emotion_master_key_previous),
        ] {
            if secret.as_ref().is_some_and(|secret| decode(secret).is_none()) {
                faults.add(key, "is not 32 bytes in base64 (try: openssl rand -base64 32)");
            }
        }
    }

    /// Opens the vault.
    ///
    /// # Errors
    /// Returns a problem when a key is not of the form that [`validate`](Self::validate) asks for.
    pub fn open(&self) -> Outcome<Vault> {
        let read = |secret: &SecretString| {
            let bytes = decode(secret).ok_or_else(|| Problem::unexpected("a master key is not 32 bytes in base64"))?;
            MasterKey::new(&bytes)
        };
        let current = if let Some(secret) = &self.emotion_master_key {
            read(secret)?
        } else {
            tracing::warn!("EMOTION_MASTER_KEY is not set: what people write is sealed with a key everybody knows");
            MasterKey::new(DEVELOPMENT_KEY)?
        };
        let previous = self.emotion_master_key_previous.as_ref().map(read).transpose()?;
        Ok(Vault::new(current, previous))
    }
}

fn decode(secret: &SecretString) -> Option<[u8; KEY_BYTES]> {
    BASE64_STANDARD.decode(secret.expose_secret().trim()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(environment: Environment, current: Option<&str>, previous: Option<&str>) -> String {
        let mut faults = Faults::default();
        let config = VaultConfig {
            emotion_master_key: current.map(SecretString::from),
            emotion_master_key_previous: previous.map(SecretString::from),
        };
        config.validate(environment, &mut faults);
        faults.to_string()
    }

    #[test]
    fn outside_development_there_must_be_a_key_of_its_form() {
        let good = BASE64_STANDARD.encode([7; KEY_BYTES]);
        assert!(!faults(Environment::Production, Some(&good), Some(&good)).contains("EMOTION"));
        assert!(faults(Environment::Production, None, None).contains("EMOTION_MASTER_KEY: is not set"));
        assert!(!faults(Environment::Development, None, None).contains("EMOTION"));
        for bad in ["hunter2", "hunter2hunter2hunter2hunter2hunt", &BASE64_STANDARD.encode([7; 31])] {
            let text = faults(Environment::Development, Some(bad), None);
            assert!(text.contains("EMOTION_MASTER_KEY: is not 32 bytes") && !text.contains(bad), "{text}");
            assert!(faults(Environment::Development, Some(&good), Some(bad)).contains("EMOTION_MASTER_KEY_PREVIOUS"));
        }
    }

    #[test]
    fn no_key_is_shown_when_a_configuration_is_printed() {
        let key = BASE64_STANDARD.encode([7; KEY_BYTES]);
        let config = VaultConfig { emotion_master_key: Some(SecretString::from(key.clone())), ..Default::default() };
        assert!(!format!("{config:?}").contains(&key));
    }
}
