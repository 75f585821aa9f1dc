//! `maru-emotion`'s configuration.

use chassis::{
    config::{Config, Faults},
    service::BaseConfig,
};
use clap::Args;

/// Every key of `maru-emotion`.
#[derive(Args, Clone, Debug)]
pub struct EmotionConfig {
    /// What every service has.
    #[command(flatten)]
    pub base: BaseConfig,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 3004)]
    pub port: u16,
}

impl Config for EmotionConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
    }
}
