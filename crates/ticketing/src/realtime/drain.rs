//! The end: everybody is sent elsewhere, and not all at once.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};

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
    in_waves(&all, spread, |connection| _ = connection.close()).await;
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

/// Does something to each of many, some at a time, so that all are through after about `spread`. A process that was held
/// up makes up for nothing: whoever was late would meet everybody else.
async fn in_waves<T>(all: &[T], spread: Duration, each: impl Fn(&T)) {
    let waves = usize::try_from(spread.as_millis() / WAVE.as_millis()).unwrap_or_default().max(1);
    let mut turn = interval(WAVE);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for wave in all.chunks(all.len().div_ceil(waves).max(1)) {
        turn.tick().await;
        wave.iter().for_each(&each);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    /// Returns when each of so many is sent away.
    async fn ends(count: usize, spread: Duration, held_up: Duration) -> Vec<Duration> {
        let (begun, ends) = (Instant::now(), RefCell::new(Vec::new()));
        let all: Vec<_> = (0..count).collect();
        let waves = in_waves(&all, spread, |_| ends.borrow_mut().push(begun.elapsed()));
        let mut waves = std::pin::pin!(waves);
        tokio::select! {
            biased;
            () = &mut waves => {}
            () = tokio::time::sleep(WAVE / 2) => {
                tokio::time::advance(held_up).await;
                waves.await;
            }
        }
        ends.take()
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_is_sent_away_one_wave_after_the_other() {
        for (count, spread_ms, last_ms) in [(0, 0, 0), (1, 2, 0), (60, 120, 50), (120, 240, 150), (4_000, 8_000, 7_950)]
        {
            let ends = ends(count, Duration::from_millis(spread_ms), Duration::ZERO).await;
            assert_eq!(ends.len(), count);
            assert!(ends.is_sorted(), "{ends:?}");
            let last = ends.last().copied().unwrap_or_default();
            assert_eq!(last, Duration::from_millis(last_ms), "{count} within {spread_ms} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_held_up_does_not_send_all_the_others_away_at_once() {
        let ends = ends(120, Duration::from_millis(240), Duration::from_secs(2)).await;
        let of_the_last_wave = ends.iter().filter(|end| Some(*end) == ends.last()).count();
        assert_eq!((ends.len(), of_the_last_wave), (120, 30));
    }
}
