//! Who keeps a place in a waiting room by being connected.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::hub::Hub;

/// How often those who are connected are said to be: ten times within the 300 s after which a place is lost.
const EVERY: Duration = Duration::from_secs(30);
/// Most people of one call: the room's memory is locked meanwhile.
const AT_ONCE: usize = 1_000;

/// Says who is connected, event by event.
pub(super) async fn run(hub: Hub, stop: CancellationToken) {
    while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
        for (event_id, people) in hub.crowd.by_event() {
            for some in people.chunks(AT_ONCE) {
                hub.waiting.touch(event_id, some);
                tokio::task::yield_now().await;
            }
        }
    }
}
