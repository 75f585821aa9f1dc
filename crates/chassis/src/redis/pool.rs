//! The pool: connections of which each is used by one at a time.

use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_redis::redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, Value, aio::ConnectionLike, cmd};
use futures_util::FutureExt;
use tokio::time::timeout;

use super::{TRUSTED, Wire, address::Address};

/// Longest to wait for a cluster whose last command was not answered: there must be time for a new connection.
const LATE_PATIENCE: Duration = Duration::from_millis(300);

/// One connection out of the pool.
pub struct Connection(pub(super) managed::Object<Manager>);

/// Makes connections, and judges which may be used again.
pub(super) struct Manager {
    pub(super) address: Address,
    /// Longest an answer may take.
    pub(super) answer_timeout: Duration,
}

/// A connection, and how it was left.
pub(super) struct Kept {
    conn: Wire,
    /// Whether a command on it is not answered: it failed, or nobody waited for it any longer.
    owes_an_answer: bool,
}

impl managed::Manager for Manager {
    type Type = Kept;
    type Error = RedisError;

    async fn create(&self) -> Result<Kept, RedisError> {
        // Kept apart: connecting takes kilobytes, which the future of every handler that asks Redis would have room for.
        let conn = Box::pin(self.address.connect(self.answer_timeout)).await?;
        Ok(Kept { conn, owes_an_answer: false })
    }

    async fn recycle(&self, kept: &mut Kept, metrics: &Metrics) -> RecycleResult<RedisError> {
        match kept.conn {
            // That of a cluster mends itself and is dear to make: it is asked first, which all nodes must answer.
            Wire::Server(_) if kept.owes_an_answer => {
                return Err(RecycleError::message("a command was not answered"));
            }
            _ if !kept.owes_an_answer && metrics.last_used() < TRUSTED => return Ok(()),
            _ => {}
        }
        let ping = cmd("PING");
        let asking = ping.query_async::<String>(&mut kept.conn);
        let answer = if kept.owes_an_answer {
            let answered = timeout(LATE_PATIENCE, asking).await;
            answered.map_err(|_elapsed| RecycleError::message("a command was not answered"))??
        } else {
            asking.await?
        };
        if answer != "PONG" {
            return Err(RecycleError::message("PING was answered with something else"));
        }
        kept.owes_an_answer = false;
        Ok(())
    }
}

impl Kept {
    /// Asks on the connection, and notes whether there was an answer.
    fn ask<'a, T: 'a>(&'a mut self, command: impl FnOnce(&'a mut Wire) -> RedisFuture<'a, T>) -> RedisFuture<'a, T> {
        let Self { conn, owes_an_answer } = self;
        *owes_an_answer = true;
        command(conn).inspect(|answer| *owes_an_answer = answer.as_ref().is_err_and(is_lost)).boxed()
    }
}

/// Returns whether there was no answer, and not one that refuses.
pub(super) fn is_lost(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::ClusterConnectionNotFound)
}

impl Connection {
    /// Returns whether every key has a node that serves it.
    pub(super) async fn is_whole(&mut self) -> Result<bool, RedisError> {
        self.0.ask(|conn| conn.is_whole().boxed()).await
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.ask(|conn| conn.req_packed_command(command))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.ask(move |conn| conn.req_packed_commands(commands, offset, count))
    }

    fn get_db(&self) -> i64 {
        self.0.conn.get_db()
    }
}
