//! How `maru-memo` is put together.

use std::sync::Arc;

use chassis::{
    cli::Program, clock::Clock, health::Health, idempotency, mac::Mac, pg::PgConfig, problem::Outcome, server::Bound,
    service::Foundation, telemetry::TelemetryConfig,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use domain::principal::Service;
use tokio::sync::Notify;
use utoipa::OpenApi as _;

use crate::{
    attachments::{preview, sweep},
    config::MemoConfig,
    development,
    memos::{keys, trash},
    peers::Peers,
    routes,
    storage::ObjectStorage,
};

/// The schema of `maru_memo`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/memo");

/// What handlers stand on; clones share it.
#[derive(Clone)]
pub struct App {
    /// Pools, clock, life.
    pub ground: Foundation,
    /// The configuration.
    pub config: Arc<MemoConfig>,
    /// Where files are.
    pub storage: Arc<ObjectStorage>,
    /// Told when objects have lost their owner.
    pub unowned: Arc<Notify>,
    /// Told when there are files whose previews are to be made.
    pub previews: Arc<Notify>,
    /// The services that are asked.
    pub peers: Arc<Peers>,
    /// Signs where a page of a list ended.
    pub cursor_mac: Mac,
}

/// Builds the service and starts to listen.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build(config: MemoConfig, clock: Clock) -> Outcome<Bound> {
    let app = App::new(config, clock)?;
    idempotency::prune(&app.ground.lifecycle, app.ground.pg.clone());
    sweep::start(&app);
    preview::start(&app);
    keys::start(&app);
    trash::start(&app);
    let data = actix_web::web::Data::new(app.clone());
    app.ground.listen(app.config.port, app.health(), routes::Api::openapi(), move |cfg| {
        cfg.app_data(data.clone()).configure(routes::configure);
    })
}

impl App {
    /// Builds what handlers stand on.
    ///
    /// # Errors
    /// Returns a problem when a URL or key cannot be read.
    pub fn new(config: MemoConfig, clock: Clock) -> Outcome<Self> {
        Ok(Self {
            ground: Foundation::new(Service::Memo, config.base.clone(), clock.clone())?,
            peers: Arc::new(Peers::new(&config, &clock)?),
            cursor_mac: Mac::new(&config.signing.internal_signing_key, None, "memo cursor"),
            storage: Arc::new(ObjectStorage::new(&config.s3, clock)?),
            unowned: Arc::default(),
            previews: Arc::default(),
            config: Arc::new(config),
        })
    }

    fn health(&self) -> Health {
        let storage = self.storage.clone();
        self.ground.health().uses("object_storage", move || {
            let storage = storage.clone();
            async move { storage.answers().await }
        })
    }
}

/// The binary.
#[derive(Debug)]
pub struct Memo;

impl Program for Memo {
    type Config = MemoConfig;
    type Command = development::Command;

    const SERVICE: Service = Service::Memo;
    const BINARY: &'static str = "maru-memo";
    const ABOUT: &'static str = "Memos and their files";

    fn telemetry(config: &MemoConfig) -> &TelemetryConfig {
        &config.base.telemetry
    }

    fn probe_port(config: &MemoConfig) -> u16 {
        config.port
    }

    fn database(config: &MemoConfig) -> Option<(&PgConfig, EmbeddedMigrations)> {
        Some((&config.base.pg, MIGRATIONS))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        routes::Api::openapi()
    }

    async fn build(config: MemoConfig) -> Outcome<Bound> {
        build(config, Clock::system())
    }

    async fn command(config: MemoConfig, command: development::Command) -> Outcome<()> {
        development::run(App::new(config, Clock::system())?, command).await
    }
}
