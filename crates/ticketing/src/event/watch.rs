//! Hearing of changes that other replicas make, so that nobody waits out the life of a kept answer.
//!
//! It reads the stream of notices from where it ends when this process begins. Whatever it misses is seen within the
//! second that an answer lives.

use std::time::Duration;

use chassis::{
    lifecycle::Lifecycle,
    problem::{Outcome, Problem},
    redis::Redis,
};
use deadpool_redis::redis::{cmd, streams::StreamRangeReply, streams::StreamReadReply};

use super::catalogue::Catalogue;
use crate::notice::{FIELD, Notice, STREAM};

/// How long one question waits for the next notice; below the client library's limit of half a second.
const WAIT: Duration = Duration::from_millis(300);
/// Notices of one answer.
const BATCH: usize = 1_000;
/// Pause before Redis is asked again after a failure.
const PAUSE: Duration = Duration::from_millis(250);

/// Starts the loop that passes notices on to `catalogue`.
pub fn start(lifecycle: &Lifecycle, redis: Redis, catalogue: Catalogue) {
    lifecycle.spawn_loop("catalogue_notices", move |stop| {
        let (redis, catalogue) = (redis.clone(), catalogue.clone());
        async move {
            while !stop.is_cancelled() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    problem = follow(&redis, &catalogue) => {
                        tracing::warn!(code = problem.code(), "changes of events are seen late: no notices");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    });
}

/// Passes notices on until Redis fails.
async fn follow(redis: &Redis, catalogue: &Catalogue) -> Problem {
    let mut after = match end(redis).await {
        Ok(id) => id,
        Err(problem) => return problem,
    };
    // What was told before that, while nobody listened, is not known.
    catalogue.forget_all();
    loop {
        let read = match next(redis, &after).await {
            Ok(read) => read,
            Err(problem) => return problem,
        };
        for entry in read.keys.into_iter().flat_map(|key| key.ids) {
            let notice = entry.get::<String>(FIELD).and_then(|text| serde_json::from_str::<Notice>(&text).ok());
            // What another version of this program tells may be unreadable.
            if let Some(notice) = notice {
                catalogue.hear(&notice);
            }
            after = entry.id;
        }
    }
}

/// Returns the id of the last notice.
async fn end(redis: &Redis) -> Outcome<String> {
    let mut last = cmd("XREVRANGE");
    last.arg(redis.key(STREAM)).arg("+").arg("-").arg("COUNT").arg(1);
    let reply: StreamRangeReply = redis.run(&last).await?;
    Ok(reply.ids.into_iter().next().map_or_else(|| "0-0".to_owned(), |entry| entry.id))
}

async fn next(redis: &Redis, after: &str) -> Outcome<StreamReadReply> {
    let mut read = cmd("XREAD");
    let wait = u64::try_from(WAIT.as_millis()).unwrap_or_default();
    read.arg("COUNT").arg(BATCH).arg("BLOCK").arg(wait).arg("STREAMS").arg(redis.key(STREAM)).arg(after);
    Ok(redis.run::<Option<StreamReadReply>>(&read).await?.unwrap_or_default())
}
