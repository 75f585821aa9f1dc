//! Tells every gateway that a login was ended.

use async_trait::async_trait;
use chassis::{
    outbox::{Deliver, Message},
    problem::Outcome,
    redis::Redis,
};

/// Publishes the outbox's messages on the Redis channel of the same name.
pub struct RevocationNotices {
    redis: Redis,
}

impl RevocationNotices {
    /// Publishes through `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl Deliver for RevocationNotices {
    async fn deliver(&self, message: &Message) -> Outcome<()> {
        self.redis.publish(&message.topic, &message.payload.to_string()).await
    }
}
