//! What other replicas are told of the replies that are written here.
//!
//! Each reply is a stream in Redis, `emo:step:<step>:<try>`, with the place of a piece as the id of an entry: the same
//! piece cannot be there twice, and a reader goes on from any place. What is written is gathered for a moment and sent
//! together, so a thousand replies cost a handful of packets. Entries are sealed with the person's key. Without Redis
//! nobody elsewhere can look on; the reply is written and kept all the same, and what was not told is told afterwards.

use std::time::Duration;

use chassis::{
    lifecycle::Lifecycle,
    problem::{Outcome, Problem},
    redis::Redis,
};
use deadpool_redis::redis::{Cmd, Pipeline, Value, cmd, pipe};
use domain::ids::StepId;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    live::{Live, Replies},
    progress::{About, Begun, End},
};
use crate::vault::Column;

/// How long pieces are gathered, and by how much longer for each reply that grows: a thousand of them would be twenty
/// thousand entries a second otherwise, for viewers elsewhere, of whom there are few.
const GATHER: Duration = Duration::from_millis(50);
const GATHER_EACH: Duration = Duration::from_micros(200);
const GATHER_MAX: Duration = Duration::from_millis(250);
/// Pause while Redis is away.
const AWAY_PAUSE: Duration = Duration::from_secs(1);
/// Commands of one packet.
const TOGETHER: usize = 256;
/// How long a reply can be read after its end; afterwards it is read from the database.
const KEPT: Duration = Duration::from_mins(15);
/// How long a stream lives whose writer is gone: the longest reply and what is kept of it.
const KEPT_UNFINISHED: Duration = Duration::from_mins(20);
/// Id of the entry that ends a stream, behind every piece.
const END_ID: &str = "1-0";
/// The one field of an entry.
const FIELD: &str = "e";
/// How long a viewer elsewhere counts after it was last heard of.
const VIEWER_KEPT: Duration = Duration::from_secs(15);
/// Most entries that are read at once.
const READ_MAX: usize = 256;

/// One entry of a stream.
#[derive(Serialize, Deserialize)]
pub(super) struct Told {
    /// The place of the first piece, from 1.
    pub(super) first: u32,
    /// The pieces.
    pub(super) pieces: Vec<String>,
    /// What is known beside the text: with the first piece, and at the end.
    pub(super) about: Option<About>,
    /// How it ended, in the last entry.
    pub(super) end: Option<End>,
}

fn key(redis: &Redis, step: StepId, attempt: i32) -> String {
    redis.key(format_args!("emo:step:{step}:{attempt}"))
}

fn viewers_key(redis: &Redis, step: StepId) -> String {
    redis.key(format_args!("emo:viewers:{step}"))
}

/// Starts the loop that tells what is written here.
pub(super) fn tell(lifecycle: &Lifecycle, redis: Redis, replies: Replies) {
    lifecycle.spawn_loop("reply_relay", move |stop| {
        let (redis, replies) = (redis.clone(), replies.clone());
        async move {
            while stop.run_until_cancelled(replies.woken()).await.is_some() {
                let growing = u32::try_from(replies.count()).unwrap_or(u32::MAX);
                sleep((GATHER + GATHER_EACH.saturating_mul(growing)).min(GATHER_MAX)).await;
                if let Err(problem) = tell_all(&redis, &replies).await {
                    tracing::debug!(code = problem.code(), "other replicas are not told of replies");
                    sleep(AWAY_PAUSE).await;
                    replies.wake();
                }
            }
        }
    });
}

async fn tell_all(redis: &Redis, replies: &Replies) -> Outcome<()> {
    for some in replies.untold().chunks(TOGETHER) {
        let mut entries = lenient();
        let mut told = Vec::with_capacity(some.len());
        for live in some {
            if let Some((command, pieces)) = pieces_of(redis, live)? {
                entries.add_command(command).ignore();
                if live.told() == 0 {
                    let key = key(redis, live.step.id, live.step.attempt);
                    entries.cmd("EXPIRE").arg(key).arg(KEPT_UNFINISHED.as_secs()).ignore();
                }
                told.push((live, pieces));
            }
        }
        let mut conn = redis.conn().await?;
        entries.exec_async(&mut conn).await?;
        for (live, pieces) in told {
            live.has_told(pieces);
        }
    }
    Ok(())
}

/// A packet of which a command may fail alone: an entry that is there already is refused, and that is well.
fn lenient() -> Pipeline {
    let mut commands = pipe();
    commands.ignore_errors();
    commands
}

/// Writes the entry of what was not told yet of a reply, and returns how many pieces are told with it.
fn pieces_of(redis: &Redis, live: &Live) -> Outcome<Option<(Cmd, u32)>> {
    let told = live.told();
    let (entry, pieces) = {
        let progress = live.progress.borrow();
        let pieces: Vec<_> = progress.after(told).into_iter().map(ToOwned::to_owned).collect();
        let about = (told == 0).then(|| progress.known().as_ref().clone());
        (Told { first: told + 1, pieces, about, end: None }, progress.pieces())
    };
    if entry.pieces.is_empty() {
        return Ok(None);
    }
    Ok(Some((entry_command(redis, live, &format!("0-{pieces}"), &entry)?, pieces)))
}

fn entry_command(redis: &Redis, live: &Live, id: &str, entry: &Told) -> Outcome<Cmd> {
    let sealed = live.vault.seal_json(live.step.id.0, Column::ReplyPieces, entry)?;
    let mut command = cmd("XADD");
    command.arg(key(redis, live.step.id, live.step.attempt)).arg(id).arg(FIELD).arg(sealed);
    Ok(command)
}

/// Tells the end of a reply, with whatever was not told before.
pub(super) async fn tell_end(redis: &Redis, live: &Live, end: End) -> Outcome<()> {
    let mut entries = lenient();
    let rest = pieces_of(redis, live)?;
    let pieces = rest.as_ref().map(|(_, pieces)| *pieces);
    if let Some((command, _)) = rest {
        entries.add_command(command).ignore();
    }
    let about = Some(live.progress.borrow().known().as_ref().clone());
    let first = live.progress.borrow().pieces() + 1;
    let last = Told { first, pieces: Vec::new(), about, end: Some(end) };
    entries.add_command(entry_command(redis, live, END_ID, &last)?).ignore();
    entries.cmd("EXPIRE").arg(key(redis, live.step.id, live.step.attempt)).arg(KEPT.as_secs()).ignore();
    let mut conn = redis.conn().await?;
    entries.exec_async(&mut conn).await?;
    if let Some(pieces) = pieces {
        live.has_told(pieces);
    }
    Ok(())
}

/// Reads what is told of a reply after its first `seen` pieces.
pub(super) async fn read(redis: &Redis, live: &Live, seen: u32) -> Outcome<Vec<Told>> {
    let mut command = cmd("XRANGE");
    command.arg(key(redis, live.step.id, live.step.attempt)).arg(format!("(0-{seen}")).arg("+");
    command.arg("COUNT").arg(READ_MAX);
    let entries: Vec<(String, Vec<Value>)> = redis.run(&command).await?;
    let sealed = entries.into_iter().filter_map(|(_id, fields)| fields.into_iter().nth(1));
    sealed
        .map(|value| match value {
            Value::BulkString(sealed) => live.vault.open_json(live.step.id.0, Column::ReplyPieces, &sealed),
            _ => Err(Problem::unexpected("an entry of a reply is of another shape")),
        })
        .collect()
}

/// Says that somebody here looks at a reply that is written elsewhere.
pub(super) async fn look(redis: &Redis, step: StepId) -> Outcome<()> {
    let mut command = cmd("SET");
    redis.run(command.arg(viewers_key(redis, step)).arg(1).arg("EX").arg(VIEWER_KEPT.as_secs())).await
}

/// Returns whether somebody elsewhere looks at a reply.
pub(super) async fn is_looked_at(redis: &Redis, step: &Begun) -> Outcome<bool> {
    redis.run(cmd("EXISTS").arg(viewers_key(redis, step.id))).await
}
