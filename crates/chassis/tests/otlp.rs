//! Traces leave the process when a collector is configured; in a process of its own, because telemetry is global.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use chassis::{
    lifecycle::Lifecycle,
    server,
    telemetry::{self, LogFormat, TelemetryConfig},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_reaches_the_collector_in_its_callers_trace() {
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
    ask_a_service().await;
    // What is still held is sent when the guard goes, as at the end of a process.
    tokio::task::spawn_blocking(move || drop(guard)).await.unwrap();

    let holds = |bytes: &[u8]| received.lock().unwrap().windows(bytes.len()).any(|window| window == bytes);
    testkit::eventually(Duration::from_secs(5), || async { holds(b"maru-test") }).await;
    assert!(holds(b"request"), "the span of the request");
    assert!(holds(&TRACE.to_be_bytes()), "it belongs to the caller's trace");
    assert!(holds(&SPAN.to_be_bytes()), "and stands below the caller's span");
}

/// The caller's trace and span.
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

/// Serves one request behind the edge, with a caller that has a trace.
async fn ask_a_service() {
    let bound = server::bind(testkit::stage::serving(Lifecycle::new(), |_: &mut web::ServiceConfig| {})).unwrap();
    let url = format!("http://{}/livez", bound.addr());
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(bound.run());
    let request = chassis::client::plain_http_client().unwrap().get(url);
    let traceparent = format!("00-{TRACE:032x}-{SPAN:016x}-01");
    assert_eq!(request.header("traceparent", traceparent).send().await.unwrap().status(), 200);
}
