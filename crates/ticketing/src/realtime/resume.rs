//! Where somebody was, so that a lost connection costs them nothing.
//!
//! While a person is connected Redis remembers which rooms they are in and which seats they marked, and for some minutes
//! after their last connection was lost. Whoever comes back is put into their rooms again and told so.

use std::time::Duration;

use chassis::{problem::Outcome, redis::Redis};
use deadpool_redis::redis::{cmd, pipe};
use domain::ids::UserId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use socketioxide::extract::SocketRef;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    admit,
    crowd::{Moved, Whereabouts},
    hub::{Hub, note_sent},
    message::SessionRestored,
    visitor::Visitor,
};

/// How often what has changed is written.
const EVERY: Duration = Duration::from_millis(250);
/// How long it is remembered of somebody who is gone, seconds; as long as a place in the waiting room.
const LOST_FOR: u64 = 300;
/// How long of somebody who is here, seconds: written again before.
const HERE_FOR: u64 = 1_800;
/// How often it is written again.
const AGAIN: Duration = Duration::from_mins(10);
/// How often this replica says that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// For how long that is believed, seconds.
const ALIVE_FOR: u64 = 15;
/// Longest that whoever comes waits for what is remembered of them.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most people written at once.
const AT_ONCE: usize = 500;

/// What Redis keeps of a person.
#[derive(Serialize, Deserialize)]
struct Remembered {
    #[serde(flatten)]
    whereabouts: Whereabouts,
    /// The replica they are at; nothing once their connection was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
}

/// Writes down where people are, and that this replica lives.
pub(super) async fn run(hub: Hub, stop: CancellationToken) {
    let (mut alive_at, mut all_at) = (None::<Instant>, Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if alive_at.is_none_or(|at| at.elapsed() >= ALIVE_EVERY) {
            alive_at = Some(Instant::now());
            // What is not said is said again.
            _ = say_alive(&hub).await;
        }
        if all_at.elapsed() >= AGAIN {
            all_at = Instant::now();
            hub.crowd.note_all();
        }
        write(&hub).await;
    }
}

/// Writes what has changed. What cannot be written is lost: it is a convenience.
pub(super) async fn write(hub: &Hub) {
    let moved: Vec<_> = hub.crowd.take_moved().into_iter().collect();
    for some in moved.chunks(AT_ONCE) {
        if let Err(problem) = write_some(hub, some).await {
            tracing::debug!(code = problem.code(), "it is not remembered where people are");
            return;
        }
    }
}

async fn say_alive(hub: &Hub) -> Outcome<()> {
    let mut command = cmd("SET");
    hub.redis.run(command.arg(alive(hub, &hub.replica)).arg(1).arg("EX").arg(ALIVE_FOR)).await
}

async fn write_some(hub: &Hub, moved: &[(UserId, Moved)]) -> Outcome<()> {
    let mut commands = pipe();
    for (user_id, moved) in moved {
        let key = key(&hub.redis, *user_id);
        let (whereabouts, at, seconds) = match moved {
            Moved::Here(whereabouts) => (whereabouts, Some(&hub.replica), HERE_FOR),
            Moved::Lost(whereabouts) => (whereabouts, None, LOST_FOR),
            Moved::Left => {
                commands.cmd("DEL").arg(key).ignore();
                continue;
            }
        };
        if *whereabouts == Whereabouts::default() {
            commands.cmd("DEL").arg(key).ignore();
            continue;
        }
        let remembered = Remembered { whereabouts: whereabouts.clone(), at: at.cloned() };
        let text = json!(remembered).to_string();
        commands.cmd("SET").arg(key).arg(text).arg("EX").arg(seconds).ignore();
    }
    let mut conn = hub.redis.conn().await?;
    Ok(commands.query_async(&mut conn).await?)
}

/// Puts somebody who comes back where they were, and tells them.
pub(super) async fn restore(hub: &Hub, socket: &SocketRef, visitor: &Visitor) {
    let remembered = timeout(PATIENCE, recall(hub, visitor.person.user_id)).await;
    let Ok(Ok(Some(whereabouts))) = remembered else { return };
    for place in whereabouts.places() {
        // The event may be gone, or the rooms full of what the client has joined by itself.
        _ = admit::join(hub, socket, place).await;
    }
    if let Some(event_id) = whereabouts.seat_event_id
        && !whereabouts.selected.is_empty()
    {
        hub.crowd.select(socket.id, event_id, &whereabouts.selected);
    }
    let Whereabouts { event_id, queue_event_id, seat_event_id, selected } = whereabouts;
    let restored = SessionRestored { event_id, queue_event_id, seat_event_id, selected_seats: selected };
    note_sent(&socket.emit("session-restored", &restored));
}

/// Returns where somebody was when their last connection was lost, if it was.
async fn recall(hub: &Hub, user_id: UserId) -> Outcome<Option<Whereabouts>> {
    match hub.crowd.take_moved_of(user_id) {
        Some(Moved::Lost(whereabouts)) => return Ok(Some(whereabouts).filter(|known| *known != Whereabouts::default())),
        Some(Moved::Left) => return Ok(None),
        Some(Moved::Here(_)) | None => {}
    }
    let mut command = cmd("GET");
    let text: Option<String> = hub.redis.run(command.arg(key(&hub.redis, user_id))).await?;
    let Some(remembered) = text.and_then(|text| serde_json::from_str::<Remembered>(&text).ok()) else {
        return Ok(None);
    };
    if let Some(replica) = &remembered.at {
        // They are connected elsewhere, unless that replica died. Here they are not: they have just come.
        let mut command = cmd("EXISTS");
        let is_alive = *replica != hub.replica && hub.redis.run(command.arg(alive(hub, replica))).await?;
        if is_alive {
            return Ok(None);
        }
    }
    Ok(Some(remembered.whereabouts))
}

/// Forgets where somebody was.
pub(super) async fn forget(redis: &Redis, user_id: UserId) -> Outcome<()> {
    redis.run(cmd("DEL").arg(key(redis, user_id))).await
}

fn key(redis: &Redis, user_id: UserId) -> String {
    redis.key(format_args!("ticketing:whereabouts:{user_id}"))
}

fn alive(hub: &Hub, replica: &str) -> String {
    hub.redis.key(format_args!("ticketing:replica:{replica}"))
}
