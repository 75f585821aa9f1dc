//! Reads the stream of notices: every replica on a connection of its own, from where it was.
//!
//! A connection that breaks costs nothing but time, because the stream is read on from the last notice that was seen. Only
//! when that one is no longer there, because the stream was trimmed past it or Redis lost it, something may have been
//! missed: then everybody here is told to read the state afresh.

use std::time::Duration;

use chassis::{
    problem::{Outcome, Problem},
    redis::{Redis, Wire},
};
use chrono::DateTime;
use deadpool_redis::redis::{
    cmd,
    streams::{StreamRangeReply, StreamReadReply},
};
use domain::time::Instant;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    hub::{Hub, tell_all},
    message::Refetch,
};
use crate::notice::{FIELD, Notice, STREAM};

/// How long a read waits for news.
const BLOCK: Duration = Duration::from_secs(5);
/// How much longer an answer may take.
const SLACK: Duration = Duration::from_secs(2);
/// Notices read at once.
const COUNT: usize = 500;
/// Where a stream begins.
const BEGINNING: &str = "0-0";

/// Reads on and on. `from` outlives a restart of the loop.
pub(super) async fn run(hub: Hub, from: std::sync::Arc<tokio::sync::Mutex<Option<String>>>, stop: CancellationToken) {
    let mut from = from.lock().await;
    let mut failing = false;
    while !stop.is_cancelled() {
        let read = read_on(&hub, &mut from, &mut failing);
        tokio::select! {
            () = stop.cancelled() => return,
            outcome = read => if let Err(problem) = outcome {
                if !failing {
                    tracing::warn!(code = problem.code(), "no notices of other replicas; reading on");
                }
                failing = true;
                metrics::counter!("socketio_notice_failures_total").increment(1);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(Redis::resubscribe_pause()) => {}
        }
    }
}

async fn read_on(hub: &Hub, from: &mut Option<String>, failing: &mut bool) -> Outcome<()> {
    let mut conn = hub.redis.dedicated(BLOCK + SLACK).await?;
    let key = hub.redis.key(STREAM);
    match from {
        None => *from = Some(newest(&mut conn, &key).await?),
        Some(last) => mind_gap(hub, &mut conn, &key, last).await?,
    }
    *failing = false;
    let block_ms = u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX);
    loop {
        let last = from.as_deref().unwrap_or(BEGINNING);
        let mut command = cmd("XREAD");
        command.arg("COUNT").arg(COUNT).arg("BLOCK").arg(block_ms).arg("STREAMS").arg(&key).arg(last);
        let answer: Option<StreamReadReply> = command.query_async(&mut conn).await?;
        let entries = answer.into_iter().flat_map(|answer| answer.keys).flat_map(|stream| stream.ids);
        let mut read = 0;
        for entry in entries {
            read += 1;
            if let Some(text) = entry.get::<String>(FIELD) {
                take(hub, &text, &entry.id);
            }
            *from = Some(entry.id);
        }
        if read == COUNT
            && let Some(last) = from
        {
            // Whoever is behind may be overtaken by the trimming.
            mind_gap(hub, &mut conn, &key, last).await?;
        }
    }
}

async fn newest(conn: &mut Wire, key: &str) -> Outcome<String> {
    let mut command = cmd("XREVRANGE");
    let newest: StreamRangeReply =
        command.arg(key).arg("+").arg("-").arg("COUNT").arg(1).query_async(conn).await.map_err(Problem::from)?;
    Ok(newest.ids.into_iter().next().map_or_else(|| BEGINNING.to_owned(), |entry| entry.id))
}

/// Has everybody read afresh when the notice that was seen last is no longer there.
async fn mind_gap(hub: &Hub, conn: &mut Wire, key: &str, last: &mut String) -> Outcome<()> {
    if last == BEGINNING {
        return Ok(());
    }
    let mut command = cmd("XRANGE");
    let there: StreamRangeReply =
        command.arg(key).arg(&*last).arg(&*last).query_async(conn).await.map_err(Problem::from)?;
    if there.ids.is_empty() {
        metrics::counter!("socketio_notice_gaps_total").increment(1);
        // Numbers may have begun anew, if Redis did and its clock was set back.
        *last = newest(conn, key).await?;
        hub.refetch();
    }
    Ok(())
}

fn take(hub: &Hub, text: &str, id: &str) {
    match serde_json::from_str::<Notice>(text) {
        Ok(notice) => hub.deliver(notice, when(hub, id)),
        // Of another version of this service, which runs beside this one for a while.
        Err(error) => {
            tracing::debug!(%error, "a notice cannot be read");
            metrics::counter!("socketio_notices_unread_total").increment(1);
        }
    }
}

/// When a notice became known: its id begins with milliseconds of Redis' clock, the same for all replicas.
fn when(hub: &Hub, id: &str) -> Instant {
    let ms = id.split('-').next().and_then(|ms| ms.parse().ok());
    ms.and_then(DateTime::from_timestamp_millis).unwrap_or_else(|| hub.clock.now()).into()
}

impl Hub {
    /// Tells everybody here that they may have missed something.
    fn refetch(&self) {
        tell_all(&self.crowd.lines(), "refetch", &Refetch { timestamp: self.clock.now().into() });
    }
}
