//! How `maru-ticketing` is put together.

use std::{sync::Arc, time::Duration};

use chassis::{
    cli::Program, clock::Clock, idempotency, outbox::Outbox, pg::PgConfig, problem::Outcome, server::Bound,
    service::Foundation, telemetry::TelemetryConfig,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use domain::principal::Service;
use utoipa::OpenApi as _;

use crate::{config::TicketingConfig, development, notice::Notices, realtime, routes, seat::expiry};

/// The schema of `maru_ticketing`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/ticketing");

/// What handlers stand on; clones share it.
#[derive(Clone)]
pub struct App {
    /// Pools, clock, life.
    pub ground: Foundation,
    /// The configuration.
    pub config: Arc<TicketingConfig>,
    /// What must be told after a commit.
    pub outbox: Outbox,
    /// The way to the other replicas.
    pub notices: Notices,
}

/// Builds the service and starts to listen.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build(config: TicketingConfig, clock: Clock) -> Outcome<Bound> {
    let app = App::new(config, clock)?;
    idempotency::prune(&app.ground.lifecycle, app.ground.pg.clone());
    app.notices.relay(&app.ground.lifecycle, app.ground.pg.clone(), &app.outbox);
    let pause = Duration::from_millis(app.config.hold_sweep_ms);
    expiry::start(&app.ground.lifecycle, app.ground.pg.clone(), pause);
    let sockets = realtime::start(&app, Arc::new(realtime::presence::Unheard))?;
    let data = actix_web::web::Data::new(app.clone());
    app.ground.listen(app.config.port, app.ground.health(), routes::Api::openapi(), move |cfg| {
        cfg.app_data(data.clone()).app_data(sockets.clone()).configure(routes::configure);
    })
}

impl App {
    /// Builds what handlers stand on.
    ///
    /// # Errors
    /// Returns a problem when a URL or key cannot be read.
    pub fn new(config: TicketingConfig, clock: Clock) -> Outcome<Self> {
        let outbox = Outbox::new(clock.clone());
        let ground = Foundation::new(Service::Ticketing, config.base.clone(), clock)?;
        let notices = Notices::new(ground.redis.clone());
        Ok(Self { ground, config: Arc::new(config), outbox, notices })
    }
}

/// The binary.
#[derive(Debug)]
pub struct Ticketing;

impl Program for Ticketing {
    type Config = TicketingConfig;
    type Command = development::Command;

    const SERVICE: Service = Service::Ticketing;
    const BINARY: &'static str = "maru-ticketing";
    const ABOUT: &'static str = "Events, seats and reservations";

    fn telemetry(config: &TicketingConfig) -> &TelemetryConfig {
        &config.base.telemetry
    }

    fn probe_port(config: &TicketingConfig) -> u16 {
        config.port
    }

    fn database(config: &TicketingConfig) -> Option<(&PgConfig, EmbeddedMigrations)> {
        Some((&config.base.pg, MIGRATIONS))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        routes::Api::openapi()
    }

    async fn build(config: TicketingConfig) -> Outcome<Bound> {
        build(config, Clock::system())
    }

    async fn command(config: TicketingConfig, command: development::Command) -> Outcome<()> {
        development::run(App::new(config, Clock::system())?, command).await
    }
}
