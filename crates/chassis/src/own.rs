//! Connections that belong to a thread.
//!
//! A request is answered faster than a connection is handed from one request to the next, or from one thread to another
//! and back. So what is short and waits for nobody goes to a connection beside the pool that belongs to the thread that
//! asks, many at once: they leave in one packet and come back in one, and nobody is woken in between.

use std::{
    any::Any,
    cell::RefCell,
    collections::HashMap,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::timeout};

use crate::problem::{Outcome, Problem};

/// Where a thread keeps its connection to one server; it is made when it is first needed, and again after it failed.
type Place<C> = Arc<Mutex<Option<Arc<C>>>>;

thread_local! {
    /// The places of this thread, by the number of whose they are. There are as many as the process has servers: two.
    static OWN: RefCell<HashMap<u64, Arc<dyn Any + Send + Sync>>> = RefCell::default();
}

/// The connections of every thread to one server.
pub(crate) struct Own<C> {
    number: u64,
    kind: PhantomData<fn() -> C>,
}

impl<C: Send + Sync + 'static> Own<C> {
    /// Starts with no connection.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), kind: PhantomData }
    }

    /// Returns this thread's connection, made now if there is none. Whoever comes while it is made waits for it.
    ///
    /// # Errors
    /// What `make` returns; 503 when it takes longer than `patience`.
    pub(crate) async fn conn(&self, patience: Duration, make: impl AsyncFnOnce() -> Outcome<C>) -> Outcome<Arc<C>> {
        let place = self.place();
        let making = async {
            let mut place = place.lock().await;
            if let Some(conn) = &*place {
                return Ok(conn.clone());
            }
            // Here and not on the process's own runtime: what drives it runs on this thread too, and ends with it.
            let conn = Arc::new(make().await?);
            *place = Some(conn.clone());
            Ok(conn)
        };
        timeout(patience, making).await.map_err(Problem::unavailable)?
    }

    /// Lets a connection go, unless somebody has already.
    pub(crate) async fn replace(&self, gone: &Arc<C>) {
        let place = self.place();
        let mut place = place.lock().await;
        if place.as_ref().is_some_and(|conn| Arc::ptr_eq(conn, gone)) {
            *place = None;
        }
    }

    fn place(&self) -> Place<C> {
        OWN.with_borrow_mut(|own| {
            let kept = own.get(&self.number).and_then(|place| place.clone().downcast().ok());
            kept.unwrap_or_else(|| {
                let place = Place::<C>::default();
                own.insert(self.number, place.clone());
                place
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_thread_keeps_its_connection_until_it_fails() {
        let own = Own::<u32>::new();
        let first = own.conn(PATIENCE, async || Ok(1)).await.unwrap();
        assert_eq!(*own.conn(PATIENCE, async || Ok(2)).await.unwrap(), 1);
        own.replace(&first).await;
        assert_eq!(*own.conn(PATIENCE, async || Ok(3)).await.unwrap(), 3);
        // Somebody else noticed, too, and later.
        own.replace(&first).await;
        assert_eq!(*own.conn(PATIENCE, async || Ok(4)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn every_server_and_every_thread_has_its_own() {
        let (one, other) = (Arc::new(Own::<u32>::new()), Own::<u32>::new());
        assert_eq!(*one.conn(PATIENCE, async || Ok(1)).await.unwrap(), 1);
        assert_eq!(*other.conn(PATIENCE, async || Ok(2)).await.unwrap(), 2);
        let elsewhere = one.clone();
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            *runtime.block_on(elsewhere.conn(PATIENCE, async || Ok(3))).unwrap()
        });
        assert_eq!(asked.join().unwrap(), 3);
    }
}
