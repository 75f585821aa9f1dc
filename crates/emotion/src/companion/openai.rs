//! One try at an OpenAI-compatible API.
//!
//! The client library makes the requests and reads values; what it cannot be left to is here. Its own retries obey any
//! `Retry-After`, so requests go through a service of ours that tries once. It reads a stream without pause, whoever
//! listens, so a stream's request is sent here, and its types refuse what many servers send, so chunks are read into one
//! that takes it. It writes what it cannot read into the log, which the telemetry switches off by its name.

use std::{sync::Arc, time::Duration};

use async_openai::{
    Client,
    config::{Config, OpenAIConfig},
    error::OpenAIError,
    middleware::HttpRequestFactory,
};
use chassis::problem::{Outcome, Problem};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use super::{
    ChatMessage, Finish, Question, Role,
    chunks::{Content, Stream},
    config::Limits,
    events::Events,
    failure::Failure,
};

/// Most bytes of a refusal's body that are read to see what it is about.
const REFUSAL_MAX: usize = 8 * 1024;
/// How much longer the connection waits than we do.
const READ_MARGIN: Duration = Duration::from_secs(5);

/// What our own service answers in place of a response that is none.
#[derive(Debug)]
struct Turned(Failure);

impl std::fmt::Display for Turned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Turned {}

/// What a piece of a stream is.
pub(super) enum Delta {
    /// Text.
    Text(String),
    /// The end, with its reason.
    Over(Finish),
}

/// An OpenAI-compatible API.
pub(super) struct Api {
    client: Client<OpenAIConfig>,
    http: reqwest::Client,
    limits: Limits,
    max_tokens_parameter: String,
}

impl Api {
    /// Describes an API; connects to nothing yet.
    pub(super) fn new(base: &Url, key: &SecretString, limits: Limits, max_tokens_parameter: &str) -> Outcome<Self> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect)
            // Behind our own limits, which know what was waited for; a reply as a whole may take its time.
            .read_timeout(limits.idle.max(limits.first_token) + READ_MARGIN)
            .tcp_nodelay(true)
            .retry(reqwest::retry::never())
            .build()
            .map_err(Problem::unexpected)?;
        let config = OpenAIConfig::new()
            .with_api_base(base.as_str().trim_end_matches('/'))
            .with_api_key(key.expose_secret())
            .with_org_id("")
            .with_project_id("");
        let service = tower::service_fn({
            let http = http.clone();
            move |request: HttpRequestFactory| once(http.clone(), request)
        });
        let client = Client::build(http.clone(), config).with_http_service(service);
        Ok(Self { client, http, limits, max_tokens_parameter: max_tokens_parameter.to_owned() })
    }

    fn request(&self, model: &str, messages: &[ChatMessage], max_tokens: u32) -> Value {
        let messages: Vec<_> = messages
            .iter()
            .map(|message| {
                let role = match message.role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                json!({ "role": role, "content": message.content })
            })
            .collect();
        let mut request = json!({ "model": model, "messages": messages });
        if let Some(fields) = request.as_object_mut() {
            fields.insert(self.max_tokens_parameter.clone(), json!(max_tokens));
        }
        request
    }

    /// Asks for a streamed reply and waits for its first text. A reply without any is no reply.
    pub(super) async fn begin(
        self: &Arc<Self>,
        model: &str,
        messages: &[ChatMessage],
        max_tokens: u32,
        temperature: Option<f32>,
    ) -> Result<(String, Stream), Failure> {
        let mut request = self.request(model, messages, max_tokens);
        if let Some(fields) = request.as_object_mut() {
            fields.insert("stream".to_owned(), json!(true));
            fields.insert("stream_options".to_owned(), json!({ "include_usage": true }));
            if let Some(temperature) = temperature {
                fields.insert("temperature".to_owned(), json!(temperature));
            }
        }
        let begun = async {
            let config = self.client.config();
            let request =
                self.http.post(config.url("/chat/completions")).headers(config.headers()).json(&request).build();
            let response = send(&self.http, request.map_err(|error| Failure::of(&error))?).await?;
            let mut stream = Stream::new(Events::new(response), self.limits.idle);
            match stream.next().await? {
                Delta::Text(first) => Ok((first, stream)),
                Delta::Over(_) => Err(Failure::Truncated),
            }
        };
        timeout(self.limits.first_token, begun).await.unwrap_or(Err(Failure::Silent))
    }

    /// Asks for a value that fits a schema.
    pub(super) async fn ask(&self, model: &str, question: &Question) -> Result<Value, Failure> {
        let mut request = self.request(model, &question.messages, question.max_tokens);
        if let Some(fields) = request.as_object_mut() {
            fields.insert("stream".to_owned(), json!(false));
            fields.insert("temperature".to_owned(), json!(0));
            let schema = json!({ "name": question.name, "strict": true, "schema": question.schema });
            fields.insert("response_format".to_owned(), json!({ "type": "json_schema", "json_schema": schema }));
        }
        let answer: Answer = self.client.chat().create_byot(request).await.map_err(|error| read(&error))?;
        let content = answer.choices.into_iter().next().and_then(|choice| choice.message?.content);
        let content = content.ok_or(Failure::Truncated)?;
        // Models that know no schema put the value into a block of code.
        let bare = content.trim().trim_start_matches("```json").trim_start_matches("```").trim_end_matches("```");
        serde_json::from_str(bare).map_err(|_not_json| Failure::Garbled)
    }
}

/// Sends a request of the client library.
async fn once(http: reqwest::Client, request: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
    send(&http, request.build().await?).await.map_err(|failure| OpenAIError::Boxed(Box::new(Turned(failure))))
}

/// Sends a request once. A refusal is read as far as is needed to know what to do about it.
async fn send(http: &reqwest::Client, request: reqwest::Request) -> Result<reqwest::Response, Failure> {
    let mut response = http.execute(request).await.map_err(|error| Failure::of(&error))?;
    let status = response.status();
    if status.is_success() {
        let kind = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        return if kind.is_some_and(|kind| kind.starts_with("text/html")) {
            Err(Failure::Garbled)
        } else {
            Ok(response)
        };
    }
    let after =
        response.headers().get(reqwest::header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    Err(match status.as_u16() {
        401 | 403 => Failure::Key,
        429 => Failure::Busy(after.map(Duration::from_secs)),
        status @ 500.. => Failure::Broken(status),
        status => {
            let mut body = Vec::new();
            while let Ok(Some(part)) = response.chunk().await {
                body.extend_from_slice(&part);
                if body.len() > REFUSAL_MAX {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&body);
            if text.contains("context_length_exceeded") || text.contains("maximum context length") {
                Failure::TooLong
            } else {
                Failure::Refused(status)
            }
        }
    })
}

fn read(error: &OpenAIError) -> Failure {
    match error {
        OpenAIError::Boxed(source) => source.downcast_ref().map_or(Failure::Unreachable, |Turned(failure)| *failure),
        OpenAIError::Reqwest(error) => Failure::of(error),
        OpenAIError::JSONDeserialize(..) => Failure::Garbled,
        OpenAIError::ApiError(answer) => Failure::Broken(answer.status_code.as_u16()),
        _ => Failure::Truncated,
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    choices: Vec<AnswerChoice>,
}

#[derive(Deserialize)]
struct AnswerChoice {
    message: Option<Content>,
}
