//! A gateway and what stands behind it, for one test.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use chassis::{
    access::{AccessConfig, AccessTokens},
    clock::Clock,
    config::{CommonConfig, Environment},
    lifecycle::Lifecycle,
    limit::Profile,
    peers::Urls,
    redis::RedisConfig,
    telemetry::{LogFormat, TelemetryConfig},
    token::{KeyPair, SigningConfig, Verifier},
};
use domain::{
    locale::Locale,
    principal::{Principal, Role, Service},
};
use gateway::config::{GatewayConfig, Origins, ServicesConfig};
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Caller, scripted::echo};

/// Secret of access tokens in tests.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The page that may call.
pub(crate) const PAGE: &str = "https://app.example.com";
/// The gateway's own origin.
pub(crate) const OWN: &str = "https://maru.example.com";

/// How a stage differs from the usual one.
pub(crate) struct Setting {
    addresses: HashMap<Service, Vec<SocketAddr>>,
    timeout: Option<Duration>,
    redis: Option<RedisConfig>,
    trusted_hops: usize,
    limits: Profile,
    max_in_flight: usize,
    kid: &'static str,
    secret_before: Option<&'static str>,
}

impl Default for Setting {
    fn default() -> Self {
        // A test asks as often as it likes, unless it is about that.
        let limits = Profile::Generous;
        Self {
            addresses: HashMap::new(),
            timeout: None,
            redis: None,
            trusted_hops: 0,
            limits,
            max_in_flight: 512,
            kid: "gateway.1",
            secret_before: None,
        }
    }
}

impl Setting {
    /// Puts other addresses behind a service than an echo's.
    pub(crate) fn with(mut self, service: Service, addresses: &[SocketAddr]) -> Self {
        self.addresses.insert(service, addresses.to_vec());
        self
    }

    /// Sets the usual patience.
    pub(crate) fn patience(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Uses a real Redis.
    pub(crate) fn redis(mut self, redis: RedisConfig) -> Self {
        self.redis = Some(redis);
        self
    }

    /// Puts proxies of ours in front.
    pub(crate) fn hops(mut self, trusted_hops: usize) -> Self {
        self.trusted_hops = trusted_hops;
        self
    }

    /// Limits as in production.
    pub(crate) fn strict(mut self) -> Self {
        self.limits = Profile::Strict;
        self
    }

    /// Leaves room for so many requests at each service.
    pub(crate) fn max_in_flight(mut self, count: usize) -> Self {
        self.max_in_flight = count;
        self
    }

    /// Signs with a key of another id.
    pub(crate) fn kid(mut self, kid: &'static str) -> Self {
        self.kid = kid;
        self
    }

    /// Also accepts what an earlier secret signed.
    pub(crate) fn secret_before(mut self, secret: &'static str) -> Self {
        self.secret_before = Some(secret);
        self
    }

    /// Starts the gateway.
    pub(crate) async fn start(self) -> Stage {
        let mut urls = HashMap::new();
        for service in Service::BEHIND_GATEWAY {
            let addresses = match self.addresses.get(&service) {
                Some(addresses) => addresses.clone(),
                None => vec![echo(service.name())],
            };
            let parsed = addresses.iter().map(|addr| format!("http://{addr}").parse().unwrap()).collect();
            urls.insert(service, Urls(parsed));
        }
        let keys = KeyPair::generate(self.kid).unwrap();
        let mut http = testkit::stage::http_config();
        if let Some(timeout) = self.timeout {
            http.request_timeout_ms = u64::try_from(timeout.as_millis()).unwrap();
        }
        let config = GatewayConfig {
            common: CommonConfig { environment: Environment::Development, locale: Locale::Ko },
            http,
            telemetry: TelemetryConfig {
                log_level: "warn".to_owned(),
                log_format: LogFormat::Text,
                otlp_endpoint: None,
            },
            redis: self.redis.unwrap_or_else(no_redis),
            services: ServicesConfig {
                auth_urls: urls[&Service::Auth].clone(),
                session_urls: urls[&Service::Session].clone(),
                ticketing_urls: urls[&Service::Ticketing].clone(),
                emotion_urls: urls[&Service::Emotion].clone(),
                memo_urls: urls[&Service::Memo].clone(),
            },
            port: 0,
            admin_port: 0,
            access: AccessConfig {
                jwt_secret: SecretString::from(SECRET),
                jwt_secret_previous: self.secret_before.map(SecretString::from),
            },
            signing: SigningConfig {
                internal_signing_key: keys.private_pem.clone(),
                internal_signing_kid: Some(self.kid.to_owned()),
            },
            allowed_origins: Origins(vec![PAGE.to_owned()]),
            public_url: OWN.parse().unwrap(),
            trusted_hops: self.trusted_hops,
            rate_limits: self.limits,
            max_in_flight: self.max_in_flight,
            max_in_flight_per_address: 512,
        };
        let gateway = gateway::build(&config, Clock::system()).unwrap();
        let (addr, admin) = (gateway.addr(), gateway.admin_addr());
        let bound = gateway.into_bound();
        let (lifecycle, handle) = (bound.lifecycle(), bound.handle());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { bound.run().await.unwrap() });
        let verifier = Verifier::new(&keys.public_jwks).unwrap();
        Stage { addr, admin, lifecycle, handle, verifier, public_jwks: keys.public_jwks }
    }
}

/// A real Redis, with a prefix of its own.
pub(crate) fn redis() -> RedisConfig {
    RedisConfig {
        redis_url: SecretString::from(testkit::settings::required("MARU_TEST_REDIS_URL")),
        redis_prefix: format!("test:{}", Clock::system().uuid().simple()),
        redis_pool_size: 2,
        patience: testkit::stage::PATIENCE,
    }
}

/// A Redis that is not there.
fn no_redis() -> RedisConfig {
    RedisConfig {
        redis_url: SecretString::from("redis://127.0.0.1:1"),
        redis_prefix: "test".to_owned(),
        redis_pool_size: 1,
        patience: Duration::ZERO,
    }
}

/// A running gateway.
pub(crate) struct Stage {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) verifier: Verifier,
    pub(crate) public_jwks: String,
    handle: actix_web::dev::ServerHandle,
}

impl Stage {
    /// Starts a gateway before five services that echo.
    pub(crate) async fn new() -> Self {
        Setting::default().start().await
    }

    /// Calls as nobody.
    pub(crate) fn anonymous(&self) -> Caller {
        Caller { addr: self.addr, http: testkit::http_client(), token: None }
    }

    /// Calls as a new person.
    pub(crate) fn person(&self) -> (Principal, Caller) {
        let clock = Clock::system();
        let principal = Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User };
        (principal, Caller { token: Some(token(principal, Duration::from_mins(5))), ..self.anonymous() })
    }

    /// Says something over a new connection and returns what is answered until the gateway closes it.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        // An aborted connection may end in an error; what came before it counts.
        _ = read.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Stops the gateway as SIGTERM would, without the wait.
    pub(crate) async fn stop(&self) {
        self.lifecycle.stop();
        self.handle.stop(true).await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

/// Issues an access token.
pub(crate) fn token(principal: Principal, life: Duration) -> String {
    AccessTokens::new(&SecretString::from(SECRET)).issue(principal, 0, Clock::system().now(), life).unwrap()
}
