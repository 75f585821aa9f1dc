//! Schema changes: run before a rollout, by one process at a time.

use std::time::Duration;

use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Bool},
};
use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// The advisory lock that makes a second migrating process wait; any constant that nothing else uses.
const LOCK: i64 = 0x6d61_7275;
/// Longest to wait for a database that is still starting.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);
/// Longest one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest to wait for another process that migrates; an index on a large table takes its time.
const LOCK_PATIENCE: Duration = Duration::from_mins(10);
/// How often to try again.
const POLL: Duration = Duration::from_millis(200);

/// Applies what is pending and returns how many migrations that were.
///
/// Two processes may call this at once: one applies, the other waits and finds nothing to do.
///
/// # Errors
/// Returns an error when the database cannot be reached or a migration fails; a failed migration is rolled back.
pub fn run(url: &SecretString, migrations: EmbeddedMigrations) -> Result<usize, Problem> {
    let url = url.clone();
    // A thread of its own: the harness blocks, which actix's runtime forbids.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.map_err(Problem::unexpected)?.block_on(apply(url.expose_secret(), migrations))
    })
    .join()
    .map_err(|_panic| Problem::unexpected("the migration thread panicked"))?
}

async fn apply(url: &str, migrations: EmbeddedMigrations) -> Result<usize, Problem> {
    let mut conn = connect(url).await?;
    lock(&mut conn).await?;
    let mut harness = AsyncMigrationHarness::new(conn);
    let applied = harness.run_pending_migrations(migrations).map_err(Problem::unexpected)?.len();
    // The lock ends with the connection.
    Ok(applied)
}

/// Waits its turn: another process may be migrating.
async fn lock(conn: &mut AsyncPgConnection) -> Result<(), Problem> {
    #[derive(QueryableByName)]
    struct Locked {
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    let give_up = Instant::now() + LOCK_PATIENCE;
    let mut told = false;
    loop {
        let ask = sql_query("SELECT pg_try_advisory_lock($1) AS locked").bind::<BigInt, _>(LOCK);
        let Locked { locked } = ask.get_result(conn).await?;
        match locked {
            true => return Ok(()),
            false if Instant::now() > give_up => {
                return Err(Problem::unavailable("another process has been migrating this database for too long"));
            }
            false if !told => {
                tracing::info!("another process is migrating this database, waiting for it");
                told = true;
            }
            false => {}
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn connect(url: &str) -> Result<AsyncPgConnection, Problem> {
    let give_up = Instant::now() + CONNECT_PATIENCE;
    loop {
        let tried = timeout(CONNECT_TIMEOUT, AsyncPgConnection::establish(url)).await;
        let failed = match tried {
            Ok(Ok(conn)) => return Ok(conn),
            Ok(Err(error)) => Problem::unavailable(error),
            Err(elapsed) => Problem::unavailable(elapsed),
        };
        if Instant::now() > give_up {
            return Err(failed);
        }
        tokio::time::sleep(POLL).await;
    }
}
