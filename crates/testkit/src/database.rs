//! A database per test, cloned from a template.
//!
//! The template is named after the contents of the service's migrations, made once by whichever test comes first (an
//! advisory lock makes the others wait), and cloned by copying files, which takes about 50 ms.

use std::path::{Path, PathBuf};

use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::EmbeddedMigrations;
use domain::principal::Service;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::settings::required;

/// The advisory lock that lets one test build a template at a time.
const TEMPLATE_LOCK: i64 = 0x7465_7374;

/// A database that ends with the test.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: Url,
}

impl TestDatabase {
    /// Clones the migrated template of a service.
    pub async fn create(service: Service, migrations: EmbeddedMigrations) -> Self {
        let server = server_url();
        let mut admin = AsyncPgConnection::establish(server.as_str()).await.expect("connect to the test PostgreSQL");
        let template = template(&mut admin, &server, service, migrations).await;
        let name = format!("t_{}", random_id().simple());
        admin
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
            .await
            .expect("clone the template database");
        let url = with_database(&server, &name);
        Self { name, url }
    }

    /// Makes a database without any table.
    pub async fn empty() -> Self {
        let server = server_url();
        let mut admin = AsyncPgConnection::establish(server.as_str()).await.expect("connect to the test PostgreSQL");
        let name = format!("t_{}", random_id().simple());
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("create a database");
        let url = with_database(&server, &name);
        Self { name, url }
    }

    /// Returns its URL.
    pub fn url(&self) -> SecretString {
        SecretString::from(self.url.to_string())
    }

    /// Returns its URL with another host and port, for a proxy in between.
    pub fn url_through(&self, proxy: std::net::SocketAddr) -> SecretString {
        let mut url = self.url.clone();
        url.set_ip_host(proxy.ip()).expect("an IP address is a host");
        url.set_port(Some(proxy.port())).expect("a URL with a host has a port");
        SecretString::from(url.to_string())
    }

    /// Returns where the server listens.
    pub fn server_addr() -> std::net::SocketAddr {
        let url = server_url();
        let host = url.host_str().expect("a host").to_owned();
        format!("{host}:{}", url.port().unwrap_or(5432)).parse().expect("MARU_TEST_DATABASE_URL names an IP address")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // A thread of its own: this one may be in the middle of a runtime that is going away.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let mut admin = AsyncPgConnection::establish(server_url().as_str()).await.ok()?;
                admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.ok()
            })
        });
        // What is left behind goes with the test run's throw-away server.
        _ = dropping.join();
    }
}

fn server_url() -> Url {
    required("MARU_TEST_DATABASE_URL").parse().expect("MARU_TEST_DATABASE_URL is a URL")
}

fn with_database(server: &Url, name: &str) -> Url {
    let mut url = server.clone();
    url.set_path(name);
    url
}

/// Makes an id that no other test process makes.
pub(crate) fn random_id() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "names of throw-away databases, not ids of the platform")]
    Uuid::new_v4()
}

async fn template(
    admin: &mut AsyncPgConnection,
    server: &Url,
    service: Service,
    migrations: EmbeddedMigrations,
) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(service.name());
    let name = format!("template_{service}_{}", digest(&directory));
    admin.batch_execute(&format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await.expect("lock");
    if !exists(admin, &name).await {
        let building = format!("{name}_building");
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)")).await.expect("drop");
        admin.batch_execute(&format!("CREATE DATABASE {building}")).await.expect("create the template database");
        let url = SecretString::from(with_database(server, &building).to_string());
        tokio::task::spawn_blocking(move || chassis::migrate::run(&url, migrations))
            .await
            .expect("migrate")
            .expect("the migrations apply");
        admin.batch_execute(&format!("ALTER DATABASE {building} RENAME TO {name}")).await.expect("rename");
    }
    admin.batch_execute(&format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})")).await.expect("unlock");
    name
}

fn digest(directory: &Path) -> String {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the migrations of the service") {
            let path = entry.expect("a directory entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(std::fs::read(&file).expect("a migration"));
    }
    hex::encode(hash.finalize()).chars().take(16).collect()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn exists(admin: &mut AsyncPgConnection, database: &str) -> bool {
    let row: Count = sql_query("SELECT count(*) AS count FROM pg_database WHERE datname = $1")
        .bind::<Text, _>(database)
        .get_result(admin)
        .await
        .expect("ask for the template");
    row.count > 0
}
