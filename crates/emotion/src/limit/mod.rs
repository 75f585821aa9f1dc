//! How much of the companion one person may have.
//!
//! What costs money, the tokens of a day, is counted in PostgreSQL, in the transaction that writes the message. What
//! only keeps the peace (messages of a minute, open sockets) is counted in Redis, and by each process alone while Redis
//! is away. Whoever is in danger is never refused: their message is answered by rules when a limit would refuse it.

mod budget;
mod config;
mod sockets;

use std::{sync::Arc, time::Duration};

use chassis::{
    lifecycle::Lifecycle,
    limit::Shared,
    problem::{Outcome, Problem},
    redis::Redis,
};
use domain::{
    fault::{Fault, Kind},
    ids::UserId,
    rate::Rate,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use budget::{PROMPT_RESERVE, Reserved, erase, forget_old_days, has_any, list_days, reserve, settle, spend, used};
pub use config::LimitConfig;
pub use sockets::SocketPlace;

use sockets::Sockets;

/// Too many messages in a minute.
pub const TOO_MANY_MESSAGES: Fault = Fault::new(
    Kind::TooMany,
    "too_many_messages",
    "메시지를 너무 빨리 보내고 있어요. 잠시 뒤에 다시 보내 주세요.",
    "You are sending messages too fast. Please wait a moment.",
);
/// Too many sockets at once.
pub const TOO_MANY_SOCKETS: Fault = Fault::new(
    Kind::TooMany,
    "too_many_sockets",
    "동시에 열 수 있는 대화 연결 수를 넘었습니다.",
    "You have too many conversations open at once.",
);
/// Too many replies at once.
pub const TOO_MANY_REPLIES: Fault = Fault::new(
    Kind::TooMany,
    "too_many_replies",
    "다른 대화의 답을 쓰고 있어요. 답이 끝난 뒤에 보내 주세요.",
    "Other replies to you are still being written. Please wait for one to end.",
);
/// The day's tokens are used up.
pub const DAILY_LIMIT: Fault = Fault::new(
    Kind::TooMany,
    "daily_limit",
    "오늘 나눌 수 있는 대화의 양을 모두 사용했어요. 내일 다시 이야기해요.",
    "You have used up what can be talked about today. Let us talk again tomorrow.",
);
/// This process writes as many replies as it can.
pub const OVERLOADED: Fault = Fault::new(
    Kind::Unavailable,
    "overloaded",
    "지금 대화하는 사람이 많아요. 잠시 뒤에 다시 시도해 주세요.",
    "Many people are talking right now. Please try again in a moment.",
);

/// Seconds after which another reply may have ended.
const REPLY_PAUSE: u32 = 2;

/// Judges who may open a socket, say something, and be answered; clones share the counts.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    config: LimitConfig,
    messages: Shared,
    sockets: Sockets,
    replies: Arc<Semaphore>,
}

/// A place among the replies that this process writes; it is free again when this is dropped.
#[derive(Debug)]
pub struct ReplyPlace(#[expect(dead_code, reason = "held, and given back by its drop")] OwnedSemaphorePermit);

impl Limits {
    /// Counts in `redis`.
    pub fn new(config: LimitConfig, redis: Redis, lifecycle: Lifecycle) -> Self {
        let inner = Inner {
            config,
            messages: Shared::new(redis.clone()),
            sockets: Sockets::new(redis, config.sockets_per_user, lifecycle),
            replies: Arc::new(Semaphore::new(config.replies_per_instance)),
        };
        Self(Arc::new(inner))
    }

    /// Starts the loop that keeps the places of open sockets.
    pub fn keep_places(&self) {
        self.0.sockets.keep();
    }

    /// Returns the limits.
    pub fn config(&self) -> &LimitConfig {
        &self.0.config
    }

    /// Counts a message of a person.
    ///
    /// # Errors
    /// [`TOO_MANY_MESSAGES`] with the time until the next one may come.
    pub async fn admit_message(&self, owner: UserId) -> Outcome<()> {
        let rate = Rate::per(self.0.config.messages_per_minute, Duration::from_mins(1));
        let decision = self.0.messages.take(&format!("emotion-message:{owner}"), rate).await;
        if decision.is_allowed {
            return Ok(());
        }
        Err(Problem::from(TOO_MANY_MESSAGES).retry_after(whole_seconds(decision.retry_after)))
    }

    /// Takes a place among a person's open sockets.
    ///
    /// # Errors
    /// [`TOO_MANY_SOCKETS`] when all are taken.
    pub async fn open_socket(&self, owner: UserId) -> Outcome<SocketPlace> {
        self.0.sockets.take(owner).await
    }

    /// Takes a place among the replies that this process writes.
    ///
    /// # Errors
    /// [`OVERLOADED`] when all are taken: whoever waits here would wait for strangers.
    pub fn begin_reply(&self) -> Outcome<ReplyPlace> {
        let permit = self.0.replies.clone().try_acquire_owned();
        permit.map(ReplyPlace).map_err(|_full| Problem::from(OVERLOADED).retry_after(REPLY_PAUSE))
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}
