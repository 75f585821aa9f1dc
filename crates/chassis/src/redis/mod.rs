//! The Redis pool. Redis carries order, presence and notices; it may be flushed at any time, and nothing acknowledged
//! is lost with it.

mod address;
mod pool;
mod wire;

use std::{sync::Arc, time::Duration};

use clap::Args;
use deadpool::{
    Runtime,
    managed::{self, QueueMode},
};
use deadpool_redis::redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, cmd};
use futures_util::{FutureExt, Stream, StreamExt};
use secrecy::{ExposeSecret, SecretString};

use self::{
    address::Address,
    pool::{Manager, is_lost},
};
pub use self::{pool::Connection, wire::Wire};
use crate::{
    config::Faults,
    own::Own,
    problem::{Outcome, Problem},
};

/// Longest a request waits for a connection to one server.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest an answer on a connection of the pool may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
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
    /// `redis://[:password@]host:port[/db]`, or some of a cluster's nodes:
    /// `redis+cluster://[:password@]host:port,host:port`.
    #[arg(long, env = "REDIS_URL")]
    pub redis_url: SecretString,
    /// First part of every key, so that several deployments can share a server.
    #[arg(long, env = "REDIS_PREFIX", default_value = "maru")]
    pub redis_prefix: String,
    /// Most connections of this process; in a cluster, to each node.
    #[arg(long, env = "REDIS_POOL_SIZE", default_value_t = 8)]
    pub redis_pool_size: usize,
    /// How long every answer is waited for at least. Nobody sets it but a test, which is no slower for it and does not fail
    /// because its machine was busy.
    #[arg(skip)]
    pub patience: Duration,
}

impl RedisConfig {
    /// Checks the URL.
    pub fn validate(&self, faults: &mut Faults) {
        if let Err(fault) = Address::read(self.redis_url.expose_secret()) {
            faults.add("REDIS_URL", fault);
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
    own: Arc<Own<Wire>>,
    address: Address,
    patience: Duration,
    prefix: String,
}

impl Redis {
    /// Builds the pool; connects to nothing yet.
    ///
    /// # Errors
    /// Returns an error when the URL cannot be read.
    pub fn new(config: &RedisConfig) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let address = Address::read(config.redis_url.expose_secret()).map_err(|fault| format!("REDIS_URL {fault}"))?;
        let patience = config.patience.max(address.acquire_timeout());
        let answer_timeout = config.patience.max(ANSWER_TIMEOUT);
        let pool = managed::Pool::builder(Manager { address: address.clone(), answer_timeout })
            .max_size(config.redis_pool_size)
            // The one that was used last need not be asked whether it is alive.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(patience))
            .create_timeout(Some(patience))
            .recycle_timeout(Some(patience))
            .runtime(Runtime::Tokio1)
            .build()?;
        let (patience, prefix) = (config.patience, config.redis_prefix.clone());
        Ok(Self { pool, own: Arc::new(Own::new()), address, patience, prefix })
    }

    /// Returns how full the pool is.
    pub(crate) fn status(&self) -> deadpool::Status {
        self.pool.status()
    }

    /// Returns how long to wait for Redis where `usual` is as long as one would.
    fn patience(&self, usual: Duration) -> Duration {
        usual.max(self.patience)
    }

    /// Waits for what is asked of Redis by somebody who would wait for `usual` and no longer.
    ///
    /// # Errors
    /// What `asking` comes to, and 504 when it comes to nothing in time.
    pub fn within<T, F>(&self, usual: Duration, asking: F) -> impl Future<Output = Outcome<T>> + use<T, F>
    where
        F: Future<Output = Outcome<T>>,
    {
        // Not an async function: that would hold the future twice.
        let asked = tokio::time::timeout(self.patience(usual), asking);
        asked.map(|answered| answered.unwrap_or_else(|late| Err(Problem::late(late))))
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// 503 when none is free in time or the server is away.
    pub async fn conn(&self) -> Outcome<Connection> {
        // The pool limits each of its steps; together they may take much longer.
        let patience = self.patience(self.address.acquire_timeout());
        let taken = tokio::time::timeout(patience, self.pool.get()).await.map_err(Problem::unavailable)?;
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
    pub async fn share<T>(&self, ask: impl AsyncFn(&mut Wire) -> Result<T, RedisError>) -> Outcome<T> {
        let conn = self.shared().await?;
        match ask(&mut (*conn).clone()).await {
            Err(error) if is_lost(&error) => {
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

    async fn shared(&self) -> Outcome<Arc<Wire>> {
        let patience = self.patience(self.address.acquire_timeout());
        self.own.conn(patience, async || Ok(self.address.connect(self.patience(SHARED_TIMEOUT)).await?)).await
    }

    /// Names a key of this deployment: `key("login:{id}")` is `maru:login:{id}`.
    pub fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Returns whether the server answers; of a cluster, whether every node does and serves the keys it has.
    pub async fn answers(&self) -> bool {
        let Ok(mut conn) = self.conn().await else { return false };
        let is_there = cmd("PING").query_async::<String>(&mut conn).await.is_ok();
        is_there && conn.is_whole().await.unwrap_or(false)
    }

    /// Publishes to a channel of this deployment.
    ///
    /// # Errors
    /// 503 when the server is away.
    pub async fn publish(&self, channel: &str, payload: &str) -> Outcome<()> {
        let mut command = cmd("PUBLISH");
        self.run(command.arg(self.key(channel)).arg(payload)).await
    }

    /// Subscribes to a channel of this deployment, once: the stream ends when the connection is lost.
    ///
    /// # Errors
    /// 503 when the server is away.
    pub async fn subscribe(&self, channel: &str) -> Outcome<impl Stream<Item = String> + Send + use<>> {
        let pubsub = self.address.subscribe(&self.key(channel)).await?;
        Ok(pubsub.into_on_message().filter_map(|m| std::future::ready(m.get_payload::<String>().ok())))
    }

    /// Makes a connection of its own for commands that block, each for less than `patience`; it is not made again when it
    /// is lost. In a cluster it blocks the node of the command's key only.
    ///
    /// # Errors
    /// 503 when the server is away.
    pub async fn dedicated(&self, patience: Duration) -> Outcome<Wire> {
        Ok(self.address.connect(patience).await?)
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
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => true,
            ErrorKind::Server(kind) => {
                // The last two come through when a cluster is rearranged faster than one can follow.
                matches!(
                    kind,
                    S::BusyLoading | S::TryAgain | S::ClusterDown | S::MasterDown | S::ReadOnly | S::Moved | S::Ask
                )
            }
            _ => error.code().is_some_and(|code| AWAY.contains(&code)),
        };
        if is_away { Self::unavailable(error) } else { Self::unexpected(error) }
    }
}
