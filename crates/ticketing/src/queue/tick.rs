//! The pulse of waiting rooms, in every replica: people are let in by whichever holds the line's lease, and all look how
//! the line stands. The cost in Redis is one step per tick, replica and event, however many wait.

use std::{sync::Arc, time::Duration};

use chassis::{gauges, lifecycle::Lifecycle, problem::Outcome};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    room::Room,
    rooms::WaitingRooms,
    script::{Numbers, TOUCHES, Tick},
};
use crate::notice::Notice;

/// How often a room is looked after in which nobody waits.
const CALM: Duration = Duration::from_secs(1);
/// How often the list of open rooms is read, so that a room outlives the replica that opened it.
const ADOPT_EVERY: Duration = Duration::from_secs(1);
/// Rooms that are looked after at once.
const AT_ONCE: usize = 4;
/// Steps of one tick, most: ten thousand people who went away are passed over within one.
const STEPS: u8 = 8;
/// Calls of one tick that report who was heard of, most.
const REPORTS: u8 = 20;

/// Starts the loop.
pub(super) fn start(lifecycle: &Lifecycle, rooms: WaitingRooms) {
    lifecycle.spawn_loop("waiting_rooms", move |stop| run(rooms.clone(), stop));
}

async fn run(rooms: WaitingRooms, stop: CancellationToken) {
    let pause = Duration::from_millis(rooms.0.config.queue_tick_ms);
    let mut adopt_at = Instant::now();
    while !stop.is_cancelled() {
        let now = Instant::now();
        if now >= adopt_at {
            adopt_at = now + ADOPT_EVERY;
            adopt(&rooms).await;
            tell_sizes(&rooms);
        }
        let due = rooms.known().into_iter().filter(|room| room.memory().next_tick <= now);
        stream::iter(due).for_each_concurrent(AT_ONCE, |room| look_after(&rooms, room, pause)).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Tells as gauges how many wait and how many are inside, over all rooms that this replica looks after.
fn tell_sizes(rooms: &WaitingRooms) {
    let (mut waiting, mut inside) = (0, 0);
    for room in rooms.known() {
        if let Some(Numbers { waiting: queued, active, .. }) = room.memory().picture.as_ref().map(|p| p.tick.numbers) {
            (waiting, inside) = (waiting + queued, inside + active);
        }
    }
    let count = |of: i64| gauges::count(usize::try_from(of).unwrap_or_default());
    metrics::gauge!("queue_people_waiting").set(count(waiting));
    metrics::gauge!("queue_people_inside").set(count(inside));
}

/// Takes rooms up that another replica opened.
async fn adopt(rooms: &WaitingRooms) {
    match rooms.registered().await {
        Ok(open) => {
            for event_id in open {
                rooms.room(event_id);
            }
        }
        Err(problem) => tracing::debug!(code = problem.code(), "the list of waiting rooms cannot be read"),
    }
}

async fn look_after(rooms: &WaitingRooms, room: Arc<Room>, pause: Duration) {
    let now = Instant::now();
    let ticked = match report_touched(rooms, &room).await {
        Ok(()) => tick(rooms, &room).await,
        Err(problem) => Err(problem),
    };
    let mut memory = room.memory();
    match ticked {
        Ok(waiting) => {
            memory.next_tick = now + if waiting > 0 || now < memory.interest_until { pause } else { CALM };
            memory.tidy(now);
        }
        Err(problem) => {
            // What is not known any more is not told either.
            memory.picture = None;
            memory.next_tick = now + pause;
            tracing::warn!(event_id = %room.event_id, code = problem.code(), "a waiting room stands still");
        }
    }
}

/// Reports who was heard of through this replica.
async fn report_touched(rooms: &WaitingRooms, room: &Room) -> Outcome<()> {
    for _ in 0..REPORTS {
        let users = room.memory().take_touched(TOUCHES);
        if users.is_empty() {
            break;
        }
        match rooms.0.scripts.touch(&room.keys, &users).await {
            Ok(Some(gone)) => {
                let mut memory = room.memory();
                for user in gone {
                    memory.forget(user);
                }
            }
            Ok(None) => room.memory().forget_all(),
            Err(problem) => {
                room.memory().put_back(users);
                return Err(problem);
            }
        }
    }
    Ok(())
}

/// Makes one tick; returns how many wait.
pub(super) async fn tick(rooms: &WaitingRooms, room: &Room) -> Outcome<i64> {
    for _ in 0..STEPS {
        let started = Instant::now();
        let (wants, cursor) = {
            let memory = room.memory();
            (started < memory.interest_until, memory.cursor)
        };
        let Some(tick) = rooms.0.scripts.tick(&room.keys, &rooms.0.holder, wants, cursor).await? else {
            room.memory().forget_all();
            return Ok(0);
        };
        let (called, more, waiting) = (tick.called.clone(), tick.more, tick.numbers.waiting);
        let told = {
            let mut memory = room.memory();
            let told = to_tell(&tick, &mut memory.told);
            memory.take_in(tick, started);
            told
        };
        rooms.call(room.event_id, &called).await;
        if let Some((queue_size, current_users, threshold)) = told {
            let event_id = room.event_id;
            rooms.notify(&[Notice::Queue { event_id, queue_size, current_users, threshold }]).await;
        }
        if !more {
            return Ok(waiting);
        }
    }
    Ok(1)
}

/// Returns what is to be told about the line: by the one who leads it, and only when it is different. Who begins to lead
/// tells it in any case, because whoever led before may have lost the line between a change and telling it.
fn to_tell(tick: &Tick, told: &mut Option<(i64, i64, i64)>) -> Option<(i64, i64, i64)> {
    if !tick.leads {
        *told = None;
        return None;
    }
    let now = (tick.numbers.waiting, tick.numbers.active, tick.numbers.threshold);
    if tick.more || *told == Some(now) {
        return None;
    }
    *told = Some(now);
    Some(now)
}
