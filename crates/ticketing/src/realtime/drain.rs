//! The end: everybody is sent elsewhere, and not all at once.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{hub::Hub, resume};

/// Longest that sending everybody away takes; under the time that a process has to end.
const LONGEST: Duration = Duration::from_secs(8);
/// How often some are sent away.
const WAVE: Duration = Duration::from_millis(50);
/// Longest to wait for the library to close what is left.
const CLOSE: Duration = Duration::from_secs(2);

/// Waits for the end of this process, and closes all connections in waves: their clients come back, elsewhere, by
/// themselves.
pub(super) async fn run(hub: Hub) {
    hub.lifecycle.stopping().cancelled().await;
    hub.closing.store(true, Ordering::Release);
    let all = hub.connections.all();
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let spread = hub.lifecycle.farewell(count).min(LONGEST);
    let waves = usize::try_from(spread.as_millis() / WAVE.as_millis()).unwrap_or_default().max(1);
    let begun = Instant::now();
    for wave in all.chunks(all.len().div_ceil(waves).max(1)) {
        for connection in wave {
            connection.close();
        }
        if begun.elapsed() < spread {
            sleep(WAVE).await;
        }
    }
    drop(all);
    // Those that poll, and whatever came in between.
    if timeout(CLOSE, hub.io.close()).await.is_err() {
        tracing::warn!("some sockets did not close in time");
    }
    // What is remembered for those who come back elsewhere, and who is no longer counted here.
    _ = timeout(CLOSE, async {
        resume::write(&hub).await;
        let left = hub.counts.leave_all().await?;
        hub.relay.say_now(left).await
    })
    .await;
}
