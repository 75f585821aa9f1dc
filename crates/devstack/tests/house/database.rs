//! A look into the databases, past the services.

use tokio_postgres::{Client, Error, NoTls};

use crate::stack::Stack;

/// Connects to a database.
pub(crate) async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(connection);
    Ok(client)
}

/// Connects to a service's database, as the service does.
pub(crate) async fn of_service(stack: &Stack, service: &str) -> Result<Client, Error> {
    connect(stack.status["database_urls"][service].as_str().expect("a database")).await
}

/// Reads one number out of a service's database; nothing while there is none.
pub(crate) async fn number(stack: &Stack, service: &str, query: &str) -> Option<i64> {
    let client = of_service(stack, service).await.ok()?;
    let row = client.query_one(&format!("SELECT ({query})::bigint"), &[]).await.ok()?;
    Some(row.get(0))
}
