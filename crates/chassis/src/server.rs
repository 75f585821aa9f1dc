//! The HTTP server of a process and how it ends.
//!
//! It is put together as the web framework's own server is, and can hand over a connection that stops speaking HTTP.

mod upgrade;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::HttpService;
use actix_server::GracefulShutdownSignal;
use actix_service::{IntoServiceFactory, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Server, ServerHandle},
    middleware::from_fn,
    rt::net::TcpStream,
    web,
};
use clap::Args;
use domain::fault::common;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use self::upgrade::Upgrades;
use crate::{
    clock::Clock,
    config::{CommonConfig, Faults},
    edge::{self, Edge},
    health::{self, Health},
    lifecycle::Lifecycle,
    openapi,
    problem::Problem,
    telemetry,
};

/// Longest a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what a client still sends is read and dropped behind the last answer of its connection, so that no reset
/// overtakes the answer. The socket of a login that has ended closes after it, and must within a second.
const LINGER: Duration = Duration::from_millis(500);
/// Longest an idle connection is kept; above the usual 60 s of load balancers, so that they close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Longest a client may leave what is sent to it where it is; a connection on which nothing moves for so long is cut. An
/// answer that is read by the byte would otherwise hold a service's connection for ever.
#[cfg(target_os = "linux")]
const STALLED_READER: Duration = Duration::from_secs(30);
/// Most connections of one worker.
const MAX_CONNECTIONS: usize = 20_000;
/// Most connections that wait to be accepted: all of an audience comes at once.
const BACKLOG: i32 = 1_024;

/// The HTTP server.
#[derive(Args, Clone, Debug)]
pub struct HttpConfig {
    /// Address to listen on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,
    /// Worker threads; 0 takes one per core.
    #[arg(long, env = "HTTP_WORKERS", default_value_t = 0)]
    pub workers: usize,
    /// Longest a handler may take before the client gets 504, milliseconds.
    #[arg(long, env = "REQUEST_TIMEOUT_MS", default_value_t = 10_000)]
    pub request_timeout_ms: u64,
    /// How long a request's body may take before it must flow at 4 KiB/s or more, milliseconds.
    #[arg(long, env = "BODY_GRACE_MS", default_value_t = 5_000)]
    pub body_grace_ms: u64,
    /// After SIGTERM: how long to keep serving with `/readyz` at 503, so that callers learn of it, milliseconds.
    #[arg(long, env = "DRAIN_DELAY_MS", default_value_t = 3_000)]
    pub drain_delay_ms: u64,
    /// After that: longest to wait for requests in flight and open sockets, seconds.
    #[arg(long, env = "SHUTDOWN_TIMEOUT_SECONDS", default_value_t = 20)]
    pub shutdown_timeout_seconds: u64,
}

impl HttpConfig {
    /// Checks what types cannot.
    pub fn validate(&self, faults: &mut Faults) {
        if self.host.parse::<std::net::IpAddr>().is_err() {
            faults.add("HOST", "is not an IP address");
        }
        if self.request_timeout_ms == 0 {
            faults.add("REQUEST_TIMEOUT_MS", "must be at least 1");
        }
    }

    fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            count => count,
        }
    }
}

/// What a server serves and stands on.
pub struct Serving<F> {
    /// Listening, workers, limits.
    pub http: HttpConfig,
    /// Language and environment.
    pub common: CommonConfig,
    /// The port; 0 takes any free one.
    pub port: u16,
    /// The process's life.
    pub lifecycle: Lifecycle,
    /// The parts it leans on.
    pub health: Health,
    /// Where ids come from.
    pub clock: Clock,
    /// Whether callers are processes of ours, whose ids and deadlines count.
    pub behind_gateway: bool,
    /// Whether a handler that takes too long is ended; where it is not, each of them sees to that itself.
    pub keeps_time: bool,
    /// Whether probes, metrics and the API document are served on this port too.
    pub with_probes: bool,
    /// The process's API document.
    pub api: utoipa::openapi::OpenApi,
    /// The routes.
    pub routes: F,
}

/// A server that listens and does not serve yet.
pub struct Bound {
    addr: SocketAddr,
    server: Server,
    beside: Vec<Server>,
    lifecycle: Lifecycle,
    drain_delay: Duration,
    shutdown_timeout: Duration,
}

/// Starts to listen.
///
/// # Errors
/// Returns an error when the address is taken.
pub fn bind<F>(serving: Serving<F>) -> std::io::Result<Bound>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let Serving { http, common, port, lifecycle, health, clock, behind_gateway, keeps_time, with_probes, api, routes } =
        serving;
    let edge_settings = Edge {
        locale: common.locale,
        timeout: Duration::from_millis(http.request_timeout_ms),
        keeps_time,
        body_grace: Duration::from_millis(http.body_grace_ms),
        behind_gateway,
        lifecycle: lifecycle.clone(),
        clock,
    };
    // Before the first request, so that no measurement is lost.
    telemetry::recorder();
    let health = web::Data::new(health);
    let api = Arc::new(api);
    let app = move || {
        let (routes, api) = (routes.clone(), api.clone());
        App::new()
            // Each worker's own: counting who holds it would be written by all of them, for each request.
            .app_data(web::Data::new(edge_settings.clone()))
            .app_data(health.clone())
            .configure(edge::extractors)
            .configure(|cfg| {
                if with_probes {
                    health::routes(cfg);
                    telemetry::routes(cfg);
                    openapi::routes(cfg, &api);
                }
            })
            // Before the routes, which may have another idea of what is nobody's.
            .default_service(web::to(|| async { Err::<String, _>(Problem::from(common::NOT_FOUND)) }))
            .configure(routes)
            .wrap(from_fn(edge::edge))
    };
    let builder = Server::build()
        .workers(http.worker_count())
        .max_concurrent_connections(MAX_CONNECTIONS)
        .shutdown_timeout(http.shutdown_timeout_seconds)
        .disable_signals();
    let stops = builder.graceful_shutdown_signal();
    let listener = TcpListener::bind((http.host.as_str(), port))?;
    rustix::net::listen(&listener, BACKLOG)?;
    let addr = listener.local_addr()?;
    let builder = builder.listen("http", listener, move || {
        let stops = heard_once(stops.clone());
        let app = || map_config(app().into_factory(), |()| AppConfig::default());
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stops = stops.clone();
                async move { stops.cancelled().await }
            })
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(LINGER)
            .keep_alive(KEEP_ALIVE)
            .tcp_nodelay(true)
            .on_connect_ext(|connection: &TcpStream, _| give_up_on_stalled_readers(connection))
            // A person's client that closes its side has left, and work for it is dropped. Between our own processes a
            // half-closed connection is one that still listens.
            .h1_allow_half_closed(behind_gateway)
            .local_addr(addr)
            .upgrade(Upgrades::new(app()))
            .finish(app())
            .tcp()
    })?;
    let shutdown_timeout = Duration::from_secs(http.shutdown_timeout_seconds);
    lifecycle.ends_within(shutdown_timeout);
    Ok(Bound {
        addr,
        server: builder.run(),
        beside: Vec::new(),
        lifecycle,
        drain_delay: Duration::from_millis(http.drain_delay_ms),
        shutdown_timeout,
    })
}

/// Hears for all connections of this worker that the server is about to stop. Each of them looks at what it returns
/// whenever anything moves, and would take a lock of all workers for that.
fn heard_once(stops: GracefulShutdownSignal) -> CancellationToken {
    let heard = CancellationToken::new();
    let stopping = heard.clone();
    actix_web::rt::spawn(async move {
        stops.notified().await;
        stopping.cancel();
    });
    heard
}

#[cfg(target_os = "linux")]
fn give_up_on_stalled_readers(connection: &TcpStream) {
    let longest = u32::try_from(STALLED_READER.as_millis()).unwrap_or(u32::MAX);
    // Fails on a connection that is gone already.
    _ = rustix::net::sockopt::set_tcp_user_timeout(connection, longest);
}

/// Elsewhere there is no such limit to set.
#[cfg(not(target_os = "linux"))]
fn give_up_on_stalled_readers(_connection: &TcpStream) {}

impl Bound {
    /// Returns the address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Runs another server of this process beside this one: it is served for as long, and stops right after it.
    #[must_use]
    pub fn beside(mut self, other: Self) -> Self {
        self.beside.push(other.server);
        self.beside.extend(other.beside);
        self
    }

    /// Returns the life of its process.
    pub fn lifecycle(&self) -> Lifecycle {
        self.lifecycle.clone()
    }

    /// Returns what stops it.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until SIGTERM or Ctrl-C, drains, and returns; a second signal ends at once.
    ///
    /// # Errors
    /// Returns an error when the listener fails.
    pub async fn run(self) -> std::io::Result<()> {
        let Self { addr, server, beside, lifecycle, drain_delay, shutdown_timeout } = self;
        tracing::info!(%addr, "serving");
        let handle = server.handle();
        telemetry::upkeep(&lifecycle);
        let life = lifecycle.clone();
        lifecycle.spawn("signals", async move {
            let stopping = life.stopping();
            tokio::select! {
                () = signal() => {}
                () = stopping.cancelled() => return,
            }
            tracing::info!("stopping: no longer ready, still serving");
            life.begin_drain();
            tokio::select! {
                () = tokio::time::sleep(drain_delay) => {}
                () = signal() => {}
            }
            life.close_sockets();
            tokio::select! {
                () = handle.stop(true) => {}
                () = signal() => handle.stop(false).await,
            }
        });
        let others: Vec<ServerHandle> = beside.iter().map(Server::handle).collect();
        let served = async {
            let outcome = server.await;
            join_all(others.iter().map(|other| other.stop(false))).await;
            outcome
        };
        let (outcome, _) = futures_util::join!(served, join_all(beside));
        outcome?;
        lifecycle.stop();
        if !lifecycle.finished(shutdown_timeout).await {
            tracing::warn!("some tasks did not end in time");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
