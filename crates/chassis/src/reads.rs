//! Short reads that share connections.
//!
//! A statement that waits for nobody is answered faster than a connection is handed from one request to the next. So reads
//! of this kind go to a few connections beside the pool, many at once on each: they leave in one packet and come back in
//! one, and neither side falls asleep in between. The server works through them one after the other, which is why nothing
//! slow belongs here, and no transaction: a connection is lent shared, and that is all a shared one can do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use diesel_async::{AsyncPgConnection, pooled_connection::deadpool::Object};
use domain::fault::common;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    pg::{ACQUIRE_TIMEOUT, Pg},
    problem::{Outcome, Problem},
};

/// Connections that are shared: two, so that one slow answer does not hold up everybody.
const SHARED: usize = 2;

/// The connections; each is made when it is first needed, and again after it failed.
#[derive(Default)]
pub(crate) struct Readers {
    conns: [Mutex<Option<Arc<AsyncPgConnection>>>; SHARED],
    turn: AtomicUsize,
}

impl Pg {
    /// Reads something in one short statement; asks again, once, when the connection turns out to be gone.
    ///
    /// # Errors
    /// What `ask` returns; 503 when the server is away.
    pub async fn read<T>(&self, ask: impl AsyncFn(&AsyncPgConnection) -> Outcome<T>) -> Outcome<T> {
        let turn = self.readers.turn.fetch_add(1, Ordering::Relaxed);
        let conn = self.reader(turn).await?;
        match ask(&conn).await {
            Err(problem) if problem.code() == common::UNAVAILABLE.code => {
                self.replace_reader(turn, &conn).await;
                ask(&*self.reader(turn).await?).await
            }
            answered => answered,
        }
    }

    async fn reader(&self, turn: usize) -> Outcome<Arc<AsyncPgConnection>> {
        let Some(place) = self.readers.conns.get(turn % SHARED) else {
            return Err(Problem::unexpected("there is no shared connection"));
        };
        // Whoever comes while it is made waits for it, as long as for one of the pool.
        let making = async {
            let mut place = place.lock().await;
            if let Some(conn) = &*place {
                return Ok(conn.clone());
            }
            let conn = Arc::new(Object::take(self.pool.get().await.map_err(Problem::unavailable)?));
            *place = Some(conn.clone());
            Ok(conn)
        };
        timeout(ACQUIRE_TIMEOUT, making).await.map_err(Problem::unavailable)?
    }

    /// Lets a connection go, unless somebody has already.
    async fn replace_reader(&self, turn: usize, gone: &Arc<AsyncPgConnection>) {
        let Some(place) = self.readers.conns.get(turn % SHARED) else { return };
        let mut place = place.lock().await;
        if place.as_ref().is_some_and(|conn| Arc::ptr_eq(conn, gone)) {
            *place = None;
        }
    }
}
