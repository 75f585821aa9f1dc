//! How `maru-auth` is put together.

use std::sync::Arc;

use chassis::{
    access::AccessTokens, cli::Program, clock::Clock, outbox::Outbox, pg::PgConfig, problem::Outcome, server::Bound,
    service::Foundation, telemetry::TelemetryConfig,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use domain::principal::Service;
use utoipa::OpenApi as _;

use crate::{config::AuthConfig, development, login::notice::RevocationNotices, password::Passwords, routes};

/// The schema of `maru_auth`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/auth");

/// What handlers stand on; clones share it.
#[derive(Clone)]
pub struct App {
    /// Pools, clock, life.
    pub ground: Foundation,
    /// The configuration.
    pub config: Arc<AuthConfig>,
    /// Issues access tokens.
    pub tokens: AccessTokens,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Messages that leave after a commit.
    pub outbox: Outbox,
}

/// Builds the service and starts to listen.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build(config: AuthConfig, clock: Clock) -> Outcome<Bound> {
    let app = App::new(config, clock)?;
    let notices = Arc::new(RevocationNotices::new(app.ground.redis.clone()));
    app.outbox.relay(&app.ground.lifecycle, app.ground.pg.clone(), notices);
    let data = actix_web::web::Data::new(app.clone());
    app.ground.listen(app.config.port, app.ground.health(), routes::Api::openapi(), move |cfg| {
        cfg.app_data(data.clone()).configure(routes::configure);
    })
}

impl App {
    /// Builds what handlers stand on.
    ///
    /// # Errors
    /// Returns a problem when a URL or key cannot be read.
    pub fn new(config: AuthConfig, clock: Clock) -> Outcome<Self> {
        Ok(Self {
            ground: Foundation::new(Service::Auth, config.base.clone(), clock.clone())?,
            tokens: config.access.tokens(),
            passwords: Passwords::new(config.password_hashes_at_once)?,
            outbox: Outbox::new(clock),
            config: Arc::new(config),
        })
    }
}

/// The binary.
#[derive(Debug)]
pub struct Auth;

impl Program for Auth {
    type Config = AuthConfig;
    type Command = development::Command;

    const SERVICE: Service = Service::Auth;
    const BINARY: &'static str = "maru-auth";
    const ABOUT: &'static str = "Accounts and logins";

    fn telemetry(config: &AuthConfig) -> &TelemetryConfig {
        &config.base.telemetry
    }

    fn probe_port(config: &AuthConfig) -> u16 {
        config.port
    }

    fn database(config: &AuthConfig) -> Option<(&PgConfig, EmbeddedMigrations)> {
        Some((&config.base.pg, MIGRATIONS))
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        routes::Api::openapi()
    }

    async fn build(config: AuthConfig) -> Outcome<Bound> {
        build(config, Clock::system())
    }

    async fn command(config: AuthConfig, command: development::Command) -> Outcome<()> {
        development::run(App::new(config, Clock::system())?, command).await
    }
}
