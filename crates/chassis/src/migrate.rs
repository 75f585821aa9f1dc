//! Schema changes: run before a rollout, by one process at a time.

use std::time::Duration;

use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use secrecy::{ExposeSecret, SecretString};

use crate::problem::Problem;

/// The advisory lock that makes a second migrating process wait; any constant that nothing else uses.
const LOCK: i64 = 0x6d61_7275;
/// Longest to wait for a database that is still starting.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);

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
    conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
    let mut harness = AsyncMigrationHarness::new(conn);
    let applied = harness.run_pending_migrations(migrations).map_err(Problem::unexpected)?.len();
    // The lock ends with the connection.
    Ok(applied)
}

async fn connect(url: &str) -> Result<AsyncPgConnection, Problem> {
    let give_up = tokio::time::Instant::now() + CONNECT_PATIENCE;
    loop {
        match AsyncPgConnection::establish(url).await {
            Ok(conn) => return Ok(conn),
            Err(error) if tokio::time::Instant::now() > give_up => return Err(Problem::unavailable(error)),
            Err(_still_starting) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
