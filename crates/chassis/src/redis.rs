//! The Redis pool. Redis carries order, presence and notices; it may be flushed at any time, and nothing acknowledged
//! is lost with it.

use std::time::Duration;

use clap::Args;
use deadpool_redis::{
    Connection, Pool, PoolConfig, Runtime, Timeouts,
    redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind},
};
use futures_util::{Stream, StreamExt};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::Faults,
    problem::{Outcome, Problem},
};

/// Longest a request waits for a connection; a command itself is limited to 500 ms by the client library.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before a lost subscription is tried again.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(250);

/// Redis.
#[derive(Args, Clone, Debug)]
pub struct RedisConfig {
    /// `redis://[:password@]host:port[/db]`.
    #[arg(long, env = "REDIS_URL")]
    pub redis_url: SecretString,
    /// First part of every key, so that several deployments can share a server.
    #[arg(long, env = "REDIS_PREFIX", default_value = "maru")]
    pub redis_prefix: String,
    /// Most connections of this process.
    #[arg(long, env = "REDIS_POOL_SIZE", default_value_t = 8)]
    pub redis_pool_size: usize,
}

impl RedisConfig {
    /// Checks the URL.
    pub fn validate(&self, faults: &mut Faults) {
        if deadpool_redis::redis::Client::open(self.redis_url.expose_secret()).is_err() {
            faults.add("REDIS_URL", "is not of the form redis://[:password@]host:port[/db]");
        }
        if self.redis_pool_size == 0 {
            faults.add("REDIS_POOL_SIZE", "must be at least 1");
        }
    }
}

/// A pool of connections; clones share it.
#[derive(Clone)]
pub struct Redis {
    pool: Pool,
    url: SecretString,
    prefix: String,
}

impl Redis {
    /// Builds the pool; connects to nothing yet.
    ///
    /// # Errors
    /// Returns an error when the URL cannot be read.
    pub fn new(config: &RedisConfig) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut pool = PoolConfig::new(config.redis_pool_size);
        pool.timeouts =
            Timeouts { wait: Some(ACQUIRE_TIMEOUT), create: Some(ACQUIRE_TIMEOUT), recycle: Some(ACQUIRE_TIMEOUT) };
        let mut deadpool = deadpool_redis::Config::from_url(config.redis_url.expose_secret());
        deadpool.pool = Some(pool);
        let pool = deadpool.create_pool(Some(Runtime::Tokio1))?;
        Ok(Self { pool, url: config.redis_url.clone(), prefix: config.redis_prefix.clone() })
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// 503 when none is free in time or the server is away.
    pub async fn conn(&self) -> Outcome<Connection> {
        // The pool limits each of its steps; together they may take much longer.
        let taken = tokio::time::timeout(ACQUIRE_TIMEOUT, self.pool.get()).await.map_err(Problem::unavailable)?;
        taken.map_err(Problem::unavailable)
    }

    /// Runs one command.
    ///
    /// # Errors
    /// 503 when the server is away or does not answer in time.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Outcome<T> {
        let mut conn = self.conn().await?;
        command.query_async(&mut conn).await.map_err(Problem::from)
    }

    /// Names a key of this deployment: `key("login:{id}")` is `maru:login:{id}`.
    pub fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Returns whether the server answers.
    pub async fn answers(&self) -> bool {
        self.run::<String>(&deadpool_redis::redis::cmd("PING")).await.is_ok()
    }

    /// Publishes to a channel of this deployment.
    ///
    /// # Errors
    /// 503 when the server is away.
    pub async fn publish(&self, channel: &str, payload: &str) -> Outcome<()> {
        let mut command = deadpool_redis::redis::cmd("PUBLISH");
        self.run(command.arg(self.key(channel)).arg(payload)).await
    }

    /// Subscribes to a channel of this deployment, once: the stream ends when the connection is lost.
    ///
    /// # Errors
    /// 503 when the server is away.
    pub async fn subscribe(&self, channel: &str) -> Outcome<impl Stream<Item = String> + Send + use<>> {
        let client = deadpool_redis::redis::Client::open(self.url.expose_secret())?;
        let mut pubsub = client.get_async_pubsub().await?;
        pubsub.subscribe(self.key(channel)).await?;
        Ok(pubsub.into_on_message().filter_map(|m| std::future::ready(m.get_payload::<String>().ok())))
    }

    /// Returns how long to wait before subscribing again.
    pub const fn resubscribe_pause() -> Duration {
        RESUBSCRIBE_PAUSE
    }
}

/// Answers of a server that cannot serve now; the library keeps them as plain codes.
const AWAY: [&str; 3] = ["OOM", "MISCONF", "NOREPLICAS"];

impl From<RedisError> for Problem {
    #[track_caller]
    fn from(error: RedisError) -> Self {
        use ServerErrorKind as S;
        let is_away = match error.kind() {
            ErrorKind::Io => true,
            ErrorKind::Server(kind) => {
                matches!(kind, S::BusyLoading | S::TryAgain | S::ClusterDown | S::MasterDown | S::ReadOnly)
            }
            _ => error.code().is_some_and(|code| AWAY.contains(&code)),
        };
        if is_away { Self::unavailable(error) } else { Self::unexpected(error) }
    }
}
