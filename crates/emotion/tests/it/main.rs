//! `maru-emotion` over real HTTP and WebSockets, with a database of its own in every test.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod ahead;
mod dialects;
mod endings;
mod events;
mod faults;
mod limits;
mod logs;
mod long;
mod memo_service;
mod model;
mod notices;
mod person;
mod process;
mod prompt;
mod replicas;
mod replies;
mod rest;
mod resume;
mod retention;
mod safety;
mod schema;
mod sign_in;
mod sockets;
mod summaries;
mod vault;

use std::{sync::Arc, time::Duration};

use chassis::{peers::Urls, socket::Patience};
use domain::principal::Service;
use emotion::{
    companion::{Companion, Finish, ModelConfig, OfflineCompanion, Piece, Pieces, Prompt},
    config::{EmotionConfig, ServicesConfig},
    context::InstructionsConfig,
    limit::LimitConfig,
    reply::ReplyConfig,
    retention::RetentionConfig,
    vault::VaultConfig,
};
use futures_util::{StreamExt, stream};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Socket, Stage, TestApp, TestClient, openai::OpenAiServer};
use tokio::sync::Semaphore;

/// Sets the stage and serves `maru-emotion` with the offline companion, which does not pause.
pub async fn start() -> (Stage, TestApp) {
    start_with(Arc::new(OfflineCompanion::new(Duration::ZERO)), Patience::default()).await
}

/// Sets the stage and serves `maru-emotion` with a companion and a patience.
pub async fn start_with(companion: Arc<dyn Companion>, patience: Patience) -> (Stage, TestApp) {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let app = stage.serve(emotion::build_with(config(&stage), stage.clock.clone(), companion, patience).unwrap());
    (stage, app)
}

/// The configuration of a test's `maru-emotion`.
pub fn config(stage: &Stage) -> EmotionConfig {
    EmotionConfig {
        base: stage.base_config(),
        port: 0,
        vault: VaultConfig::default(),
        // Tests of limits set their own.
        limits: LimitConfig { messages_per_minute: 10_000, sockets_per_user: 100, ..LimitConfig::default() },
        model: model(None),
        instructions: InstructionsConfig::default(),
        replies: ReplyConfig::default(),
        retention: RetentionConfig::default(),
        signing: stage.signing_config(),
        services: ServicesConfig { memo_urls: nowhere(), auth_urls: nowhere() },
    }
}

/// Where nobody listens.
pub fn nowhere() -> Urls {
    Urls(vec!["http://127.0.0.1:1".parse().unwrap()])
}

/// The configuration of a model at `url`, with patience for a test; without one, that of a machine without a model.
pub fn model(url: Option<String>) -> ModelConfig {
    ModelConfig {
        openai_api_key: url.as_ref().map(|_| SecretString::from("sk-test")),
        openai_base_url: url.unwrap_or_else(|| "https://api.openai.com/v1".to_owned()).parse().unwrap(),
        openai_model: "scripted".to_owned(),
        openai_fallback_model: None,
        openai_context_tokens: None,
        openai_max_tokens: 1_024,
        openai_max_tokens_parameter: "max_tokens".to_owned(),
        openai_connect_timeout_ms: 1_000,
        openai_first_token_timeout_ms: 8_000,
        openai_idle_timeout_ms: 8_000,
        openai_retry_after_max_ms: 1_200,
    }
}

/// Serves `maru-emotion` with a model that follows scripts.
pub async fn start_scripted() -> (Stage, TestApp, OpenAiServer) {
    let (server, stage) = (OpenAiServer::start(), Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await);
    let app = serve_scripted(&stage, &server);
    (stage, app, server)
}

/// Serves it with a model that is not waited for, for a test of what comes of that.
pub async fn start_impatient(idle_timeout_ms: u64) -> (Stage, TestApp, OpenAiServer) {
    let (server, stage) = (OpenAiServer::start(), Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await);
    let patient = model(Some(server.url()));
    let model =
        ModelConfig { openai_first_token_timeout_ms: 1_500, openai_idle_timeout_ms: idle_timeout_ms, ..patient };
    let app = stage.serve(emotion::build(EmotionConfig { model, ..config(&stage) }, stage.clock.clone()).unwrap());
    (stage, app, server)
}

/// Serves a replica more of it.
pub fn serve_scripted(stage: &Stage, server: &OpenAiServer) -> TestApp {
    let config = EmotionConfig { model: model(Some(server.url())), ..config(stage) };
    stage.serve(emotion::build(config, stage.clock.clone()).unwrap())
}

/// Says its words one by one, each only when it is let.
pub struct Prompted {
    words: Vec<String>,
    /// One permit a word.
    pub permits: Arc<Semaphore>,
}

impl Prompted {
    /// Knows `words`, and may say none of them yet.
    pub fn new(words: &[&str]) -> Arc<Self> {
        Arc::new(Self { words: words.iter().map(ToString::to_string).collect(), permits: Arc::new(Semaphore::new(0)) })
    }

    /// Lets it say `words` more.
    pub fn let_say(&self, words: usize) {
        self.permits.add_permits(words);
    }
}

impl Companion for Prompted {
    fn provider(&self) -> &'static str {
        "prompted"
    }

    fn health_part(&self) -> &'static str {
        "llm"
    }

    fn reply(&self, _prompt: Prompt) -> Pieces {
        let permits = self.permits.clone();
        stream::iter(self.words.clone())
            .then(move |word| {
                let permits = permits.clone();
                async move {
                    permits.acquire().await.unwrap().forget();
                    Ok(Piece::Text(word))
                }
            })
            .chain(stream::iter([Ok(Piece::Over(Finish::default()))]))
            .boxed()
    }
}

/// The address of a person's socket.
pub fn path(who: &TestClient, session_id: Option<&str>) -> String {
    let session = session_id.map(|id| format!("&session_id={id}")).unwrap_or_default();
    format!("/ws/emotion?user_id={}{session}", who.user_id)
}

/// Opens a person's socket and returns it with its conversation.
pub async fn open(who: &TestClient, session_id: Option<&str>) -> (Socket, String) {
    let mut socket = who.socket(&path(who, session_id)).await;
    let opened = socket.next_json().await;
    (socket, opened["session_id"].as_str().unwrap().to_owned())
}

/// Says something over a socket.
pub async fn say(socket: &mut Socket, text: &str) {
    socket.send_json(&json!({ "user_input": text })).await;
}

/// Reads a reply to its end; returns its text and the last frame.
pub async fn hear(socket: &mut Socket) -> (String, Value) {
    let mut text = String::new();
    loop {
        let frame = socket.next_json().await;
        match frame["token"].as_str() {
            Some(token) => text.push_str(token),
            None => return (text, frame),
        }
    }
}

/// Returns the steps of a conversation.
pub async fn steps(who: &TestClient, session_id: &str) -> Vec<Value> {
    let answer = who.get(&format!("/emotion/steps/{session_id}")).await.assert_status(200);
    answer.json.as_array().unwrap().clone()
}
