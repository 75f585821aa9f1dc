//! Logs as JSON lines, Prometheus metrics, and traces over OTLP when an endpoint is configured.
//!
//! A log line carries the request's id and trace id through its span. Nothing here ever logs a body, a token, a
//! password or what a person wrote; libraries that would are switched off by name.

use std::{
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpResponse, web};
use clap::Args;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{lifecycle::Lifecycle, meter};

/// Appended to every filter: the first writes what people said when a provider's answer cannot be read, the second every
/// statement's parameters when it is asked for details.
const ALWAYS: &str =
    "async_openai=off,tokio_postgres=info,hyper_util=warn,reqwest=warn,opentelemetry=warn,actix_http=warn,h2=warn";

/// Bucket bounds of `http_request_duration_seconds`, chosen around the goals: 1 ms to 10 s.
const LATENCY_BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How often measurements are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Short lines, for a terminal.
    Text,
}

/// Logs, metrics and traces.
#[derive(Args, Clone, Debug)]
pub struct TelemetryConfig {
    /// Filter of log lines, as in `info` or `info,session=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Form of log lines: `json` or `text`.
    #[arg(long, env = "LOG_FORMAT", default_value = "json", value_enum)]
    pub log_format: LogFormat,
    /// Base URL of an OTLP/HTTP collector; traces are exported only when this is set.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<url::Url>,
}

/// Flushes what telemetry still holds when the process ends.
#[derive(Debug, Default)]
pub struct TelemetryGuard(Option<SdkTracerProvider>);

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take() {
            drop(provider.shutdown());
        }
    }
}

/// Starts logs, metrics and, when configured, traces for this process.
///
/// Call once, from `main`; a second call leaves the first one's settings in place.
pub fn init(service: &'static str, config: &TelemetryConfig) -> TelemetryGuard {
    recorder();
    metrics::gauge!("build_info", "service" => service, "version" => env!("CARGO_PKG_VERSION")).set(1);
    let filter = EnvFilter::try_new(format!("{},{ALWAYS}", config.log_level))
        .unwrap_or_else(|_invalid| EnvFilter::new(format!("info,{ALWAYS}")));
    let lines = match config.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer().compact().with_ansi(false).with_target(false).boxed(),
    };
    let provider = config.otlp_endpoint.as_ref().and_then(|endpoint| exporter(service, endpoint));
    EXPORTS.store(provider.is_some(), Ordering::Relaxed);
    let traces = provider.as_ref().map(|p| tracing_opentelemetry::layer().with_tracer(p.tracer(service)));
    let started = tracing_subscriber::registry().with(traces).with(lines).with(filter).try_init();
    if started.is_err() {
        tracing::debug!("telemetry was started before");
    }
    TelemetryGuard(provider)
}

fn exporter(service: &'static str, endpoint: &url::Url) -> Option<SdkTracerProvider> {
    opentelemetry::global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());
    let url = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(url).build().ok()?;
    let resource = Resource::builder().with_service_name(format!("maru-{service}")).build();
    Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Whether traces leave this process.
static EXPORTS: AtomicBool = AtomicBool::new(false);

/// Returns whether traces leave this process; nobody pays for them otherwise.
pub fn exports_traces() -> bool {
    EXPORTS.load(Ordering::Relaxed)
}

/// Returns the id of the span at hand, 16 hex digits, when traces leave this process.
pub fn current_span_id() -> Option<String> {
    if !exports_traces() {
        return None;
    }
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.span_id().to_string())
}

/// Returns this process's metrics, installing the recorder at first use.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)
                .ok()?
                .install_recorder()
                .ok()
        })
        .as_ref()
}

/// Starts the loop that folds measurements into their buckets; without it they would pile up until somebody scrapes.
pub(crate) fn upkeep(lifecycle: &Lifecycle) {
    lifecycle.spawn_every("metrics", UPKEEP, || {
        meter::gather();
        if let Some(handle) = recorder() {
            handle.run_upkeep();
        }
        std::future::ready(())
    });
}

async fn metrics_page() -> HttpResponse {
    /// The process's own CPU time, memory and open files.
    static PROCESS: LazyLock<metrics_process::Collector> = LazyLock::new(metrics_process::Collector::default);

    PROCESS.collect();
    meter::gather();
    let text = recorder().map(PrometheusHandle::render);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text.unwrap_or_default())
}

/// Mounts `/metrics` in Prometheus' text format.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/metrics").get(metrics_page));
}
