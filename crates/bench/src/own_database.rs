//! A database of a scenario's own on the running platform's server: migrated as a service's is, and dropped at the end.

use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::{
    memo_process::NO_STORAGE,
    platform::Platform,
    process::{built, clean_command},
    report::target_directory,
    token,
    trouble::Trouble,
};

/// A database and a connection to it.
pub(crate) struct OwnDatabase {
    pub(crate) url: String,
    name: String,
    maintenance_url: String,
    pub(crate) client: Client,
    connection: JoinSet<()>,
}

impl OwnDatabase {
    /// Makes a database with the ticketing service's schema; one that was left over is dropped first.
    pub(crate) async fn create(platform: &Platform, name: &str) -> Result<Self, Trouble> {
        Self::create_for(platform, "ticketing", name).await
    }

    /// Makes a database with a service's schema; one that was left over is dropped first.
    pub(crate) async fn create_for(platform: &Platform, service: &str, name: &str) -> Result<Self, Trouble> {
        let url = platform.database_urls.get(service);
        let maintenance_url = url.ok_or_else(|| Trouble::Missing(format!("the platform has no {service}")))?.clone();
        let name = format!("maru_bench_{name}");
        let mut url = Url::parse(&maintenance_url).map_err(|fault| Trouble::Broken(fault.to_string()))?;
        url.set_path(&name);
        let url = url.to_string();
        recreate(&maintenance_url, &name, true).await?;
        migrate(service, &url).await?;
        let (client, connection) = connect(&url).await?;
        Ok(Self { url, name, maintenance_url, client, connection })
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Trouble> {
        self.client.batch_execute(sql).await.map_err(|fault| broken(&fault))
    }

    /// Returns what a query counts.
    pub(crate) async fn count(&self, sql: &str) -> Result<u64, Trouble> {
        let row = self.client.query_one(sql, &[]).await.map_err(|fault| broken(&fault))?;
        let count: i64 = row.try_get(0).map_err(|fault| broken(&fault))?;
        u64::try_from(count).map_err(|_negative| Trouble::Broken(format!("{sql} counts {count}")))
    }

    /// Drops it, whoever is still connected.
    pub(crate) async fn drop(self) -> Result<(), Trouble> {
        drop(self.connection);
        recreate(&self.maintenance_url, &self.name, false).await
    }
}

async fn recreate(maintenance_url: &str, name: &str, again: bool) -> Result<(), Trouble> {
    let (client, _connection) = connect(maintenance_url).await?;
    let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    client.batch_execute(&drop).await.map_err(|fault| broken(&fault))?;
    if again {
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.map_err(|fault| broken(&fault))?;
        // As the services do on their own connections: others here would compile statements for longer than they run.
        let set = format!("ALTER DATABASE {name} SET jit = off");
        client.batch_execute(&set).await.map_err(|fault| broken(&fault))?;
    }
    Ok(())
}

async fn connect(url: &str) -> Result<(Client, JoinSet<()>), Trouble> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|fault| broken(&fault))?;
    let mut connected = JoinSet::new();
    // Its end is seen by whoever asks next.
    connected.spawn(async move { drop(connection.await) });
    Ok((client, connected))
}

async fn migrate(service: &str, url: &str) -> Result<(), Trouble> {
    let program = target_directory().join(format!("release/maru-{service}"));
    built(&program, service)?;
    let mut command = clean_command(program);
    command.arg("migrate").envs(NO_STORAGE).envs(settings(url)?).kill_on_drop(true);
    let output = command.output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(Trouble::Broken(format!("maru-{service} migrate: {}", String::from_utf8_lossy(&output.stderr))))
}

/// What the program wants to be told before it does anything.
fn settings(url: &str) -> Result<[(&'static str, String); 6], Trouble> {
    Ok([
        ("MARU_ENV", "development".to_owned()),
        ("DATABASE_URL", url.to_owned()),
        ("REDIS_URL", "redis://127.0.0.1:1/0".to_owned()),
        ("INTERNAL_PUBLIC_KEYS", token::InternalKey::generate()?.public_keys().to_owned()),
        ("INTERNAL_SIGNING_KEY", token::signing_key()?),
        ("TICKET_SECRET", token::JWT_SECRET.to_owned()),
    ])
}

fn broken(fault: &tokio_postgres::Error) -> Trouble {
    Trouble::Broken(format!("the scenario's database: {fault:?}"))
}
