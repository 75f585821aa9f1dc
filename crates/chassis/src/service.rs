//! What the services behind the gateway share when they start: the same configuration, pools, gatekeeper and probes.

use actix_web::{middleware::from_fn, web};
use clap::Args;
use domain::principal::Service;

use crate::{
    clock::Clock,
    config::{CommonConfig, Environment, Faults},
    gauges,
    health::Health,
    lifecycle::Lifecycle,
    pg::{Pg, PgConfig},
    principal::{Gatekeeper, require_caller},
    problem::{Outcome, Problem},
    redis::{Redis, RedisConfig},
    server::{self, Bound, HttpConfig, Serving},
    telemetry::TelemetryConfig,
    token::{TrustConfig, Verifier},
};

/// The keys every service behind the gateway has.
#[derive(Args, Clone, Debug)]
pub struct BaseConfig {
    /// Environment and language.
    #[command(flatten)]
    pub common: CommonConfig,
    /// The HTTP server.
    #[command(flatten)]
    pub http: HttpConfig,
    /// Logs, metrics, traces.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
    /// The service's own database.
    #[command(flatten)]
    pub pg: PgConfig,
    /// Redis.
    #[command(flatten)]
    pub redis: RedisConfig,
    /// Whose calls are accepted.
    #[command(flatten)]
    pub trust: TrustConfig,
}

impl BaseConfig {
    /// Checks every part.
    pub fn validate(&self, faults: &mut Faults) {
        self.http.validate(faults);
        self.pg.validate(faults);
        self.redis.validate(faults);
        self.trust.validate(faults);
    }

    /// Refuses to go on outside development.
    ///
    /// # Errors
    /// Returns a problem in any other environment.
    pub fn only_in_development(&self) -> Outcome<()> {
        if self.common.environment == Environment::Development {
            Ok(())
        } else {
            Err(Problem::unexpected("this command is for development machines only (MARU_ENV=development)"))
        }
    }
}

/// The ground a service stands on; clones share it.
#[derive(Clone)]
pub struct Foundation {
    /// Which service this is.
    pub service: Service,
    /// Its configuration's shared part.
    pub config: BaseConfig,
    /// Its database.
    pub pg: Pg,
    /// Redis.
    pub redis: Redis,
    /// Time and ids.
    pub clock: Clock,
    /// Its life.
    pub lifecycle: Lifecycle,
    /// Verifies callers.
    pub verifier: Verifier,
}

impl Foundation {
    /// Builds pools and keys; connects to nothing yet, so that a service may start before what it leans on.
    ///
    /// # Errors
    /// Returns a problem when a URL or a key cannot be read.
    pub fn new(service: Service, config: BaseConfig, clock: Clock) -> Outcome<Self> {
        let pg = Pg::new(&config.pg, service.name()).map_err(Problem::unexpected)?;
        let redis = Redis::new(&config.redis).map_err(Problem::unexpected)?;
        let verifier = Verifier::new(&config.trust.internal_public_keys).map_err(Problem::unexpected)?;
        Ok(Self { service, config, pg, redis, clock, lifecycle: Lifecycle::new(), verifier })
    }

    /// Describes the parts every service leans on: its database, which it needs, and Redis, which it uses.
    pub fn health(&self) -> Health {
        let (pg, redis) = (self.pg.clone(), self.redis.clone());
        Health::new(self.service.name(), env!("CARGO_PKG_VERSION"), self.lifecycle.clone())
            .needs("postgres", move || {
                let pg = pg.clone();
                async move { pg.answers().await }
            })
            .uses("redis", move || {
                let redis = redis.clone();
                async move { redis.answers().await }
            })
    }

    /// Starts to listen with `routes` behind the gatekeeper.
    ///
    /// # Errors
    /// Returns a problem when the address is taken.
    pub fn listen<F>(&self, port: u16, health: Health, api: utoipa::openapi::OpenApi, routes: F) -> Outcome<Bound>
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        gauges::watch(&self.lifecycle, self.pg.clone(), self.redis.clone());
        let gatekeeper = web::Data::new(Gatekeeper {
            service: self.service,
            verifier: self.verifier.clone(),
            clock: self.clock.clone(),
        });
        let bound = server::bind(Serving {
            http: self.config.http.clone(),
            common: self.config.common.clone(),
            port,
            lifecycle: self.lifecycle.clone(),
            health,
            clock: self.clock.clone(),
            keeps_time: true,
            behind_gateway: true,
            with_probes: true,
            api: crate::openapi::complete(api),
            routes: move |cfg: &mut web::ServiceConfig| {
                cfg.app_data(gatekeeper.clone())
                    .service(web::scope("").wrap(from_fn(require_caller)).configure(routes.clone()));
            },
        });
        bound.map_err(|error| Problem::unexpected(format!("cannot listen on port {port}: {error}")))
    }
}
