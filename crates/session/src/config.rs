//! `maru-session`'s configuration.

use chassis::{
    config::{Config, Faults},
    service::BaseConfig,
};
use clap::Args;
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
}

impl Config for SessionConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
        let url = Url::parse(&self.public_base_url);
        if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            faults.add("PUBLIC_BASE_URL", "is not of the form https://host");
        }
    }
}
