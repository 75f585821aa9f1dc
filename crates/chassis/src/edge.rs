//! The edge of every request: id, language, deadline, trace, log line, metrics, and errors in one form.
//!
//! Whatever goes wrong below (an extractor, an unknown path, a wrong method, a handler that takes too long) leaves this
//! place as a problem document, and its cause is logged here, once.

use std::{borrow::Cow, panic::AssertUnwindSafe, time::Duration};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::{InternalError, JsonPayloadError, QueryPayloadError, UrlencodedError},
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use domain::{fault::common, locale::Locale};
use futures_util::FutureExt;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use crate::{
    body::{PacedBody, Unread, is_timeout},
    clock::Clock,
    context::RequestContext,
    lifecycle::Lifecycle,
    meter,
    problem::{MEDIA_TYPE, Problem},
    telemetry,
};

/// The request's id, in requests between our processes and in every answer.
pub const REQUEST_ID: &str = "x-request-id";
/// Milliseconds the caller still waits, in requests between our processes.
pub const DEADLINE_MS: &str = "x-deadline-ms";
/// Present in answers of a process that is about to stop: send the next request elsewhere.
pub const DRAINING: &str = "x-maru-draining";
/// The address a client's request comes from, in requests of the gateway.
pub const CLIENT_IP: &str = "x-client-ip";
/// What the gateway thinks of the page a client's request comes from: [`ORIGIN_ALLOWED`] or [`ORIGIN_STRANGE`], and
/// nothing where the client names none.
pub const ORIGIN_VERDICT: &str = "x-maru-origin";
/// A page on the gateway's list.
pub const ORIGIN_ALLOWED: &str = "allowed";
/// Any other page.
pub const ORIGIN_STRANGE: &str = "strange";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// Longest any caller may wait: the gateway's patience with a large upload, and some slack.
const LONGEST: Duration = Duration::from_mins(16);

/// How the edge treats requests.
#[derive(Clone)]
pub struct Edge {
    /// The language of messages when a request names none.
    pub locale: Locale,
    /// Longest a handler should take, where the caller does not say. Streams and sockets begin to answer within it.
    pub timeout: Duration,
    /// Whether the client gets 504 after that; where not, each handler sees to that itself.
    pub keeps_time: bool,
    /// How long a request's body may take before its rate counts.
    pub body_grace: Duration,
    /// Whether ids and deadlines in request headers come from a process of ours.
    pub behind_gateway: bool,
    /// Whether this process is about to stop.
    pub lifecycle: Lifecycle,
    /// Where request ids come from.
    pub clock: Clock,
}

/// What a handler that chooses the route itself leaves in its request's extensions, whose memory is used again: those of
/// an answer would be new for each.
#[derive(Clone, Copy, Debug)]
pub struct Routed {
    /// The route, for logs and metrics.
    pub route: &'static str,
    /// Whether the answer is passed on as it came, errors included.
    pub is_passed_on: bool,
}

/// The middleware around everything a process serves.
pub async fn edge<B: MessageBody + 'static>(
    mut req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(edge) = req.app_data::<web::Data<Edge>>().cloned() else {
        return Err(Problem::unexpected("no edge is registered").into());
    };
    let started = Instant::now();
    let context = edge.context(req.headers(), started);
    let span = tracing::info_span!(
        "request",
        request_id = %context.request_id,
        trace_id = %context.trace_id,
        method = %req.method(),
        otel.name = tracing::field::Empty,
        route = tracing::field::Empty,
    );
    if telemetry::exports_traces() {
        // Fails only without a layer for traces, which there is.
        _ = span.set_parent(remote_parent(req.headers(), &context));
    }
    let unread = pace_body(&mut req, edge.body_grace);
    let method = req.method().clone();
    let in_flight = meter::InFlight::begin();
    let handled = context
        .clone()
        .scope(async {
            let handling = AssertUnwindSafe(next.call(req)).catch_unwind();
            if edge.keeps_time { timeout_at(context.deadline, handling).await } else { Ok(handling.await) }
        })
        .instrument(span.clone())
        .await;
    drop(in_flight);
    let _entered = span.enter();
    let outcome = match handled {
        Ok(Ok(Ok(response))) => Ok(context.clone().sync_scope(|| finish(response)).map_body(|_, body| match unread {
            Some(unread) => unread.behind(body),
            None => body,
        })),
        Ok(Ok(Err(error))) => Err(error),
        Ok(Err(_panic)) => Err(Problem::unexpected("the handler panicked").into()),
        Err(_elapsed) => Err(Problem::late("the handler took longer than its deadline").into()),
    };
    match outcome {
        Ok(mut response) => {
            let route = route_of(&response);
            edge.mark(response.headers_mut(), &context);
            // A socket that was just granted is told to go by its service, not by its handshake.
            if edge.lifecycle.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.response_mut().head_mut().set_connection_type(actix_http::ConnectionType::Close);
            }
            span.record("route", &*route);
            observe(&method, &route, response.status(), started);
            Ok(response)
        }
        Err(error) => {
            if let Some(problem) = error.as_error::<Problem>() {
                problem.log();
            }
            let mut response = context.clone().sync_scope(|| normalise(error.error_response()));
            edge.mark(response.headers_mut(), &context);
            observe(&method, "unknown", response.status(), started);
            Err(InternalError::from_response("answered at the edge", response).into())
        }
    }
}

impl Edge {
    fn context(&self, headers: &HeaderMap, started: Instant) -> RequestContext {
        let text = |name: HeaderName| headers.get(&name).and_then(|value| value.to_str().ok());
        let told = |name: &'static str| self.behind_gateway.then(|| text(HeaderName::from_static(name))).flatten();
        // A request that begins here has one id under two names.
        let at = self.clock.now();
        let id = Clock::uuid_of(at);
        let mut buffer = Uuid::encode_buffer();
        let request_id = told(REQUEST_ID).filter(|id| is_safe_id(id));
        let request_id = request_id.unwrap_or_else(|| id.hyphenated().encode_lower(&mut buffer)).into();
        let patience = told(DEADLINE_MS).and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        // A caller of ours knows how long its route may take; what it does not say is this server's own limit.
        let timeout = patience.map_or(self.timeout, |patience| patience.min(LONGEST));
        let mut buffer = Uuid::encode_buffer();
        let trace_id = text(HeaderName::from_static(TRACEPARENT)).and_then(trace_id);
        let trace_id = trace_id.unwrap_or_else(|| id.simple().encode_lower(&mut buffer)).into();
        RequestContext {
            request_id,
            locale: Locale::negotiate(text(header::ACCEPT_LANGUAGE), self.locale),
            started,
            at,
            deadline: started + timeout,
            trace_id,
        }
    }

    fn mark(&self, headers: &mut HeaderMap, context: &RequestContext) {
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            headers.insert(HeaderName::from_static(REQUEST_ID), id);
        }
        if self.lifecycle.is_draining() {
            headers.insert(HeaderName::from_static(DRAINING), HeaderValue::from_static("1"));
        }
    }
}

/// Accepts ids that are safe in a log line and a header.
pub fn is_safe_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Reads the trace id out of a W3C `traceparent`.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit());
    let sound = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    (sound && trace.bytes().any(|b| b != b'0')).then_some(trace)
}

/// Where a request's trace comes from: its caller's span, or for one that begins here the trace its log lines name.
fn remote_parent(headers: &HeaderMap, context: &RequestContext) -> opentelemetry::Context {
    let told = headers.get(HeaderName::from_static(TRACEPARENT)).and_then(|value| value.to_str().ok());
    let span_id = told.filter(|text| trace_id(text).is_some()).and_then(|text| text.split('-').nth(2));
    // The beginning of a trace has no span above it; half of its own id stands for one.
    let span_id = span_id.unwrap_or_else(|| context.trace_id.get(16..).unwrap_or_default());
    let (Ok(trace), Ok(span)) = (TraceId::from_hex(&context.trace_id), SpanId::from_hex(span_id)) else {
        return opentelemetry::Context::new();
    };
    let remote = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default());
    opentelemetry::Context::new().with_remote_span_context(remote)
}

fn pace_body(req: &mut ServiceRequest, grace: Duration) -> Option<Unread> {
    let has_body =
        req.headers().contains_key(header::CONTENT_LENGTH) || req.headers().contains_key(header::TRANSFER_ENCODING);
    // A WebSocket's handshake has neither; whatever else asks for an upgrade has an ordinary body.
    has_body.then(|| {
        let paced = PacedBody::new(req.take_payload(), grace);
        let unread = paced.unread();
        req.set_payload(Payload::Stream { payload: Box::pin(paced) });
        unread
    })
}

/// Logs the cause of an error answer and gives a bare one the form of all others.
fn finish<B: MessageBody + 'static>(response: ServiceResponse<B>) -> ServiceResponse<BoxBody> {
    if let Some(problem) = response.response().error().and_then(|error| error.as_error::<Problem>()) {
        problem.log();
    }
    let passed_on = response.request().extensions().get::<Routed>().is_some_and(|routed| routed.is_passed_on);
    if passed_on || !is_bare_error(response.status(), response.headers(), response.response().body().size()) {
        return response.map_into_boxed_body();
    }
    let (request, response) = response.into_parts();
    ServiceResponse::new(request, normalise(response.map_into_boxed_body()))
}

fn is_bare_error(status: StatusCode, headers: &HeaderMap, size: BodySize) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let failed = status.is_client_error() || status.is_server_error();
    failed
        && !content_type.starts_with(MEDIA_TYPE)
        && !content_type.starts_with("application/json")
        && !matches!(size, BodySize::Stream)
}

fn normalise(response: actix_web::HttpResponse) -> actix_web::HttpResponse {
    if !is_bare_error(response.status(), response.headers(), response.body().size()) {
        return response;
    }
    let problem = Problem::from_status(response.status());
    problem.log();
    let mut answer = actix_web::ResponseError::error_response(&problem);
    // A 405 without `Allow` would not say what is allowed.
    if let Some(allow) = response.headers().get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    answer
}

fn route_of<B>(response: &ServiceResponse<B>) -> Cow<'static, str> {
    let named = response.request().extensions().get::<Routed>().map(|routed| Cow::Borrowed(routed.route));
    named.or_else(|| response.request().match_pattern().map(Cow::Owned)).unwrap_or(Cow::Borrowed("unknown"))
}

fn observe(method: &actix_web::http::Method, route: &str, status: StatusCode, started: Instant) {
    let took = started.elapsed();
    meter::answered(method, route, status, took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(route, status = status.as_u16(), duration_ms, "answered");
}

/// Refusals of the framework's extractors, in the form of all others.
pub fn extractors(cfg: &mut web::ServiceConfig) {
    cfg.app_data(web::JsonConfig::default().limit(JSON_LIMIT).error_handler(|error, _req| json_refused(error).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _req| query_refused(error).into()))
        .app_data(web::FormConfig::default().error_handler(|error, _req| form_refused(&error).into()))
        // A path whose id is not an id names nothing.
        .app_data(web::PathConfig::default().error_handler(|_error, _req| Problem::from(common::NOT_FOUND).into()))
        .app_data(web::PayloadConfig::new(JSON_LIMIT));
}

/// Largest JSON body of an ordinary route; routes that take more say so themselves.
pub const JSON_LIMIT: usize = 64 * 1024;

/// Turns a refused JSON body into its problem.
pub fn json_refused(error: JsonPayloadError) -> Problem {
    match error {
        JsonPayloadError::ContentType => common::UNSUPPORTED_MEDIA.into(),
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => common::TOO_LARGE.into(),
        JsonPayloadError::Payload(payload) if is_timeout(&payload) => common::BODY_TIMEOUT.into(),
        JsonPayloadError::Deserialize(error) => {
            let problem = Problem::from(common::MALFORMED);
            // serde's texts about values repeat the value; those about fields name the field only.
            let text = error.to_string();
            let names_a_field = text.starts_with("missing field") || text.starts_with("unknown field");
            let reason = if names_a_field {
                text
            } else {
                format!("not as documented at line {} column {}", error.line(), error.column())
            };
            problem.with("reason", reason)
        }
        _ => common::MALFORMED.into(),
    }
}

fn query_refused(error: QueryPayloadError) -> Problem {
    match error {
        QueryPayloadError::Deserialize(error) => Problem::from(common::MALFORMED).with("reason", error.to_string()),
        _ => common::MALFORMED.into(),
    }
}

fn form_refused(error: &UrlencodedError) -> Problem {
    match error {
        UrlencodedError::Overflow { .. } => common::TOO_LARGE.into(),
        UrlencodedError::ContentType => common::UNSUPPORTED_MEDIA.into(),
        UrlencodedError::Payload(payload) if is_timeout(payload) => common::BODY_TIMEOUT.into(),
        _ => common::MALFORMED.into(),
    }
}

/// The language of the request at hand, as a handler argument.
#[derive(Clone, Copy, Debug)]
pub struct Language(pub Locale);

impl FromRequest for Language {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(_req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self(crate::context::locale())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_only_from_a_sound_traceparent() {
        let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_id(sound), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in ["", "00-xyz-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_id_with_a_line_break_is_not_safe() {
        assert!(is_safe_id("0192-abc_DEF"));
        assert!(!is_safe_id("a\nb") && !is_safe_id("") && !is_safe_id(&"a".repeat(65)));
    }
}
