//! How `maru-session` is put together.

use std::sync::Arc;

use chassis::{
    cli::Program, clock::Clock, idempotency, mac::Mac, pg::PgConfig, problem::Outcome, server::Bound,
    service::Foundation, telemetry::TelemetryConfig,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use domain::principal::Service;
use utoipa::OpenApi as _;

use crate::{
    config::SessionConfig,
    development, focus,
    participants::{self, names::Names},
    peers::Peers,
    qr::Pictures,
    routes,
    sessions::codes::Codes,
    stream::rooms::Rooms,
    timer::announce::{self, Alarm},
};

/// The schema of `maru_session`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/session");

/// What handlers stand on; clones share it.
#[derive(Clone)]
pub struct App {
    /// Pools, clock, life.
    pub ground: Foundation,
    /// The configuration.
    pub config: Arc<SessionConfig>,
    /// Where session codes are drawn from.
    pub codes: Codes,
    /// The sessions that are watched here.
    pub rooms: Rooms,
    /// Wakes whoever announces alerts.
    pub alarm: Alarm,
    /// Where changes of focus sessions are told.
    pub focus: focus::Effects,
    /// Draws join links.
    pub pictures: Arc<Pictures>,
    /// The key of participants' tokens.
    pub participant_mac: Mac,
    /// The services it asks.
    pub peers: Arc<Peers>,
    /// The names of presenters.
    pub names: Arc<Names>,
}

/// Builds the service and starts to listen.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build(config: SessionConfig, clock: Clock) -> Outcome<Bound> {
    App::new(config, clock)?.listen()
}

impl App {
    /// Builds what handlers stand on.
    ///
    /// # Errors
    /// Returns a problem when a URL or key cannot be read.
    pub fn new(config: SessionConfig, clock: Clock) -> Outcome<Self> {
        let ground = Foundation::new(Service::Session, config.base.clone(), clock.clone())?;
        let pictures = Arc::new(Pictures::new(&config.public_base_url));
        Ok(Self {
            rooms: Rooms::new(ground.pg.clone(), ground.redis.clone(), ground.lifecycle.clone(), Arc::clone(&pictures)),
            focus: focus::Effects::new(&ground.redis, clock.clone()),
            alarm: Alarm::default(),
            codes: Codes::random(),
            pictures,
            participant_mac: config.participants.mac(),
            peers: Arc::new(Peers::new(&config, &clock)?),
            names: Arc::new(Names::new(clock)),
            config: Arc::new(config),
            ground,
        })
    }

    /// Starts its loops and to listen.
    ///
    /// # Errors
    /// Returns a problem when the port is taken.
    pub fn listen(self) -> Outcome<Bound> {
        idempotency::prune(&self.ground.lifecycle, self.ground.pg.clone());
        self.rooms.start();
        announce::start(&self);
        focus::watch::start(&self);
        participants::prune::start(&self);
        self.answer()
    }

    /// Starts to listen, and nothing else: what a process does whose loops are dead.
    ///
    /// # Errors
    /// Returns a problem when the port is taken.
    pub fn answer(self) -> Outcome<Bound> {
        let data = actix_web::web::Data::new(self.clone());
        self.ground.listen(self.config.port, self.ground.health(), routes::Api::openapi(), move |cfg| {
            cfg.app_data(data.clone()).configure(routes::configure);
        })
    }
}

/// The binary.
#[derive(Debug)]
pub struct Session;

impl Program for Session {
    type Config = SessionConfig;
    type Command = development::Command;

    const SERVICE: Service = Service::Session;
    const BINARY: &'static str = "maru-session";
    const ABOUT: &'static str = "Sessions, the presentation timer and focus sessions";

    fn telemetry(config: &SessionConfig) -> &TelemetryConfig {
        &config.base.telemetry
    }

    fn probe_port(config: &SessionConfig) -> u16 {
        config.port
    }

    fn database(config: &SessionConfig) -> Option<(&PgConfig, EmbeddedMigrations)> {
        Some((&config.base.pg, MIGRATIONS))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        routes::Api::openapi()
    }

    async fn build(config: SessionConfig) -> Outcome<Bound> {
        build(config, Clock::system())
    }

    async fn command(config: SessionConfig, command: development::Command) -> Outcome<()> {
        development::run(App::new(config, Clock::system())?, command).await
    }
}
