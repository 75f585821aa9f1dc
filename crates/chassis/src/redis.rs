//! The Redis pool. Redis carries order, presence and notices; it may be flushed at any time, and nothing acknowledged
//! is lost with it.

use std::{sync::Arc, time::Duration};

use clap::Args;
use deadpool::{
    Runtime,
    managed::{self, Metrics, QueueMode, RecycleError, RecycleResult},
};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use futures_util::{FutureExt, Stream, StreamExt};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::Faults,
    own::Own,
    problem::{Outcome, Problem},
};

/// Longest a request waits for a connection; a command itself is limited to 500 ms by the client library.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest an answer on a shared connection may take. There a crowd waits for one another, which with connections of the
/// pool it does before it asks.
const SHARED_TIMEOUT: Duration = Duration::from_secs(1);
/// How long after its last use a connection is taken to be alive. Asking each time would double the round trips of every
/// command; one that left a command without its answer is not used again, and one that was idle for longer is asked.
const TRUSTED: Duration = Duration::from_secs(1);
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
    pool: managed::Pool<Manager>,
    /// The connections that are shared, one of each thread.
    own: Arc<Own<MultiplexedConnection>>,
    url: SecretString,
    prefix: String,
}

/// One connection out of the pool.
pub struct Connection(managed::Object<Manager>);

/// Makes connections, and judges which may be used again.
struct Manager(deadpool_redis::Manager);

struct Kept {
    conn: MultiplexedConnection,
    /// Whether a command on it is not answered: it failed, or nobody waited for it any longer.
    owes_an_answer: bool,
}

impl Redis {
    /// Builds the pool; connects to nothing yet.
    ///
    /// # Errors
    /// Returns an error when the URL cannot be read.
    pub fn new(config: &RedisConfig) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let manager = Manager(deadpool_redis::Manager::new(config.redis_url.expose_secret())?);
        let pool = managed::Pool::builder(manager)
            .max_size(config.redis_pool_size)
            // The one that was used last need not be asked whether it is alive.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(ACQUIRE_TIMEOUT))
            .create_timeout(Some(ACQUIRE_TIMEOUT))
            .recycle_timeout(Some(ACQUIRE_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self { pool, own: Arc::new(Own::new()), url: config.redis_url.clone(), prefix: config.redis_prefix.clone() })
    }

    /// Returns how full the pool is.
    pub(crate) fn status(&self) -> deadpool::Status {
        self.pool.status()
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// 503 when none is free in time or the server is away.
    pub async fn conn(&self) -> Outcome<Connection> {
        // The pool limits each of its steps; together they may take much longer.
        let taken = tokio::time::timeout(ACQUIRE_TIMEOUT, self.pool.get()).await.map_err(Problem::unavailable)?;
        Ok(Connection(taken.map_err(Problem::unavailable)?))
    }

    /// Runs one command.
    ///
    /// # Errors
    /// 503 when the server is away or does not answer in time.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Outcome<T> {
        let mut conn = self.conn().await?;
        command.query_async(&mut conn).await.map_err(Problem::from)
    }

    /// Asks something short on the asking thread's own connection, together with whatever else is asked there at the
    /// time; asks again, once, when the connection turns out to be gone, so that nothing belongs here which must not be
    /// done twice. Redis spends a third less on a command that comes in one packet with others.
    ///
    /// # Errors
    /// 503 when the server is away or does not answer in time.
    pub async fn share<T>(&self, ask: impl AsyncFn(&mut MultiplexedConnection) -> Result<T, RedisError>) -> Outcome<T> {
        let conn = self.shared().await?;
        match ask(&mut (*conn).clone()).await {
            Err(error) if error.is_io_error() => {
                self.own.replace(&conn).await;
                // A server that is slow is not asked twice.
                if error.is_timeout() {
                    return Err(error.into());
                }
                let conn = self.shared().await?;
                Ok(ask(&mut (*conn).clone()).await?)
            }
            answered => Ok(answered?),
        }
    }

    async fn shared(&self) -> Outcome<Arc<MultiplexedConnection>> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(SHARED_TIMEOUT));
        self.own.conn(ACQUIRE_TIMEOUT, async || self.connect(config).await).await
    }

    async fn connect(&self, config: AsyncConnectionConfig) -> Outcome<MultiplexedConnection> {
        let client = deadpool_redis::redis::Client::open(self.url.expose_secret())?;
        let config = config.set_connection_timeout(Some(ACQUIRE_TIMEOUT));
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
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

    /// Makes a connection of its own for commands that block, each for less than `patience`; it is not made again when it
    /// is lost.
    ///
    /// # Errors
    /// 503 when the server is away.
    pub async fn dedicated(&self, patience: Duration) -> Outcome<MultiplexedConnection> {
        self.connect(AsyncConnectionConfig::new().set_response_timeout(Some(patience))).await
    }

    /// Returns how long to wait before subscribing again.
    pub const fn resubscribe_pause() -> Duration {
        RESUBSCRIBE_PAUSE
    }
}

impl managed::Manager for Manager {
    type Type = Kept;
    type Error = RedisError;

    async fn create(&self) -> Result<Kept, RedisError> {
        Ok(Kept { conn: managed::Manager::create(&self.0).await?, owes_an_answer: false })
    }

    async fn recycle(&self, kept: &mut Kept, metrics: &Metrics) -> RecycleResult<RedisError> {
        if kept.owes_an_answer {
            return Err(RecycleError::message("a command was not answered"));
        }
        if metrics.last_used() < TRUSTED {
            return Ok(());
        }
        managed::Manager::recycle(&self.0, &mut kept.conn, metrics).await
    }
}

impl Kept {
    /// Asks on the connection, and notes whether there was an answer.
    fn ask<'a, T: 'a>(
        &'a mut self,
        command: impl FnOnce(&'a mut MultiplexedConnection) -> RedisFuture<'a, T>,
    ) -> RedisFuture<'a, T> {
        let Self { conn, owes_an_answer } = self;
        *owes_an_answer = true;
        command(conn).inspect(|answer| *owes_an_answer = answer.as_ref().is_err_and(RedisError::is_io_error)).boxed()
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.ask(|conn| conn.req_packed_command(command))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.ask(move |conn| conn.req_packed_commands(commands, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.0.conn.get_db()
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
