//! The PostgreSQL pool, every limit stated.
//!
//! A request waits a short while for a connection and then gets 503: a queue in front of a slow database helps nobody.
//! Connections that died with a restarted server are noticed and replaced, so a service heals without its own restart.

use std::{
    fmt::Write as _,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use deadpool::managed::{QueueMode, TimeoutType, Timeouts};
use diesel::{ConnectionError, QueryResult};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, SimpleAsyncConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, PoolableConnection, RecyclingMethod,
        deadpool::{Object, Pool, PoolError},
    },
};
use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::{runtime::Handle, time::timeout};
use url::Url;

use crate::{
    config::Faults,
    problem::{Outcome, Problem},
    reads::Readers,
};

/// Longest a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest a new connection may take; a healthy server on the same network needs milliseconds.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest a statement may run, enforced by the server; no query of a request comes near.
const STATEMENT_TIMEOUT_MS: u32 = 5_000;
/// How often the server looks whether the client of a running statement is still there.
const CLIENT_CHECK_MS: u32 = 1_000;
/// Longest a transaction may sit idle, enforced by the server: a stalled process must not hold row locks.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: u32 = 10_000;

/// The values of `sslmode` that a connection without TLS satisfies.
const ONLY_WITHOUT_TLS: [&str; 3] = ["disable", "allow", "prefer"];

/// One connection out of the pool.
///
/// A handler that is dropped in the middle of a transaction (its deadline came) leaves a connection that still holds
/// locks; such a one is closed when it is given back, and not when somebody next takes it.
pub struct Connection(Option<Object<AsyncPgConnection>>);

/// PostgreSQL.
#[derive(Args, Clone, Debug)]
pub struct PgConfig {
    /// `postgres://user:password@host:port/database`.
    #[arg(long, env = "DATABASE_URL")]
    pub database_url: SecretString,
    /// Most connections of this process, beside one of each HTTP worker for short reads; keep the sum over all replicas
    /// below the server's `max_connections`.
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value_t = 8)]
    pub database_pool_size: usize,
}

impl PgConfig {
    /// Checks the URL and the size.
    pub fn validate(&self, faults: &mut Faults) {
        let url = Url::parse(self.database_url.expose_secret());
        let sound = url.as_ref().is_ok_and(|u| matches!(u.scheme(), "postgres" | "postgresql") && u.has_host());
        if !sound {
            faults.add("DATABASE_URL", "is not of the form postgres://user:password@host:port/database");
        }
        let tls =
            |u: &Url| u.query_pairs().any(|(key, value)| key == "sslmode" && !ONLY_WITHOUT_TLS.contains(&&*value));
        if url.is_ok_and(|u| tls(&u)) {
            // Said now, and not by every connection that fails later.
            faults.add("DATABASE_URL", "asks for TLS (sslmode), which this build cannot speak to PostgreSQL");
        }
        if self.database_pool_size == 0 {
            faults.add("DATABASE_POOL_SIZE", "must be at least 1");
        }
    }
}

/// A pool of connections; clones share it.
#[derive(Clone)]
pub struct Pg {
    pub(crate) pool: Pool<AsyncPgConnection>,
    pub(crate) readers: Arc<Readers>,
}

impl Pg {
    /// Builds the pool; connects to nothing yet, so that a service may start before its database.
    ///
    /// # Errors
    /// Returns an error when the URL cannot be read.
    pub fn new(config: &PgConfig, application: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let url = with_limits(config.database_url.expose_secret(), application)?;
        let manager =
            AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url.as_str(), manager_config());
        let pool = Pool::builder(manager)
            .max_size(config.database_pool_size)
            // The one that was used last has the warmest server process and the most statements prepared.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(ACQUIRE_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(CONNECT_TIMEOUT))
            .runtime(deadpool::Runtime::Tokio1)
            .build()?;
        Ok(Self { pool, readers: Arc::new(Readers::new(url.into())) })
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// 503 when none is free in time or the server is away.
    pub async fn conn(&self) -> Outcome<Connection> {
        self.conn_within(ACQUIRE_TIMEOUT).await
    }

    /// Takes a connection, for whoever would rather wait than be refused when many come in the same moment.
    ///
    /// # Errors
    /// 503 when none is free within `patience` or the server is away.
    pub async fn conn_within(&self, patience: Duration) -> Outcome<Connection> {
        let timeouts = Timeouts { wait: Some(patience), ..self.pool.timeouts() };
        // The pool limits each of its steps; together they may take much longer.
        let taken = timeout(patience, self.pool.timeout_get(&timeouts)).await.map_err(Problem::unavailable)?;
        Ok(Connection(Some(taken.map_err(Problem::unavailable)?)))
    }

    /// Returns whether the server answers. A pool whose connections are all in use is busy, not away: a probe must not
    /// take a loaded replica out, and its load to the next one.
    pub async fn answers(&self) -> bool {
        let at_once = Timeouts { wait: Some(Duration::ZERO), ..self.pool.timeouts() };
        let ask = async {
            match self.pool.timeout_get(&at_once).await {
                Ok(mut conn) => conn.batch_execute("SELECT 1").await.is_ok(),
                Err(PoolError::Timeout(TimeoutType::Wait)) => true,
                Err(_) => false,
            }
        };
        timeout(CONNECT_TIMEOUT, ask).await.unwrap_or(false)
    }
}

impl Deref for Connection {
    type Target = AsyncPgConnection;

    #[expect(clippy::expect_used, reason = "taken out in `drop` only")]
    fn deref(&self) -> &AsyncPgConnection {
        self.0.as_deref().expect("a connection until it is dropped")
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "taken out in `drop` only")]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.0.as_deref_mut().expect("a connection until it is dropped")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(mut object) = self.0.take()
            && PoolableConnection::is_broken(&mut *object)
        {
            drop(Object::take(object));
        }
    }
}

/// Waits for the only row of a statement that changes something, and for the statement's end: `only_row(ask.load(conn))`.
///
/// `get_result` is content with the row. PostgreSQL writes it before it commits and sends what it writes whenever that
/// comes to 8 KiB, so a large row may come from a change that is not on disk yet, and never will be when the server dies.
///
/// # Errors
/// What the statement ends with; `NotFound` without a row.
pub async fn only_row<T>(rows: impl Future<Output = QueryResult<Vec<T>>>) -> QueryResult<T> {
    rows.await?.pop().ok_or(diesel::result::Error::NotFound)
}

/// Opens connections on the process's own runtime: each is driven by a task, and one that lived on an HTTP worker would
/// die with it in the hands of another.
fn manager_config() -> ManagerConfig<AsyncPgConnection> {
    let runtime = Handle::try_current().ok();
    let mut config = ManagerConfig::default();
    // A closed connection is noticed without a query; a test query would double every request's round trips.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |url| {
        let (runtime, url) = (runtime.clone(), url.to_owned());
        async move {
            let connecting = async move { AsyncPgConnection::establish(&url).await };
            match runtime {
                Some(runtime) => runtime
                    .spawn(connecting)
                    .await
                    .unwrap_or_else(|error| Err(ConnectionError::BadConnection(error.to_string()))),
                None => connecting.await,
            }
        }
        .boxed()
    });
    config
}

/// Adds the limits to a database URL, as parameters of each connection.
pub(crate) fn with_limits(url: &str, application: &str) -> Result<String, url::ParseError> {
    let mut url = Url::parse(url)?;
    // No statement here runs long enough to be worth compiling; the server would take a second for one that takes thirty
    // milliseconds.
    let options = format!(
        "-c statement_timeout={STATEMENT_TIMEOUT_MS} -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS} \
         -c client_connection_check_interval={CLIENT_CHECK_MS} -c jit=off"
    );
    // The driver keeps only the last `options`, so what the operator asked for goes in front of ours.
    let (theirs, others): (Vec<_>, Vec<_>) = url.query_pairs().into_owned().partition(|(key, _)| key == "options");
    let all = theirs.into_iter().map(|(_, value)| value).chain([options]).collect::<Vec<_>>().join(" ");
    // `%20` and not `+`: the driver decodes percent signs only.
    let encoded = all.replace(' ', "%20").replace('=', "%3D");
    let mut query = String::new();
    for (key, value) in others {
        _ = write!(query, "{key}={value}&");
    }
    // Writing to a string cannot fail.
    _ = write!(
        query,
        "application_name=maru-{application}&connect_timeout={}&keepalives_idle=30&tcp_user_timeout=10&options={encoded}",
        CONNECT_TIMEOUT.as_secs(),
    );
    url.set_query(Some(&query));
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_travel_with_the_url_and_keep_what_was_there() {
        let url = with_limits("postgres://u:p@h:5432/d?sslmode=disable", "auth").unwrap();
        assert!(url.starts_with("postgres://u:p@h:5432/d?sslmode=disable&application_name=maru-auth"), "{url}");
        assert!(url.contains("options=-c%20statement_timeout%3D5000%20-c"), "{url}");
        let url = with_limits("postgres://h/d?options=-c%20search_path%3Dmaru", "auth").unwrap();
        assert!(url.contains("options=-c%20search_path%3Dmaru%20-c%20statement_timeout"), "{url}");
    }

    #[test]
    fn a_url_that_cannot_work_is_a_fault_of_the_configuration() {
        let faults = |url: &str| {
            let mut faults = Faults::default();
            PgConfig { database_url: SecretString::from(url), database_pool_size: 1 }.validate(&mut faults);
            faults
        };
        assert!(faults("postgres://u:p@h:5432/d?sslmode=prefer").is_empty());
        assert!(faults("postgres://u@%2Ftmp:5432/d").is_empty());
        for bad in ["mysql://h/d", "not a url", "postgres://h/d?sslmode=require", "postgres://h/d?sslmode=verify-full"]
        {
            assert!(!faults(bad).is_empty(), "{bad}");
        }
    }
}
