//! `maru-session`'s configuration.

use chassis::{
    config::{Config, Faults},
    mac::Mac,
    peers::{Urls, parse_urls},
    service::BaseConfig,
    token::SigningConfig,
};
use clap::Args;
use domain::principal::Service;
use secrecy::SecretString;
use url::Url;

/// Every key of `maru-session`.
#[derive(Args, Clone, Debug)]
pub struct SessionConfig {
    /// What every service has.
    #[command(flatten)]
    pub base: BaseConfig,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 3002)]
    pub port: u16,
    /// Where people reach the platform: join links are `<this>/join/<code>`.
    #[arg(long, env = "PUBLIC_BASE_URL", default_value = "http://localhost:8080")]
    pub public_base_url: String,
    /// The secret of participants' tokens.
    #[command(flatten)]
    pub participants: ParticipantConfig,
    /// The key of its calls to other services.
    #[command(flatten)]
    pub signing: SigningConfig,
    /// The services it asks.
    #[command(flatten)]
    pub services: ServicesConfig,
}

/// The secret of participants' tokens.
#[derive(Args, Clone, Debug)]
pub struct ParticipantConfig {
    /// Secret of participants' tokens, at least 32 bytes, for this service only.
    #[arg(long, env = "PARTICIPANT_SECRET")]
    pub participant_secret: SecretString,
    /// The secret before this one: what it signed still counts, nothing new is signed with it.
    #[arg(long, env = "PARTICIPANT_SECRET_PREVIOUS")]
    pub participant_secret_previous: Option<SecretString>,
}

impl ParticipantConfig {
    /// Checks the strength of both.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check_secret("PARTICIPANT_SECRET", &self.participant_secret);
        if let Some(previous) = &self.participant_secret_previous {
            faults.check_secret("PARTICIPANT_SECRET_PREVIOUS", previous);
        }
    }

    /// Derives the key of participants' tokens.
    pub fn mac(&self) -> Mac {
        Mac::new(&self.participant_secret, self.participant_secret_previous.as_ref(), "participant token")
    }
}

/// Where the services are that this one asks: for presenters' names and tickets to streams, and for tickets to events.
#[derive(Args, Clone, Debug)]
pub struct ServicesConfig {
    /// Addresses of the auth service, comma-separated: `http://host:port`.
    #[arg(long, env = "AUTH_URLS", default_value = "http://auth:3001", value_parser = parse_urls)]
    pub auth_urls: Urls,
    /// Addresses of the ticketing service.
    #[arg(long, env = "TICKETING_URLS", default_value = "http://ticketing:3003", value_parser = parse_urls)]
    pub ticketing_urls: Urls,
}

impl Config for SessionConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
        self.participants.validate(faults);
        self.signing.validate(Service::Session, faults);
        let url = Url::parse(&self.public_base_url);
        if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            faults.add("PUBLIC_BASE_URL", "is not of the form https://host");
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::{
        config::{Vars, read},
        token::KeyPair,
    };
    use secrecy::ExposeSecret;

    use super::*;

    fn vars() -> Vars {
        let keys = KeyPair::generate("session.1").unwrap();
        [
            ("DATABASE_URL", "postgres://maru@localhost/maru_session"),
            ("REDIS_URL", "redis://localhost"),
            ("INTERNAL_PUBLIC_KEYS", keys.public_jwks.as_str()),
            ("INTERNAL_SIGNING_KEY", keys.private_pem.expose_secret()),
            ("PARTICIPANT_SECRET", "0123456789abcdef0123456789abcdef"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn what_is_needed_is_enough_and_the_other_services_have_their_usual_names() {
        let config: SessionConfig = read(None, &vars()).unwrap();
        assert_eq!(config.services.auth_urls.0[0].as_str(), "http://auth:3001/");
        assert_eq!(config.services.ticketing_urls.0[0].as_str(), "http://ticketing:3003/");
    }

    #[test]
    fn without_a_secret_of_its_own_it_does_not_start() {
        for (key, value) in [
            ("PARTICIPANT_SECRET", ""),
            ("PARTICIPANT_SECRET", "short"),
            ("PARTICIPANT_SECRET", "your-secret-key-your-secret-key-your"),
            ("PARTICIPANT_SECRET_PREVIOUS", "short"),
            ("INTERNAL_SIGNING_KEY", "x"),
            ("PUBLIC_BASE_URL", "maru.example"),
        ] {
            let mut vars = vars();
            vars.insert(key.to_owned(), value.to_owned());
            let faults = read::<SessionConfig>(None, &vars).unwrap_err().to_string();
            assert!(faults.contains(key) && !faults.contains("short\n"), "{faults}");
        }
    }
}
