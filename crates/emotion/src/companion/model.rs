//! The companion with a model: tries, tries again, tries another model, and else says what was prepared.
//!
//! All of that only before the first token: what somebody has begun to read is not begun again, it is interrupted.

use std::{sync::Arc, time::Duration};

use chassis::problem::{Outcome, Problem};
use futures_util::{StreamExt, future::BoxFuture, stream};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    Answerer, ChatMessage, Companion, Finish, ModelConfig, OFFLINE, OfflineCompanion, Piece, Pieces, Prompt, Question,
    Window,
    chunks::Stream,
    config::Limits,
    failure::Failure,
    openai::{Api, Delta},
};

/// The name of every provider that is reached by this API.
const PROVIDER: &str = "openai";
/// Pause before the second try, when the provider asks for none.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers with a model.
pub struct ModelCompanion(Arc<Shared>);

struct Shared {
    api: Arc<Api>,
    models: Vec<String>,
    window: Window,
    limits: Limits,
    offline: OfflineCompanion,
}

impl ModelCompanion {
    /// Makes a companion of a configuration; nothing when it has no key.
    ///
    /// # Errors
    /// Returns a problem when there can be no HTTP client.
    pub fn new(config: &ModelConfig) -> Outcome<Option<Self>> {
        let Some(key) = &config.openai_api_key else { return Ok(None) };
        let limits = config.limits();
        let api = Api::new(&config.openai_base_url, key, limits, &config.openai_max_tokens_parameter)?;
        let models = [Some(&config.openai_model), config.openai_fallback_model.as_ref()];
        Ok(Some(Self(Arc::new(Shared {
            api: Arc::new(api),
            models: models.into_iter().flatten().cloned().collect(),
            window: config.window(),
            limits,
            offline: OfflineCompanion::default(),
        }))))
    }
}

impl Companion for ModelCompanion {
    fn provider(&self) -> &'static str {
        PROVIDER
    }

    fn health_part(&self) -> &'static str {
        "llm"
    }

    fn model(&self) -> Option<&str> {
        self.0.models.first().map(String::as_str)
    }

    fn window(&self) -> Option<Window> {
        Some(self.0.window)
    }

    fn reply(&self, prompt: Prompt) -> Pieces {
        let shared = Arc::clone(&self.0);
        stream::once(async move { shared.begin(prompt).await }).flatten().boxed()
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async move {
            let model = self.0.models.first()?;
            match self.0.api.ask(model, &question).await {
                Ok(value) => Some(value),
                Err(failure) => {
                    count(failure);
                    tracing::debug!(failure = failure.name(), question = question.name, "a question was not answered");
                    None
                }
            }
        })
    }
}

impl Shared {
    /// Finds somebody who begins.
    async fn begin(self: Arc<Self>, prompt: Prompt) -> Pieces {
        let mut last = Failure::Unreachable;
        for (index, model) in self.models.iter().enumerate() {
            match self.persist(model, &prompt).await {
                Ok((first, rest)) => {
                    let by = (index > 0).then(|| Answerer { provider: PROVIDER, model: Some(model.clone()) });
                    return pieces(by, first, rest);
                }
                Err(failure) => last = failure,
            }
        }
        // The reason is for whoever runs this: the person is told that no model answers, and gets an answer.
        tracing::warn!(failure = last.name(), "no model answers: the prepared sentences do");
        let by = Piece::By(Answerer { provider: OFFLINE, model: None });
        stream::iter([Ok(by)]).chain(self.offline.say(&prompt.prepared.labelled())).boxed()
    }

    /// Asks one model, once more where that may help.
    async fn persist(&self, model: &str, prompt: &Prompt) -> Result<(String, Stream), Failure> {
        match self.attempt(model, prompt, &prompt.messages).await {
            Err(Failure::TooLong) => match &prompt.shorter {
                Some(shorter) => self.attempt(model, prompt, shorter).await,
                None => Err(Failure::TooLong),
            },
            Err(failure) if failure.may_pass() => {
                let pause = match failure {
                    Failure::Busy(Some(after)) => after,
                    _ => PAUSE,
                };
                // Who wants to be left alone for longer than a person waits is left alone.
                if pause > self.limits.retry_after {
                    return Err(failure);
                }
                sleep(pause).await;
                self.attempt(model, prompt, &prompt.messages).await
            }
            other => other,
        }
    }

    async fn attempt(
        &self,
        model: &str,
        prompt: &Prompt,
        messages: &[ChatMessage],
    ) -> Result<(String, Stream), Failure> {
        let max_tokens = prompt.max_tokens.map_or(self.window.reply, |asked| asked.min(self.window.reply));
        self.api.begin(model, messages, max_tokens, prompt.temperature).await.inspect_err(|failure| count(*failure))
    }
}

/// Goes on with a reply that has begun.
fn pieces(by: Option<Answerer>, first: String, rest: Stream) -> Pieces {
    let begun = stream::iter(by.map(|by| Ok(Piece::By(by)))).chain(stream::iter([Ok(Piece::Text(first))]));
    let going_on = stream::unfold(Some(rest), |rest| async {
        let mut rest = rest?;
        match rest.next().await {
            Ok(Delta::Text(text)) => Some((Ok(Piece::Text(text)), Some(rest))),
            Ok(Delta::Over(finish)) => Some((Ok(Piece::Over(finish)), None)),
            Err(failure) => {
                count(failure);
                Some((Err(Problem::unavailable(failure)), None))
            }
        }
    });
    begun.chain(going_on).boxed()
}

fn count(failure: Failure) {
    metrics::counter!("emotion_model_failures_total", "failure" => failure.name()).increment(1);
}

impl Finish {
    /// Returns whether the model itself ended its reply for what it says.
    pub fn is_filtered(&self) -> bool {
        self.reason == "content_filter"
    }
}
