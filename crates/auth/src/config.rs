//! `maru-auth`'s configuration.

use std::time::Duration;

use chassis::{
    access::AccessConfig,
    config::{Config, Environment, Faults, parse_duration},
    service::BaseConfig,
    token::SigningConfig,
};
use clap::Args;
use domain::principal::Service;

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
        if self.jwt_expires_in.is_zero() || self.jwt_expires_in > LONGEST_LIFE {
            faults.add("JWT_EXPIRES_IN", "must be between 1s and 7d");
        }
    }
}
