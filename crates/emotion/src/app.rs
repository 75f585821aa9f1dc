//! How `maru-emotion` is put together.

use std::{ops::Deref, sync::Arc};

use chassis::{
    cli::Program, clock::Clock, idempotency, pg::PgConfig, problem::Outcome, server::Bound, service::Foundation,
    socket::Patience, telemetry::TelemetryConfig,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use domain::principal::Service;
use utoipa::OpenApi as _;

use crate::{
    commands,
    companion::{Companion, ModelCompanion, OfflineCompanion},
    config::EmotionConfig,
    context::{self, Instructions},
    limit::Limits,
    peers::Peers,
    reply::{self, Replies},
    retention, routes,
    socket::SignIn,
    vault::{self, Vault},
};

/// The schema of `maru_emotion`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/emotion");

/// What handlers stand on; clones share it. Every reply and every socket holds one for as long as it lives.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// Pools, clock, life.
    pub ground: Foundation,
    /// The configuration.
    pub config: EmotionConfig,
    /// Seals and opens what people write.
    pub vault: Vault,
    /// Judges how much of the companion one person may have.
    pub limits: Limits,
    /// The services that this one asks.
    pub peers: Peers,
    /// Says who clients are that come to a socket without a token.
    pub sign_in: SignIn,
    /// Who answers.
    pub companion: Arc<dyn Companion>,
    /// What the operator tells a model.
    pub instructions: Instructions,
    /// The replies that grow here.
    pub replies: Replies,
    /// How long sockets are waited for.
    pub patience: Patience,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Builds the service and starts to listen.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build(config: EmotionConfig, clock: Clock) -> Outcome<Bound> {
    let companion: Arc<dyn Companion> = match ModelCompanion::new(&config.model)? {
        Some(model) => Arc::new(model),
        None => Arc::new(OfflineCompanion::default()),
    };
    build_with(config, clock, companion, Patience::default())
}

/// Builds the service with a companion and a patience of the caller's choice.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build_with(
    config: EmotionConfig,
    clock: Clock,
    companion: Arc<dyn Companion>,
    patience: Patience,
) -> Outcome<Bound> {
    let app = App::new(config, clock, companion, patience)?;
    idempotency::prune(&app.ground.lifecycle, app.ground.pg.clone());
    app.sign_in.learn(Peers::auth(&app.config, &app.ground.clock)?, &app.ground);
    reply::load_rules();
    reply::keep_loops(&app);
    if app.companion.window().is_some() {
        app.instructions.watch(&app.ground.lifecycle, app.ground.pg.clone());
        context::warm(&app.ground.lifecycle);
    }
    vault::rewrap(&app.ground.lifecycle, app.ground.pg.clone(), app.vault.clone());
    app.limits.keep_places();
    retention::sweep(&app.ground.lifecycle, app.ground.pg.clone(), app.ground.clock.clone(), app.config.retention);
    // Being offline is a way to run, not a fault: the part's name says it, its status stays `ok`.
    let health = app.ground.health().uses(app.companion.health_part(), || std::future::ready(true));
    let data = actix_web::web::Data::new(app.clone());
    app.ground.listen(app.config.port, health, routes::Api::openapi(), move |cfg| {
        cfg.app_data(data.clone()).configure(routes::configure);
    })
}

impl App {
    /// Builds what handlers stand on.
    ///
    /// # Errors
    /// Returns a problem when a URL or key cannot be read.
    pub fn new(
        config: EmotionConfig,
        clock: Clock,
        companion: Arc<dyn Companion>,
        patience: Patience,
    ) -> Outcome<Self> {
        let peers = Peers::new(&config, &clock)?;
        let ground = Foundation::new(Service::Emotion, config.base.clone(), clock)?;
        let vault = config.vault.open()?;
        let sign_in = SignIn::new(peers.auth.clone(), &ground);
        let limits = Limits::new(config.limits, ground.redis.clone(), ground.lifecycle.clone());
        let (instructions, replies) = (config.instructions.load(), Replies::default());
        let parts = Parts { ground, config, vault, limits, peers, sign_in, companion, instructions, replies, patience };
        Ok(Self(Arc::new(parts)))
    }
}

/// The binary.
#[derive(Debug)]
pub struct Emotion;

impl Program for Emotion {
    type Config = EmotionConfig;
    type Command = commands::Command;

    const SERVICE: Service = Service::Emotion;
    const BINARY: &'static str = "maru-emotion";
    const ABOUT: &'static str = "Conversations with a companion that streams its replies";

    fn telemetry(config: &EmotionConfig) -> &TelemetryConfig {
        &config.base.telemetry
    }

    fn probe_port(config: &EmotionConfig) -> u16 {
        config.port
    }

    fn database(config: &EmotionConfig) -> Option<(&PgConfig, EmbeddedMigrations)> {
        Some((&config.base.pg, MIGRATIONS))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        routes::Api::openapi()
    }

    async fn build(config: EmotionConfig) -> Outcome<Bound> {
        build(config, Clock::system())
    }

    async fn command(config: EmotionConfig, command: commands::Command) -> Outcome<()> {
        let companion = Arc::new(OfflineCompanion::default());
        commands::run(App::new(config, Clock::system(), companion, Patience::default())?, command).await
    }
}
