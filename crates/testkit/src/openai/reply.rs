//! What the server answers, event by event.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Ending, Finish, Recorded, Script, State};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Largest request that is read.
const REQUEST_MAX: usize = 4 * 1024 * 1024;
/// A text in whose place others are put.
const MARK: &str = "the text";
/// Tokens that go in one packet when they are late.
const DUE_TOGETHER: usize = 16;

/// Answers a request.
pub(super) async fn serve(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/chat/completions") => complete(state, request).await,
        (&Method::GET, "/v1/models") => json_answer(200, &json!({ "object": "list", "data": [{ "id": "scripted" }] })),
        (&Method::GET, "/stats") => json_answer(200, &state.stats()),
        (&Method::PUT, "/script") => set_script(&state, request).await,
        _ => error(404, "not_found", None),
    }
}

/// Takes the script that every streamed reply follows from now on.
async fn set_script(state: &State, request: Request<Incoming>) -> Response<Body> {
    let body = http_body_util::Limited::new(request.into_body(), REQUEST_MAX).collect().await;
    let line = body.ok().and_then(|body| String::from_utf8(body.to_bytes().to_vec()).ok());
    match line.map(|line| Script::parse(&line)) {
        Some(Ok(script)) => {
            state.scripts().always = script;
            json_answer(200, &json!({}))
        }
        _ => error(400, "invalid_request_error", None),
    }
}

async fn complete(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, REQUEST_MAX).collect().await.map(http_body_util::Collected::to_bytes);
    let Some(asked) = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok()) else {
        return error(400, "invalid_request_error", None);
    };
    let is_streamed = asked.get("stream").and_then(Value::as_bool).unwrap_or_default();
    let script = state.script_for(own_script(&head.headers, &asked), is_streamed);
    let last = last_message(&asked);
    let model = asked.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let wants_usage = asked.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or_default();
    let schema = asked.pointer("/response_format/json_schema/schema").cloned();
    let mut recording = Recording::begin(&state, &head.headers, asked);
    if let Some((status, after)) = script.err {
        sleep(script.ttft).await;
        recording.finished();
        return error(status, if script.context { "context_length_exceeded" } else { "scripted" }, after);
    }
    if script.page {
        recording.finished();
        let page = Full::new(Bytes::from_static(b"<html><h1>It works!</h1></html>"));
        return respond(200, "text/html", page.map_err(|never| match never {}).boxed_unsync());
    }
    let tokens = script.tokens(&last);
    if is_streamed {
        return events(Writer::new(script, tokens, model, wants_usage, recording));
    }
    let text = match (&script.text, schema) {
        (Some(text), _) => text.concat(),
        (None, Some(schema)) => instance(&schema).to_string(),
        (None, None) => tokens.concat(),
    };
    sleep(script.ttft).await;
    recording.sent(&text);
    recording.finished();
    json_answer(
        200,
        &json!({
            "id": "chatcmpl-scripted", "object": "chat.completion", "created": 1_700_000_000, "model": model,
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20 },
        }),
    )
}

/// The script that a request brings itself: in a header, or as its model's name.
fn own_script(headers: &HeaderMap, asked: &Value) -> Option<Script> {
    let header = headers.get("x-script").and_then(|value| value.to_str().ok());
    let model = asked.get("model").and_then(Value::as_str).filter(|name| name.contains('='));
    Script::parse(header.or(model)?).ok()
}

fn last_message(asked: &Value) -> String {
    let messages = asked.get("messages").and_then(Value::as_array);
    let theirs = messages.into_iter().flatten().rfind(|m| m.get("role").and_then(Value::as_str) == Some("user"));
    theirs.and_then(|message| message.get("content")?.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// Makes the plainest value that a schema allows.
fn instance(schema: &Value) -> Value {
    if let Some(first) = schema.pointer("/enum/0") {
        return first.clone();
    }
    let kind = schema.get("type");
    match kind.and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str())) {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            Value::Object(properties.map(|(name, inner)| (name.clone(), instance(inner))).collect())
        }
        Some("array") => json!([instance(schema.get("items").unwrap_or(&Value::Null))]),
        Some("number" | "integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        Some("boolean") => json!(false),
        Some("string") => json!("scripted"),
        _ => Value::Null,
    }
}

/// Keeps what becomes of one request; what is dropped before its end was dropped by the client.
struct Recording {
    state: Arc<State>,
    index: Option<usize>,
    is_finished: bool,
}

impl Recording {
    fn begin(state: &Arc<State>, headers: &HeaderMap, body: Value) -> Self {
        state.asked.fetch_add(1, Ordering::Relaxed);
        state.live.fetch_add(1, Ordering::Relaxed);
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let index = state.keeps.then(|| {
            let mut requests = state.requests();
            requests.push(Recorded {
                body,
                authorization: authorization.to_owned(),
                at: Instant::now(),
                sent: String::new(),
                ending: Ending::Open,
            });
            requests.len() - 1
        });
        Self { state: Arc::clone(state), index, is_finished: false }
    }

    fn with(&self, change: impl FnOnce(&mut Recorded)) {
        if let Some(index) = self.index
            && let Some(recorded) = self.state.requests().get_mut(index)
        {
            change(recorded);
        }
    }

    fn sent(&self, text: &str) {
        self.state.chunks.fetch_add(1, Ordering::Relaxed);
        self.with(|recorded| recorded.sent.push_str(text));
    }

    fn finished(&mut self) {
        self.is_finished = true;
        self.with(|recorded| recorded.ending = Ending::Sent);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.is_finished {
            self.with(|recorded| recorded.ending = Ending::Dropped(Instant::now()));
        }
        // Whoever sees that nothing is live may look at how it ended.
        self.state.live.fetch_sub(1, Ordering::Release);
    }
}

/// What of a reply comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Role,
    Tokens,
    Finish,
    Usage,
    Done,
    End,
}

/// Writes one streamed reply.
struct Writer {
    script: Script,
    tokens: Vec<String>,
    model: String,
    wants_usage: bool,
    next: usize,
    recording: Recording,
    part: Part,
    /// What stands before and after the delta in every chunk of text: a load test has too many to write each anew.
    around: (String, String),
    /// When the first token was sent; the others have their times from it, so that a late one makes none later.
    first_at: Option<Instant>,
}

impl Writer {
    fn new(script: Script, tokens: Vec<String>, model: String, wants_usage: bool, recording: Recording) -> Self {
        let around = (String::new(), String::new());
        let (next, part, first_at) = (0, Part::Role, None);
        let mut writer = Self { script, tokens, model, wants_usage, next, recording, part, around, first_at };
        let whole = writer.chunk(&json!({ "content": MARK }), None);
        let mark = Value::from(MARK).to_string();
        let split = whole.split_once(&mark).map(|(before, after)| (before.to_owned(), after.to_owned()));
        writer.around = split.unwrap_or_default();
        writer
    }

    /// Writes the next packet; nothing when the reply is over, an error when the connection breaks.
    async fn packet(&mut self) -> Option<Result<String, io::Error>> {
        let mut packet = String::new();
        for _ in 0..self.script.glue.max(1) {
            match self.event().await {
                Some(Ok(event)) => packet.push_str(&event),
                Some(Err(error)) if packet.is_empty() => return Some(Err(error)),
                _ => break,
            }
        }
        // What is due already goes along: a server that is asked for more than it can write falls behind otherwise.
        for _ in 1..DUE_TOGETHER {
            if !self.is_token_due() {
                break;
            }
            match self.token().await {
                Some(Ok(event)) => packet.push_str(&event),
                _ => break,
            }
        }
        if self.script.crlf {
            packet = packet.replace('\n', "\r\n");
        }
        (!packet.is_empty()).then_some(Ok(packet))
    }

    async fn event(&mut self) -> Option<Result<String, io::Error>> {
        loop {
            match self.part {
                Part::Role => {
                    sleep(self.script.ttft).await;
                    self.part = Part::Tokens;
                    return Some(Ok(self.chunk(&json!({ "role": "assistant", "content": "" }), None)));
                }
                Part::Tokens => match self.token().await {
                    Some(event) => return Some(event),
                    None => self.part = Part::Finish,
                },
                Part::Finish => {
                    self.part = Part::Usage;
                    let reason = match &self.script.finish {
                        Finish::Reason(reason) => reason.clone(),
                        Finish::Empty | Finish::Stop => "stop".to_owned(),
                        Finish::Never => continue,
                    };
                    return Some(Ok(self.chunk(&json!({}), Some(&reason))));
                }
                Part::Usage => {
                    self.part = Part::Done;
                    if self.wants_usage && self.script.usage {
                        return Some(Ok(self.usage()));
                    }
                }
                Part::Done => {
                    self.part = Part::End;
                    self.recording.finished();
                    if self.script.done {
                        return Some(Ok("data: [DONE]\n\n".to_owned()));
                    }
                }
                Part::End => return None,
            }
        }
    }

    async fn token(&mut self) -> Option<Result<String, io::Error>> {
        let at = self.next;
        if self.script.cut == Some(at) {
            self.recording.finished();
            return Some(Err(io::Error::other("cut")));
        }
        if self.script.stall == Some(at) {
            std::future::pending::<()>().await;
        }
        if self.script.inband_err == Some(at) {
            self.script.inband_err = None;
            self.tokens.truncate(at);
            self.script.finish = Finish::Never;
            return Some(Ok("data: {\"error\":{\"message\":\"scripted\",\"code\":\"server_error\"}}\n\n".to_owned()));
        }
        if self.script.badjson == Some(at) && self.script.bads > 0 {
            self.script.bads -= 1;
            // With the text in it: who writes it into a log is found out.
            let text = self.tokens.get(at).map(|token| token.replace(['\n', '"'], "")).unwrap_or_default();
            return Some(Ok(format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\n\n")));
        }
        let token = self.tokens.get(at)?.clone();
        match self.due_at() {
            Some(due) => sleep_until(due).await,
            None => self.first_at = Some(Instant::now()),
        }
        self.next += 1;
        self.recording.sent(&token);
        let (before, after) = &self.around;
        Some(Ok([before, Value::from(token).to_string().as_str(), after].concat()))
    }

    /// Returns when the next token is to be sent; nothing before the first one.
    fn due_at(&self) -> Option<Instant> {
        Some(self.first_at? + self.script.itl.saturating_mul(u32::try_from(self.next).unwrap_or(u32::MAX)))
    }

    /// Returns whether nothing but a token comes next, and its time is over.
    fn is_token_due(&self) -> bool {
        let at = Some(self.next);
        let something_else = [self.script.cut, self.script.stall, self.script.inband_err, self.script.badjson];
        self.part == Part::Tokens
            && !self.script.itl.is_zero()
            && self.next < self.tokens.len()
            && !something_else.contains(&at)
            && self.due_at().is_some_and(|due| due <= Instant::now())
    }

    fn chunk(&self, delta: &Value, reason: Option<&str>) -> String {
        let reason = match (&self.script.finish, reason) {
            (_, Some(reason)) => json!(reason),
            (Finish::Empty, None) => json!(""),
            _ => Value::Null,
        };
        let chunk = json!({
            "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": self.model, "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }],
        });
        format!("data: {chunk}\n\n")
    }

    fn usage(&self) -> String {
        let count = self.tokens.len();
        let usage = json!({ "prompt_tokens": 10, "completion_tokens": count, "total_tokens": count + 10 });
        format!("data: {}\n\n", json!({ "id": "chatcmpl-scripted", "choices": [], "usage": usage }))
    }
}

fn events(writer: Writer) -> Response<Body> {
    let splits = writer.script.splits;
    let packets = stream::unfold(writer, |mut writer| async {
        let packet = writer.packet().await?;
        Some((packet, writer))
    });
    let frames = packets.flat_map(move |packet| {
        let parts = match packet {
            Ok(packet) if splits => in_two(packet),
            Ok(packet) => vec![Ok(Bytes::from(packet))],
            Err(error) => vec![Err(error)],
        };
        stream::iter(parts).enumerate().then(|(part, bytes)| async move {
            if part > 0 {
                // Long enough for the first part to leave on its own.
                sleep(std::time::Duration::from_millis(1)).await;
            }
            bytes.map(Frame::data)
        })
    });
    respond(200, "text/event-stream", BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// Cuts a packet inside its last letter of several bytes, or in the middle.
fn in_two(packet: String) -> Vec<Result<Bytes, io::Error>> {
    let wide = packet.char_indices().rfind(|(_, letter)| letter.len_utf8() > 1);
    let at = wide.map_or(packet.len() / 2, |(place, _)| place + 1);
    let mut first = Bytes::from(packet);
    let second = first.split_off(at);
    vec![Ok(first), Ok(second)]
}

fn respond(status: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("a content type"));
    response
}

fn json_answer(status: u16, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    respond(status, "application/json", body.boxed_unsync())
}

fn error(status: u16, code: &str, after: Option<u64>) -> Response<Body> {
    let body = json!({ "error": { "message": "scripted", "type": "scripted", "param": null, "code": code } });
    let mut response = json_answer(status, &body);
    if let Some(after) = after {
        response.headers_mut().insert(RETRY_AFTER, after.into());
    }
    response
}
