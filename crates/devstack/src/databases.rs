//! The services' databases.
//!
//! One per service, all on one server; the services migrate them, this module only makes them.

use tokio_postgres::Client;
use url::Url;

use crate::{fault::Fault, services::SERVICES, tasks};

/// The address of a service's database on this server.
pub(crate) fn url_of(server: &str, service: &str) -> Result<String, Fault> {
    let mut url = parse(server)?;
    url.set_path(&format!("/{}", name_of(service)));
    Ok(url.to_string())
}

/// Makes the databases that are not there yet.
pub(crate) async fn create(client: &Client) -> Result<(), Fault> {
    let refused = |error: tokio_postgres::Error| {
        let why = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        Fault::new(
            format!("could not make the databases ({why})"),
            "give the user of DATABASE_URL the right CREATEDB, or make maru_auth, maru_session, maru_ticketing, \
             maru_emotion and maru_memo yourself",
        )
    };
    let rows = client.query("SELECT datname FROM pg_database", &[]).await.map_err(refused)?;
    let present: Vec<String> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
    for name in SERVICES.map(name_of).into_iter().filter(|name| !present.contains(name)) {
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.map_err(refused)?;
    }
    Ok(())
}

/// Makes the databases on a server of the caller.
pub(crate) async fn create_on(server: &str) -> Result<(), Fault> {
    let mut url = parse(server)?;
    if url.path().trim_start_matches('/').is_empty() {
        url.set_path("/postgres");
    }
    let connected = tokio_postgres::connect(url.as_str(), tokio_postgres::NoTls).await;
    let (client, connection) = connected.map_err(|error| {
        Fault::new(
            format!("could not connect to the server in DATABASE_URL ({error})"),
            "check the address and that the server runs (without TLS), or unset DATABASE_URL for a private one",
        )
    })?;
    // Ends when the client is dropped.
    tasks::spawn(connection);
    create(&client).await
}

/// Host and port of a server address.
pub(crate) fn host_and_port(address: &str, default_port: u16) -> Option<(String, u16)> {
    let url = Url::parse(address).ok()?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default().unwrap_or(default_port)))
}

fn name_of(service: &str) -> String {
    format!("maru_{service}")
}

fn parse(server: &str) -> Result<Url, Fault> {
    // The address may hold a password, so the parser's opinion of it is not repeated.
    let url = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
    url.ok_or_else(|| {
        Fault::new("DATABASE_URL is no PostgreSQL address", "write it as postgres://user:password@host:5432/postgres")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_address_names_the_server_not_the_database() {
        let url = url_of("postgres://u:p%40@db.example:5433/other?application_name=x", "auth").expect("a url");
        assert_eq!(url, "postgres://u:p%40@db.example:5433/maru_auth?application_name=x");
        assert!(url_of("mysql://u@h/x", "auth").is_err());
    }

    #[test]
    fn an_address_without_a_port_has_the_usual_one() {
        assert_eq!(host_and_port("postgres://u@db/x", 5432), Some(("db".to_owned(), 5432)));
        assert_eq!(host_and_port("redis://:p@127.0.0.1:21000/0", 6379), Some(("127.0.0.1".to_owned(), 21_000)));
    }
}
