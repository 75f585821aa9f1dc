//! How `maru-auth` is put together.

use std::{sync::Arc, time::Duration};

use chassis::{
    access::AccessTokens,
    cli::Program,
    client::Peer,
    clock::Clock,
    mac::Mac,
    outbox::Outbox,
    pg::PgConfig,
    problem::{Outcome, Problem},
    server::Bound,
    service::Foundation,
    telemetry::TelemetryConfig,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use domain::principal::Service;
use utoipa::OpenApi as _;

use crate::{
    audit, commands, config::AuthConfig, delivery, google::GoogleLogin, limits::Limits, mail::mailer::Mailer,
    password::Passwords, prune, routes,
};

/// The schema of `maru_auth`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/auth");
/// Longest one service may take to tell or to erase what it knows of a person.
const PEER_PATIENCE: Duration = Duration::from_secs(10);

/// What handlers stand on; clones share it.
#[derive(Clone)]
pub struct App {
    /// Pools, clock, life.
    pub ground: Foundation,
    /// The configuration.
    pub config: Arc<AuthConfig>,
    /// Issues access tokens.
    pub tokens: AccessTokens,
    /// Makes refresh tokens.
    pub refresh_mac: Mac,
    /// Makes mailed codes.
    pub code_mac: Mac,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Counts tries.
    pub limits: Arc<Limits>,
    /// Messages that leave after a commit.
    pub outbox: Outbox,
    /// Sends letters, where there is a mail server.
    pub mailer: Option<Arc<Mailer>>,
    /// Login with Google, where it is configured.
    pub google: Option<Arc<GoogleLogin>>,
    /// The services that keep something about people.
    pub peers: Arc<Vec<Peer>>,
}

/// Builds the service and starts to listen.
///
/// # Errors
/// Returns a problem when a URL or key cannot be read or the port is taken.
pub fn build(config: AuthConfig, clock: Clock) -> Outcome<Bound> {
    let app = App::new(config, clock)?;
    delivery::start(&app);
    audit::chain::start(&app);
    prune::start(&app);
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
        let ground = Foundation::new(Service::Auth, config.base.clone(), clock.clone())?;
        let google = GoogleLogin::new(&config.google, &config.access, &config.public_url, clock.clone())?;
        Ok(Self {
            tokens: config.access.tokens(),
            refresh_mac: config.access.mac("refresh token"),
            code_mac: config.access.mac("mailed code"),
            passwords: Passwords::new(config.password_hashes_at_once)?,
            limits: Arc::new(Limits::new(ground.redis.clone(), config.rate_limits)),
            mailer: Mailer::new(&config.mail)?.map(Arc::new),
            google: google.map(Arc::new),
            peers: Arc::new(peers(&config, &clock)?),
            outbox: Outbox::new(clock),
            config: Arc::new(config),
            ground,
        })
    }

    /// Returns a service that keeps something about people.
    ///
    /// # Errors
    /// Returns an unexpected problem for any other.
    pub fn peer(&self, service: Service) -> Outcome<&Peer> {
        let found = self.peers.iter().find(|peer| peer.service() == service);
        found.ok_or_else(|| Problem::unexpected(format!("{service} keeps nothing about people")))
    }
}

fn peers(config: &AuthConfig, clock: &Clock) -> Outcome<Vec<Peer>> {
    let signer = config.signing.signer(Service::Auth).map_err(Problem::unexpected)?;
    let peer = |(service, urls): (Service, &chassis::peers::Urls)| {
        let peer = Peer::new(service, urls.0.clone(), Some(signer.clone()), clock.clone());
        Ok(peer.map_err(Problem::unexpected)?.patience(PEER_PATIENCE))
    };
    config.services.all().into_iter().map(peer).collect()
}

/// The binary.
#[derive(Debug)]
pub struct Auth;

impl Program for Auth {
    type Config = AuthConfig;
    type Command = commands::Command;

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

    async fn command(config: AuthConfig, command: commands::Command) -> Outcome<()> {
        commands::run(App::new(config, Clock::system())?, command).await
    }
}
