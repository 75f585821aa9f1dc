//! The open sockets of each person: a sorted set in Redis, each socket by the time until which its place is kept. A
//! process renews the places of its own sockets, so that those of one that died are free again soon.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    lifecycle::Lifecycle,
    problem::{Outcome, Problem},
    redis::Redis,
};
use deadpool_redis::redis::{Script, cmd, pipe};
use domain::ids::UserId;
use uuid::Uuid;

use super::TOO_MANY_SOCKETS;

/// How long a place is kept without being renewed.
const KEPT_MS: i64 = 60_000;
/// How often places are renewed: two renewals may be missed.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// Longest to wait for Redis before this process counts alone.
const PATIENCE: Duration = Duration::from_millis(150);
/// Seconds after which a place may be free: one whose client is gone without a word is noticed within about this time.
const SOCKET_PAUSE: u32 = 30;

/// Takes a place unless as many as may be are taken. Returns 1 when it did.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
";

/// Keeps places for longer, of one person.
const RENEW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for n = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[n]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
";

/// The open sockets of all people.
pub(super) struct Sockets(Arc<Inner>);

struct Inner {
    redis: Redis,
    take: Script,
    most: u32,
    lifecycle: Lifecycle,
    own: Mutex<HashMap<UserId, HashSet<Uuid>>>,
}

/// A place among a person's open sockets; it is free again when this is dropped.
pub struct SocketPlace {
    sockets: Arc<Inner>,
    owner: UserId,
    socket: Uuid,
}

impl Sockets {
    /// Counts in `redis`.
    pub(super) fn new(redis: Redis, most: u32, lifecycle: Lifecycle) -> Self {
        Self(Arc::new(Inner { redis, take: Script::new(TAKE), most, lifecycle, own: Mutex::default() }))
    }

    /// Starts the loop that renews places.
    pub(super) fn keep(&self) {
        let sockets = self.0.clone();
        self.0.lifecycle.spawn_loop("socket_places", move |stop| {
            let sockets = sockets.clone();
            async move {
                while !stop.is_cancelled() {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(RENEW_EVERY) => {}
                    }
                    if let Err(problem) = sockets.renew().await {
                        tracing::debug!(code = problem.code(), "the places of open sockets are not renewed");
                    }
                }
            }
        });
    }

    /// Takes a place.
    pub(super) async fn take(&self, owner: UserId) -> Outcome<SocketPlace> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a name in this process's memory and Redis, not an id of the platform"
        )]
        let socket = Uuid::new_v4();
        let most = usize::try_from(self.0.most).unwrap_or(usize::MAX);
        {
            // Counted here first: without Redis this is the limit.
            let mut own = self.0.own();
            let theirs = own.entry(owner).or_default();
            if theirs.len() >= most {
                return Err(Problem::from(TOO_MANY_SOCKETS).retry_after(SOCKET_PAUSE));
            }
            theirs.insert(socket);
        }
        let place = SocketPlace { sockets: self.0.clone(), owner, socket };
        match self.0.redis.within(PATIENCE, self.0.ask(owner, socket)).await {
            // Dropping the place gives back what was counted here.
            Ok(false) => Err(Problem::from(TOO_MANY_SOCKETS).retry_after(SOCKET_PAUSE)),
            _ => Ok(place),
        }
    }
}

impl Inner {
    fn own(&self) -> MutexGuard<'_, HashMap<UserId, HashSet<Uuid>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, owner: UserId) -> String {
        self.redis.key(format_args!("emotion:sockets:{owner}"))
    }

    async fn ask(&self, owner: UserId, socket: Uuid) -> Outcome<bool> {
        let mut conn = self.redis.conn().await?;
        let mut call = self.take.key(self.key(owner));
        let call = call.arg(socket.to_string()).arg(self.most).arg(KEPT_MS);
        call.invoke_async(&mut conn).await.map_err(Problem::from)
    }

    async fn renew(&self) -> Outcome<()> {
        let mut renewals = pipe();
        for (owner, sockets) in &*self.own() {
            let call = renewals.cmd("EVAL").arg(RENEW).arg(1).arg(self.key(*owner)).arg(KEPT_MS);
            for socket in sockets {
                call.arg(socket.to_string());
            }
            call.ignore();
        }
        if renewals.is_empty() {
            return Ok(());
        }
        let mut conn = self.redis.conn().await?;
        renewals.query_async(&mut conn).await.map_err(Problem::from)
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        {
            let mut own = self.sockets.own();
            if let Some(theirs) = own.get_mut(&self.owner) {
                theirs.remove(&self.socket);
                if theirs.is_empty() {
                    own.remove(&self.owner);
                }
            }
        }
        let (sockets, key, socket) = (self.sockets.clone(), self.sockets.key(self.owner), self.socket);
        // One that could not be given back is free when its time is over.
        self.sockets.lifecycle.spawn("socket_place_given_back", async move {
            let command = cmd("ZREM").arg(key).arg(socket.to_string()).to_owned();
            _ = sockets.redis.within(PATIENCE, sockets.redis.run::<()>(&command)).await;
        });
    }
}
