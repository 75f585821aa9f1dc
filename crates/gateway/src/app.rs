//! How `maru-gateway` is put together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::web::{self, Data, ServiceConfig};
use chassis::{
    cli::{NoCommand, Program},
    client::{Peer, plain_http_client},
    clock::Clock,
    health::Health,
    lifecycle::Lifecycle,
    pg::PgConfig,
    problem::{Outcome, Problem},
    redis::Redis,
    revocation::{Feed, Revocations},
    server::{self, Bound, Serving},
    telemetry::TelemetryConfig,
    token::Signer,
};
use diesel_migrations::EmbeddedMigrations;
use domain::principal::Service;
use url::Url;
use utoipa::OpenApi as _;

use crate::{
    config::GatewayConfig,
    docs::Docs,
    gate::{self, Gate, Shared},
    health::{self, ServicesHealth},
    limit::Limits,
    openapi::{self, MergedApi},
    origin::AllowedOrigins,
    page::Pages,
    route::Router,
    seen::SeenLogins,
    ticket::Tickets,
    upstream::{Room, Upstream},
};

/// The gateway's own part of the API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru", description = "Every service of Maru, through the gateway"),
    paths(health::health, openapi::openapi),
    tags((name = "gateway", description = "What the gateway answers by itself"))
)]
pub struct Api;

/// A gateway that listens and does not serve yet.
pub struct Gateway {
    bound: Bound,
    admin_addr: SocketAddr,
}

impl Gateway {
    /// Returns the address people use.
    pub fn addr(&self) -> SocketAddr {
        self.bound.addr()
    }

    /// Returns the address of probes and metrics.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Returns both servers, to be run as one.
    pub fn into_bound(self) -> Bound {
        self.bound
    }
}

/// Builds the gateway and starts to listen, on both ports.
///
/// # Errors
/// Returns a problem when a key cannot be read or a port is taken.
pub fn build(config: &GatewayConfig, clock: Clock) -> Outcome<Gateway> {
    let lifecycle = Lifecycle::new();
    let redis = Redis::new(&config.redis).map_err(Problem::unexpected)?;
    let signer = config.signing.signer(Service::Gateway).map_err(Problem::unexpected)?;
    // One each: when nobody hears what is seen, tickets are still redeemed.
    let auth = || {
        let urls = config.services.auth_urls.0.clone();
        Peer::new(Service::Auth, urls, Some(signer.clone()), clock.clone()).map_err(Problem::unexpected)
    };
    let revocations = Revocations::new(clock.clone());
    let feed = Feed::start(revocations.clone(), auth()?, redis.clone(), &lifecycle);
    let seen = SeenLogins::default();
    seen.tell(auth()?, &lifecycle);
    let learnt = Learnt {
        revocations,
        seen,
        tickets: Arc::new(Tickets::new(auth()?)),
        limits: Arc::new(Limits::new(config.rate_limits, redis.clone())),
    };
    let shared = shared(config, learnt, signer.clone(), &lifecycle)?;

    let admin = listen_for_operators(config, &lifecycle, clock.clone(), health(&lifecycle, feed, redis))?;
    let public = listen_for_people(config, &lifecycle, clock, shared)?;
    let admin_addr = admin.addr();
    Ok(Gateway { bound: public.beside(admin), admin_addr })
}

/// What a gateway knows from others, and they from it.
struct Learnt {
    revocations: Revocations,
    seen: SeenLogins,
    tickets: Arc<Tickets>,
    limits: Arc<Limits>,
}

fn shared(config: &GatewayConfig, learnt: Learnt, signer: Signer, lifecycle: &Lifecycle) -> Outcome<Shared> {
    let services: Vec<(Service, Vec<Url>)> =
        config.services.all().into_iter().map(|(service, urls)| (service, urls.to_vec())).collect();
    let room = Room { service: config.max_in_flight, address: config.max_in_flight_per_address };
    let upstreams = services.iter().map(|(service, urls)| Upstream::new(*service, urls, room));
    let upstreams = upstreams.collect::<Outcome<Vec<_>>>()?;
    let http = plain_http_client().map_err(Problem::unexpected)?;
    let own_api = chassis::openapi::complete(Api::openapi());
    let pages = Pages {
        health: ServicesHealth::new(services.clone(), http.clone()),
        api: MergedApi::new(services, http, &own_api),
        docs: Docs::new("/openapi.json"),
    };
    Ok(Shared {
        router: Arc::new(Router::new()),
        origins: Arc::new(AllowedOrigins::new(config)),
        upstreams: Arc::new(upstreams),
        revocations: learnt.revocations,
        lifecycle: lifecycle.clone(),
        limits: learnt.limits,
        tickets: learnt.tickets,
        seen: learnt.seen,
        pages: Arc::new(pages),
        access_tokens: config.access.tokens(),
        signer,
        usual_patience: Duration::from_millis(config.http.request_timeout_ms),
        trusted_hops: config.trusted_hops,
        over_tls: config.public_url.scheme() == "https",
    })
}

fn health(lifecycle: &Lifecycle, feed: Arc<Feed>, redis: Redis) -> Health {
    Health::new(Service::Gateway.name(), env!("CARGO_PKG_VERSION"), lifecycle.clone())
        .needs("revocations", move || {
            let feed = feed.clone();
            async move { feed.is_settled() }
        })
        .uses("redis", move || {
            let redis = redis.clone();
            async move { redis.answers().await }
        })
}

fn listen_for_people(config: &GatewayConfig, lifecycle: &Lifecycle, clock: Clock, shared: Shared) -> Outcome<Bound> {
    let bound = server::bind(Serving {
        http: config.http.clone(),
        common: config.common.clone(),
        port: config.port,
        lifecycle: lifecycle.clone(),
        health: Health::new(Service::Gateway.name(), env!("CARGO_PKG_VERSION"), lifecycle.clone()),
        clock,
        behind_gateway: false,
        // The gate does, by the patience of each route.
        keeps_time: false,
        with_probes: false,
        api: Api::openapi(),
        routes: move |cfg: &mut ServiceConfig| {
            // Made here, on a worker's thread, and never leaves it.
            let gate = Data::new(Gate::new(shared.clone()));
            cfg.app_data(gate).default_service(web::to(gate::gate));
        },
    });
    bound.map_err(|error| Problem::unexpected(format!("cannot listen on port {}: {error}", config.port)))
}

fn listen_for_operators(config: &GatewayConfig, lifecycle: &Lifecycle, clock: Clock, health: Health) -> Outcome<Bound> {
    let mut http = config.http.clone();
    http.workers = 1;
    let bound = server::bind(Serving {
        http,
        common: config.common.clone(),
        port: config.admin_port,
        lifecycle: lifecycle.clone(),
        health,
        clock,
        behind_gateway: true,
        keeps_time: true,
        with_probes: true,
        api: chassis::openapi::complete(Api::openapi()),
        routes: |_: &mut ServiceConfig| {},
    });
    bound.map_err(|error| Problem::unexpected(format!("cannot listen on port {}: {error}", config.admin_port)))
}

impl Program for Gateway {
    type Config = GatewayConfig;
    type Command = NoCommand;

    const SERVICE: Service = Service::Gateway;
    const BINARY: &'static str = "maru-gateway";
    const ABOUT: &'static str = "The gate: one origin for every client of every service";

    fn telemetry(config: &GatewayConfig) -> &TelemetryConfig {
        &config.telemetry
    }

    fn probe_port(config: &GatewayConfig) -> u16 {
        config.admin_port
    }

    fn database(_config: &GatewayConfig) -> Option<(&PgConfig, EmbeddedMigrations)> {
        None
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        Api::openapi()
    }

    async fn build(config: GatewayConfig) -> Outcome<Bound> {
        build(&config, Clock::system()).map(Gateway::into_bound)
    }

    async fn command(_config: GatewayConfig, command: NoCommand) -> Outcome<()> {
        match command {}
    }
}
