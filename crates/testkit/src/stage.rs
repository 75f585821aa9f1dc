//! What one test has to itself.

use std::time::Duration;

use chassis::{
    clock::Clock,
    config::{CommonConfig, Environment},
    health::Health,
    lifecycle::Lifecycle,
    pg::{Pg, PgConfig},
    redis::{Redis, RedisConfig},
    server::{Bound, HttpConfig, Serving},
    service::BaseConfig,
    telemetry::{self, LogFormat, TelemetryConfig},
    token::{Signer, SigningConfig, TrustConfig},
};
use chrono::{DateTime, Utc};
use diesel_migrations::EmbeddedMigrations;
use domain::{locale::Locale, principal::Service};
use secrecy::SecretString;

use crate::{
    app::TestApp,
    database::{TestDatabase, random_id},
    keys::KeyRing,
    settings::{required, single_redis_url},
};

/// How long Redis is waited for: whether it is there is not found out by waiting, except where a test says so.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A service's database, a Redis prefix, a clock and every process's keys, for one test.
#[derive(Debug)]
pub struct Stage {
    /// Stands still until it is advanced. Starts at the machine's time, cut to the second: what a test writes must not
    /// be in the future of the database's own clock.
    pub clock: Clock,
    service: Service,
    database: TestDatabase,
    redis_url: String,
    redis_prefix: String,
    keys: KeyRing,
}

impl Stage {
    /// Sets the stage for a service.
    pub async fn new(service: Service, migrations: EmbeddedMigrations) -> Self {
        // A test that fails shows what the services said meanwhile: an answer alone does not tell what was behind it.
        telemetry::init("test", &telemetry_config());
        let now = Clock::system().now();
        let start: DateTime<Utc> = DateTime::from_timestamp(now.timestamp(), 0).expect("now is a time");
        Self {
            clock: Clock::manual(start),
            service,
            database: TestDatabase::create(service, migrations).await,
            redis_url: required("MARU_TEST_REDIS_URL"),
            redis_prefix: format!("test:{}", random_id().simple()),
            keys: KeyRing::new(),
        }
    }

    /// Moves to a Redis that is no cluster, for a test that puts something between it and a service.
    #[must_use]
    pub fn on_one_redis(self) -> Self {
        Self { redis_url: single_redis_url(), ..self }
    }

    /// Returns a configuration that points at what this test has.
    pub fn base_config(&self) -> BaseConfig {
        BaseConfig {
            common: CommonConfig { environment: Environment::Development, locale: Locale::Ko },
            http: http_config(),
            telemetry: telemetry_config(),
            pg: PgConfig { database_url: self.database.url(), database_pool_size: 8 },
            redis: self.redis_config(),
            trust: TrustConfig { internal_public_keys: self.keys.public_jwks() },
        }
    }

    fn redis_config(&self) -> RedisConfig {
        RedisConfig {
            redis_url: SecretString::from(self.redis_url.clone()),
            redis_prefix: self.redis_prefix.clone(),
            redis_pool_size: 8,
            patience: PATIENCE,
        }
    }

    /// Serves a service in this process until the returned value is dropped.
    pub fn serve(&self, bound: Bound) -> TestApp {
        TestApp::start(bound, self.service, self.keys.clone(), self.clock.clone())
    }

    /// Returns the gateway's signer of internal tokens.
    pub fn signer(&self) -> Signer {
        self.keys.signer(Service::Gateway)
    }

    /// Returns the key of the service this stage is for.
    pub fn signing_config(&self) -> SigningConfig {
        self.keys.config(self.service)
    }

    /// Returns the keys of all processes, so that another service can be served beside this one.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Sets the stage for another service of the same house: same keys, same clock, a database and prefix of its own.
    pub async fn beside(&self, service: Service, migrations: EmbeddedMigrations) -> Self {
        let other = Self::new(service, migrations).await;
        Self { clock: self.clock.clone(), keys: self.keys.clone(), ..other }
    }

    /// Returns the database.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Returns a pool on the database, to look behind the service's back.
    pub fn pg(&self) -> Pg {
        Pg::new(&self.base_config().pg, "test").expect("a pool on the test database")
    }

    /// Returns Redis under the test's prefix.
    pub fn redis(&self) -> Redis {
        Redis::new(&self.redis_config()).expect("a pool on the test Redis")
    }
}

/// Describes a server of these routes and nothing else, among processes of ours, with probes.
pub fn serving<F>(lifecycle: Lifecycle, routes: F) -> Serving<F> {
    Serving {
        http: http_config(),
        common: CommonConfig { environment: Environment::Development, locale: Locale::Ko },
        port: 0,
        lifecycle: lifecycle.clone(),
        health: Health::new("test", "0", lifecycle),
        clock: Clock::system(),
        keeps_time: true,
        behind_gateway: true,
        with_probes: true,
        api: utoipa::openapi::OpenApi::default(),
        routes,
    }
}

fn telemetry_config() -> TelemetryConfig {
    TelemetryConfig { log_level: "warn".to_owned(), log_format: LogFormat::Text, otlp_endpoint: None }
}

/// Returns a server configuration for a test: any port of loopback, one worker, no waiting at the end.
pub fn http_config() -> HttpConfig {
    HttpConfig {
        host: "127.0.0.1".to_owned(),
        workers: 1,
        request_timeout_ms: 10_000,
        body_grace_ms: 10_000,
        drain_delay_ms: 0,
        shutdown_timeout_seconds: 5,
    }
}
