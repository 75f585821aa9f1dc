//! Traces leave the process when a collector is configured; in a process of its own, because telemetry is global.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use chassis::telemetry::{self, LogFormat, TelemetryConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_reaches_the_collector_with_its_service_and_trace() {
    let received: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = received.clone();
    let collector = HttpServer::new(move || {
        let kept = kept.clone();
        App::new().route(
            "/v1/traces",
            web::post().to(move |body: web::Bytes| {
                kept.lock().unwrap().extend_from_slice(&body);
                async { HttpResponse::Ok().finish() }
            }),
        )
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let addr = collector.addrs().first().copied().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(collector.run());

    let config = TelemetryConfig {
        log_level: "info".to_owned(),
        log_format: LogFormat::Json,
        otlp_endpoint: Some(format!("http://{addr}").parse().unwrap()),
    };
    let guard = telemetry::init("test", &config);
    tracing::info_span!("canary-span").in_scope(|| tracing::info!("inside"));
    // What is still held is sent when the guard goes, as at the end of a process.
    tokio::task::spawn_blocking(move || drop(guard)).await.unwrap();

    testkit::eventually(Duration::from_secs(5), || async {
        let body = String::from_utf8_lossy(&received.lock().unwrap()).into_owned();
        body.contains("canary-span") && body.contains("maru-test")
    })
    .await;
}
