//! Who takes the money, and who we are there.

use std::{sync::Arc, time::Duration};

use chassis::{
    config::{Environment, Faults},
    problem::{Outcome, Problem},
};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{Payments, provider::Provider, sandbox::Sandbox, toss::Toss};

/// Who takes the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProviderKind {
    /// Nobody: it is imaginary.
    Sandbox,
    /// Toss Payments.
    Toss,
}

/// Payments.
#[derive(Args, Clone, Debug)]
pub struct PaymentConfig {
    /// Who takes the money: `toss`, or `sandbox`, whose money is imaginary. In development it is `sandbox` unless set;
    /// elsewhere nothing can be paid for until it is set.
    #[arg(long, env = "PAYMENT_PROVIDER", value_enum)]
    pub payment_provider: Option<ProviderKind>,
    /// Secret key of Toss Payments, `test_...` or `live_...`.
    #[arg(long, env = "TOSS_SECRET_KEY")]
    pub toss_secret_key: Option<SecretString>,
    /// Client key of Toss Payments, of the same kind; buyers' pages get to see it.
    #[arg(long, env = "TOSS_CLIENT_KEY")]
    pub toss_client_key: Option<String>,
    /// Where Toss Payments' API is.
    #[arg(long, env = "TOSS_BASE_URL", default_value = "https://api.tosspayments.com")]
    pub toss_base_url: Url,
    /// Longest to wait for an answer of Toss Payments, milliseconds. A card company may take half a minute.
    #[arg(long, env = "TOSS_TIMEOUT_MS", default_value_t = 30_000)]
    pub toss_timeout_ms: u64,
    /// How often this replica looks for payments that are not settled, milliseconds.
    #[arg(long, env = "PAYMENT_SWEEP_MS", default_value_t = 1_000)]
    pub payment_sweep_ms: u64,
}

impl PaymentConfig {
    /// Checks that the chosen provider has what it needs.
    pub fn validate(&self, environment: Environment, faults: &mut Faults) {
        if self.kind(environment) == Some(ProviderKind::Toss) && self.toss_secret_key.is_none() {
            faults.add("TOSS_SECRET_KEY", "is not set, and PAYMENT_PROVIDER is toss");
        }
        if self.toss_secret_key.is_some() && self.toss_client_key.is_none() {
            faults.add("TOSS_CLIENT_KEY", "is not set, and TOSS_SECRET_KEY is");
        }
        self.validate_keys(faults);
        let is_here = environment == Environment::Development && is_loopback(&self.toss_base_url);
        if self.toss_base_url.scheme() != "https" && !is_here {
            faults.add("TOSS_BASE_URL", "must begin with https://");
        }
        if self.toss_timeout_ms == 0 {
            faults.add("TOSS_TIMEOUT_MS", "must be at least 1");
        }
        if self.payment_sweep_ms == 0 {
            faults.add("PAYMENT_SWEEP_MS", "must be at least 1");
        }
    }

    /// A test key with a live one beside it takes consents that it cannot confirm.
    fn validate_keys(&self, faults: &mut Faults) {
        let secret = self.toss_secret_key.as_ref().map(ExposeSecret::expose_secret);
        let kinds = [("TOSS_SECRET_KEY", secret), ("TOSS_CLIENT_KEY", self.toss_client_key.as_deref())];
        for (name, key) in kinds {
            if key.is_some_and(|key| stage(key).is_none()) {
                faults.add(name, "begins neither with test_ nor with live_");
            }
        }
        if let (Some(secret), Some(client)) = (secret, self.toss_client_key.as_deref())
            && stage(secret) != stage(client)
        {
            faults
                .add("TOSS_CLIENT_KEY", "is not of the same kind as TOSS_SECRET_KEY: one is for tests, the other not");
        }
    }

    /// Returns who takes the money.
    fn kind(&self, environment: Environment) -> Option<ProviderKind> {
        let default = (environment == Environment::Development).then_some(ProviderKind::Sandbox);
        self.payment_provider.or(default)
    }

    /// Makes the providers; calls nobody yet.
    ///
    /// # Errors
    /// Returns a problem when the HTTP client cannot be built.
    pub fn payments(&self, environment: Environment) -> Outcome<Payments> {
        let toss = match (&self.toss_secret_key, &self.toss_client_key) {
            (Some(secret), Some(client)) => {
                let toss = Toss::new(self.toss_base_url.clone(), secret, client, self.timeout());
                Some(Arc::new(toss.map_err(Problem::unexpected)?) as Arc<dyn Provider>)
            }
            _ => None,
        };
        let active = match self.kind(environment) {
            None => None,
            Some(ProviderKind::Sandbox) => Some(Arc::new(Sandbox) as Arc<dyn Provider>),
            Some(ProviderKind::Toss) => toss.clone(),
        };
        Ok(Payments::new(active, toss, self.timeout()))
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.toss_timeout_ms)
    }
}

/// Returns whether a key is for tests; nothing when it is no key of Toss Payments.
pub(super) fn stage(key: &str) -> Option<bool> {
    match key.split_once('_') {
        Some(("test", rest)) if !rest.is_empty() => Some(true),
        Some(("live", rest)) if !rest.is_empty() => Some(false),
        _ => None,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(provider: Option<ProviderKind>, secret: Option<&str>, client: Option<&str>) -> PaymentConfig {
        PaymentConfig {
            payment_provider: provider,
            toss_secret_key: secret.map(SecretString::from),
            toss_client_key: client.map(ToOwned::to_owned),
            toss_base_url: "https://api.tosspayments.com".parse().unwrap(),
            toss_timeout_ms: 30_000,
            payment_sweep_ms: 1_000,
        }
    }

    fn faults(config: &PaymentConfig, environment: Environment) -> String {
        let mut faults = Faults::default();
        config.validate(environment, &mut faults);
        if faults.is_empty() { String::new() } else { faults.to_string() }
    }

    #[test]
    fn imaginary_money_is_for_development_unless_somebody_says_so() {
        let kind = |provider, environment| config(provider, None, None).kind(environment);
        assert_eq!(kind(None, Environment::Development), Some(ProviderKind::Sandbox));
        assert_eq!(kind(None, Environment::Production), None);
        assert_eq!(kind(Some(ProviderKind::Sandbox), Environment::Production), Some(ProviderKind::Sandbox));
    }

    #[test]
    fn toss_payments_wants_both_keys_and_both_of_one_kind() {
        let toss = |secret, client| faults(&config(Some(ProviderKind::Toss), secret, client), Environment::Production);
        assert_eq!(toss(Some("live_sk_abc"), Some("live_ck_abc")), "");
        assert!(toss(None, None).contains("TOSS_SECRET_KEY"));
        assert!(toss(Some("live_sk_abc"), None).contains("TOSS_CLIENT_KEY"));
        assert!(toss(Some("live_sk_abc"), Some("test_ck_abc")).contains("same kind"));
        let nonsense = toss(Some("hunter2"), Some("live_ck_abc"));
        assert!(nonsense.contains("TOSS_SECRET_KEY") && !nonsense.contains("hunter2"), "{nonsense}");
    }

    #[test]
    fn an_address_without_tls_is_for_this_machine_in_development() {
        let mut here = config(None, None, None);
        here.toss_base_url = "http://127.0.0.1:9".parse().unwrap();
        assert_eq!(faults(&here, Environment::Development), "");
        assert!(faults(&here, Environment::Production).contains("TOSS_BASE_URL"));
    }
}
