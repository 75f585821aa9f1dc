//! Short reads that share connections.
//!
//! A statement that waits for nobody is answered faster than a connection is handed from one request to the next, or from
//! one thread to another and back. So reads of this kind go to a connection beside the pool that belongs to the thread
//! that asks, many at once: they leave in one packet and come back in one, and nobody is woken in between. The server
//! works through them one after the other, which is why nothing slow belongs here, and no transaction: a connection is
//! lent shared, and that is all a shared one can do.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::fault::common;
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    pg::{CONNECT_TIMEOUT, Pg},
    problem::{Outcome, Problem},
};

/// Where a thread keeps its connection to one database; it is made when it is first needed, and again after it failed.
type Place = Arc<Mutex<Option<Arc<AsyncPgConnection>>>>;

thread_local! {
    /// The places of this thread, by the number of whose they are. There are as many as the process has databases: one.
    static OWN: RefCell<HashMap<u64, Place>> = RefCell::default();
}

/// What it takes to connect.
pub(crate) struct Readers {
    number: u64,
    url: SecretString,
}

impl Readers {
    pub(crate) fn new(url: SecretString) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), url }
    }

    /// Returns this thread's connection. Whoever comes while it is made waits for it.
    async fn conn(&self) -> Outcome<Arc<AsyncPgConnection>> {
        let place = self.place();
        let making = async {
            let mut place = place.lock().await;
            if let Some(conn) = &*place {
                return Ok(conn.clone());
            }
            // Here and not on the process's own runtime: what drives it runs on this thread too, and ends with it.
            let made = AsyncPgConnection::establish(self.url.expose_secret()).await;
            let conn = Arc::new(made.map_err(Problem::unavailable)?);
            *place = Some(conn.clone());
            Ok(conn)
        };
        timeout(CONNECT_TIMEOUT, making).await.map_err(Problem::unavailable)?
    }

    /// Lets a connection go, unless somebody has already.
    async fn replace(&self, gone: &Arc<AsyncPgConnection>) {
        let place = self.place();
        let mut place = place.lock().await;
        if place.as_ref().is_some_and(|conn| Arc::ptr_eq(conn, gone)) {
            *place = None;
        }
    }

    fn place(&self) -> Place {
        OWN.with_borrow_mut(|own| own.entry(self.number).or_default().clone())
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
                self.readers.replace(&conn).await;
                ask(&*self.readers.conn().await?).await
            }
            answered => answered,
        }
    }
}
