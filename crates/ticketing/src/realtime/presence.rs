//! Who keeps a place in a waiting room by being connected.

use std::time::Duration;

use async_trait::async_trait;
use domain::ids::{EventId, UserId};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;

/// How often those who are connected are said to be: ten times within the 300 s after which a place is lost.
const EVERY: Duration = Duration::from_secs(30);
/// Most people of one call.
const AT_ONCE: usize = 1_000;

/// Hears who is connected.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Hears that these people are in rooms of an event now.
    async fn touch(&self, event_id: EventId, people: &[UserId]);
}

/// Hears nothing: for a service without waiting rooms.
#[derive(Clone, Copy, Debug)]
pub struct Unheard;

#[async_trait]
impl Presence for Unheard {
    async fn touch(&self, _event_id: EventId, _people: &[UserId]) {}
}

/// Says who is connected, event by event.
pub(super) async fn run(hub: Hub, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        for (event_id, people) in hub.crowd.by_event() {
            for some in people.chunks(AT_ONCE) {
                hub.presence.touch(event_id, some).await;
            }
        }
    }
}
