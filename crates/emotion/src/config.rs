//! `maru-emotion`'s configuration.

use chassis::{
    config::{Config, Faults},
    peers::{Urls, parse_urls},
    service::BaseConfig,
    token::SigningConfig,
};
use clap::Args;
use domain::principal::Service;

use crate::{
    companion::ModelConfig, context::InstructionsConfig, limit::LimitConfig, reply::ReplyConfig,
    retention::RetentionConfig, vault::VaultConfig,
};

/// Every key of `maru-emotion`.
#[derive(Args, Clone, Debug)]
pub struct EmotionConfig {
    /// What every service has.
    #[command(flatten)]
    pub base: BaseConfig,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 3004)]
    pub port: u16,
    /// The keys of what people write.
    #[command(flatten)]
    pub vault: VaultConfig,
    /// How much one person may have.
    #[command(flatten)]
    pub limits: LimitConfig,
    /// The language model.
    #[command(flatten)]
    pub model: ModelConfig,
    /// What the operator tells it.
    #[command(flatten)]
    pub instructions: InstructionsConfig,
    /// How long a reply goes on that nobody looks at.
    #[command(flatten)]
    pub replies: ReplyConfig,
    /// How long conversations are kept.
    #[command(flatten)]
    pub retention: RetentionConfig,
    /// The key of its calls to other services.
    #[command(flatten)]
    pub signing: SigningConfig,
    /// The services it asks.
    #[command(flatten)]
    pub services: ServicesConfig,
}

/// Where the services are that this one asks.
#[derive(Args, Clone, Debug)]
pub struct ServicesConfig {
    /// Addresses of the memo service, comma-separated: `http://host:port`. It keeps summary cards as memos.
    #[arg(long, env = "MEMO_URLS", default_value = "http://memo:3005", value_parser = parse_urls)]
    pub memo_urls: Urls,
    /// Addresses of the auth service, comma-separated: `http://host:port`. It judges the tokens that sockets show.
    #[arg(long, env = "AUTH_URLS", default_value = "http://auth:3001", value_parser = parse_urls)]
    pub auth_urls: Urls,
}

impl Config for EmotionConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
        self.vault.validate(self.base.common.environment, faults);
        self.limits.validate(faults);
        self.model.validate(faults);
        self.instructions.validate(faults);
        self.signing.validate(Service::Emotion, faults);
    }
}
