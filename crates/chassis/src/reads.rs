//! Short reads that share connections.
//!
//! A statement that waits for nobody goes to the asking thread's own connection. The server works through what is asked
//! there one after the other, which is why nothing slow belongs here, and no transaction: a connection is lent shared, and
//! that is all a shared one can do.

use std::sync::Arc;

use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::fault::common;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    own::Own,
    pg::{CONNECT_TIMEOUT, Pg},
    problem::{Outcome, Problem},
};

/// What it takes to connect.
pub(crate) struct Readers {
    own: Own<AsyncPgConnection>,
    url: SecretString,
}

impl Readers {
    pub(crate) fn new(url: SecretString) -> Self {
        Self { own: Own::new(), url }
    }

    async fn conn(&self) -> Outcome<Arc<AsyncPgConnection>> {
        let make = async || AsyncPgConnection::establish(self.url.expose_secret()).await.map_err(Problem::unavailable);
        self.own.conn(CONNECT_TIMEOUT, make).await
    }
}

impl Pg {
    /// Reads something in one short statement; asks again, once, when the connection turns out to be gone.
    ///
    /// # Errors
    /// What `ask` returns; 503 when the server is away.
    pub async fn read<T>(&self, ask: impl AsyncFn(&AsyncPgConnection) -> Outcome<T>) -> Outcome<T> {
        let conn = self.readers.conn().await?;
        match ask(&conn).await {
            Err(problem) if problem.code() == common::UNAVAILABLE.code => {
                self.readers.own.replace(&conn).await;
                ask(&*self.readers.conn().await?).await
            }
            answered => answered,
        }
    }
}
