//! `maru-auth`'s configuration.

use std::time::Duration;

use chassis::{
    access::AccessConfig,
    config::{Config, Environment, Faults, parse_duration},
    limit::Profile,
    peers::{Urls, parse_urls},
    service::BaseConfig,
    token::SigningConfig,
};
use clap::Args;
use domain::principal::Service;
use url::Url;

use crate::{google::config::GoogleConfig, mail::config::MailConfig};

/// Longest life of an access token; a longer one would outlive every reason to trust it.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 7);

/// Every key of `maru-auth`.
#[derive(Args, Clone, Debug)]
pub struct AuthConfig {
    /// What every service has.
    #[command(flatten)]
    pub base: BaseConfig,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 3001)]
    pub port: u16,
    /// The secret of access tokens.
    #[command(flatten)]
    pub access: AccessConfig,
    /// The key of its calls to other services.
    #[command(flatten)]
    pub signing: SigningConfig,
    /// Life of an access token: `900s`, `15m`, `12h`, `1d`.
    #[arg(long, env = "JWT_EXPIRES_IN", default_value = "1d", value_parser = parse_duration)]
    pub jwt_expires_in: Duration,
    /// Password hashes computed at the same time; each takes 19 MiB and a core for about 20 ms. 0 takes one per core.
    #[arg(long, env = "PASSWORD_HASHES_AT_ONCE", default_value_t = 0)]
    pub password_hashes_at_once: usize,
    /// How strict limits are: `strict`, or `generous` for a developer's machine.
    #[arg(long, env = "RATE_LIMITS", default_value = "strict", value_enum)]
    pub rate_limits: Profile,
    /// The address people use.
    #[arg(long, env = "PUBLIC_URL", default_value = "http://localhost:8080")]
    pub public_url: Url,
    /// Mail.
    #[command(flatten)]
    pub mail: MailConfig,
    /// Login with Google.
    #[command(flatten)]
    pub google: GoogleConfig,
    /// The services that keep something about people.
    #[command(flatten)]
    pub services: ServicesConfig,
}

/// Where the other services are: a person's export and erasure go to each of them.
#[derive(Args, Clone, Debug)]
pub struct ServicesConfig {
    /// Addresses of the session service, comma-separated: `http://host:port`.
    #[arg(long, env = "SESSION_URLS", default_value = "http://session:3002", value_parser = parse_urls)]
    pub session_urls: Urls,
    /// Addresses of the ticketing service.
    #[arg(long, env = "TICKETING_URLS", default_value = "http://ticketing:3003", value_parser = parse_urls)]
    pub ticketing_urls: Urls,
    /// Addresses of the emotion service.
    #[arg(long, env = "EMOTION_URLS", default_value = "http://emotion:3004", value_parser = parse_urls)]
    pub emotion_urls: Urls,
    /// Addresses of the memo service.
    #[arg(long, env = "MEMO_URLS", default_value = "http://memo:3005", value_parser = parse_urls)]
    pub memo_urls: Urls,
}

impl ServicesConfig {
    /// Returns each service with its addresses.
    pub fn all(&self) -> [(Service, &Urls); 4] {
        [
            (Service::Session, &self.session_urls),
            (Service::Ticketing, &self.ticketing_urls),
            (Service::Emotion, &self.emotion_urls),
            (Service::Memo, &self.memo_urls),
        ]
    }
}

impl AuthConfig {
    /// Returns whether cookies are sent over https only and across sites; plain http exists on a developer's machine.
    pub fn secure_cookies(&self) -> bool {
        self.base.common.environment == Environment::Production
    }
}

impl Config for AuthConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
        self.access.validate(faults);
        self.signing.validate(Service::Auth, faults);
        self.mail.validate(faults);
        self.google.validate(self.base.common.environment, faults);
        if self.jwt_expires_in.is_zero() || self.jwt_expires_in > LONGEST_LIFE {
            faults.add("JWT_EXPIRES_IN", "must be between 1s and 7d");
        }
        if !matches!(self.public_url.scheme(), "http" | "https") {
            faults.add("PUBLIC_URL", "is not of the form https://host[:port]");
        }
    }
}
