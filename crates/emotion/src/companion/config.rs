//! Which model is asked, as configuration says it.

use std::time::Duration;

use chassis::config::Faults;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::Window;

/// Context of a model that nothing is known of: what small local servers have.
const CONTEXT_UNKNOWN: u32 = 8_192;
/// Fewest tokens with which policy, message and reply have their room.
const CONTEXT_MIN: u32 = 4_096;

/// The language model, reached by an OpenAI-compatible API.
#[derive(Args, Clone, Debug)]
pub struct ModelConfig {
    /// Key of the API; without one the offline companion answers.
    #[arg(long, env = "OPENAI_API_KEY")]
    pub openai_api_key: Option<SecretString>,
    /// Base URL of the API, up to and with its `/v1`.
    #[arg(long, env = "OPENAI_BASE_URL", default_value = "https://api.openai.com/v1")]
    pub openai_base_url: Url,
    /// The model.
    #[arg(long, env = "OPENAI_MODEL", default_value = "gpt-4o-mini")]
    pub openai_model: String,
    /// The model that is asked when the first one fails before it has said anything.
    #[arg(long, env = "OPENAI_FALLBACK_MODEL")]
    pub openai_fallback_model: Option<String>,
    /// Tokens of prompt and reply together; what is known of the model when absent.
    #[arg(long, env = "OPENAI_CONTEXT_TOKENS")]
    pub openai_context_tokens: Option<u32>,
    /// Most tokens of a reply.
    #[arg(long, env = "OPENAI_MAX_TOKENS", default_value_t = 1_024)]
    pub openai_max_tokens: u32,
    /// How the most tokens are called: `max_completion_tokens`, or `max_tokens` for older servers.
    #[arg(long, env = "OPENAI_MAX_TOKENS_PARAMETER", default_value = "max_completion_tokens")]
    pub openai_max_tokens_parameter: String,
    /// Longest to wait for a connection, milliseconds.
    #[arg(long, env = "OPENAI_CONNECT_TIMEOUT_MS", default_value_t = 3_000)]
    pub openai_connect_timeout_ms: u64,
    /// Longest to wait for the first token of a try, milliseconds.
    #[arg(long, env = "OPENAI_FIRST_TOKEN_TIMEOUT_MS", default_value_t = 15_000)]
    pub openai_first_token_timeout_ms: u64,
    /// Longest to wait for another token, milliseconds.
    #[arg(long, env = "OPENAI_IDLE_TIMEOUT_MS", default_value_t = 30_000)]
    pub openai_idle_timeout_ms: u64,
    /// Longest to wait because a provider asks to be left alone for a while, milliseconds.
    #[arg(long, env = "OPENAI_RETRY_AFTER_MAX_MS", default_value_t = 2_000)]
    pub openai_retry_after_max_ms: u64,
}

impl ModelConfig {
    /// Checks what would only be noticed with the first reply. The client library panics on a key that is no header.
    pub fn validate(&self, faults: &mut Faults) {
        if let Some(key) = &self.openai_api_key
            && (key.expose_secret().is_empty() || !key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            faults.add("OPENAI_API_KEY", "holds a space, a line break or a letter beyond ASCII");
        }
        if !matches!(self.openai_base_url.scheme(), "http" | "https") || !self.openai_base_url.has_host() {
            faults.add("OPENAI_BASE_URL", "is not of the form https://host/v1");
        }
        for (key, model) in
            [("OPENAI_MODEL", Some(&self.openai_model)), ("OPENAI_FALLBACK_MODEL", self.openai_fallback_model.as_ref())]
        {
            if model.is_some_and(|model| model.trim().is_empty()) {
                faults.add(key, "is empty");
            }
        }
        if self.window().context < CONTEXT_MIN {
            faults.add("OPENAI_CONTEXT_TOKENS", format!("must be at least {CONTEXT_MIN}"));
        } else if self.openai_max_tokens < 64 || self.openai_max_tokens > self.window().context / 2 {
            faults.add("OPENAI_MAX_TOKENS", "must be at least 64, and at most half of the context");
        }
        if !matches!(self.openai_max_tokens_parameter.as_str(), "max_tokens" | "max_completion_tokens") {
            faults.add("OPENAI_MAX_TOKENS_PARAMETER", "is max_completion_tokens or max_tokens");
        }
    }

    /// Returns how much the model takes.
    pub fn window(&self) -> Window {
        let known = tiktoken_rs::model::get_context_size(&self.openai_model).and_then(|size| u32::try_from(size).ok());
        let encoding = tiktoken_rs::tokenizer::get_tokenizer(&self.openai_model);
        Window {
            context: self.openai_context_tokens.or(known).unwrap_or(CONTEXT_UNKNOWN),
            reply: self.openai_max_tokens,
            is_counted_alike: matches!(
                encoding,
                Some(tiktoken_rs::tokenizer::Tokenizer::O200kBase | tiktoken_rs::tokenizer::Tokenizer::O200kHarmony)
            ),
        }
    }

    /// Returns the time limits.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            connect: Duration::from_millis(self.openai_connect_timeout_ms),
            first_token: Duration::from_millis(self.openai_first_token_timeout_ms),
            idle: Duration::from_millis(self.openai_idle_timeout_ms),
            retry_after: Duration::from_millis(self.openai_retry_after_max_ms),
        }
    }
}

/// How long a provider is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) first_token: Duration,
    pub(super) idle: Duration,
    pub(super) retry_after: Duration,
}
