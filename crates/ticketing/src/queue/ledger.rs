//! What of waiting rooms is written down, by whichever replica holds a line's lease: that it is alive, the next block of
//! numbers, who was let in; and what the database says the other way, about settings that were changed. People are let
//! in without waiting for any of this.

use std::{sync::Arc, time::Duration};

use chassis::{lifecycle::Lifecycle, problem::Outcome};
use diesel_async::AsyncConnection;
use tokio::time::Instant;

use super::{
    log::{self, Writer},
    room::Room,
    rooms::{LineChange, WaitingRooms, is_over},
    script::Tick,
    store::{self, Line, Report},
};

/// How often the loop comes round; people who were let in are in the log after about that time.
const EVERY: Duration = Duration::from_millis(250);
/// How often a line is reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often what is left is counted for those who wait.
const STOCK_EVERY: Duration = Duration::from_secs(5);
/// Changes that are read at once.
const CHANGES: usize = 1_000;
/// Changes that are kept after they were written down, for replicas that have not read them.
const KEPT: i64 = 20_000;

/// Starts the loop.
pub(super) fn start(lifecycle: &Lifecycle, rooms: WaitingRooms) {
    lifecycle.spawn_every("waiting_room_ledger", EVERY, move || keep_all_books(rooms.clone()));
}

async fn keep_all_books(rooms: WaitingRooms) {
    for room in rooms.known() {
        if let Err(problem) = keep_books(&rooms, &room).await {
            tracing::warn!(event_id = %room.event_id, code = problem.code(), "a waiting room is not written down");
        }
    }
}

async fn keep_books(rooms: &WaitingRooms, room: &Arc<Room>) -> Outcome<()> {
    let now = Instant::now();
    let (tick, is_due, needs_stock, is_idle) = {
        let mut memory = room.memory();
        let tick = memory.picture.as_ref().map(|picture| picture.tick.clone());
        let is_due = now >= memory.next_report;
        if is_due {
            memory.next_report = now + REPORT_EVERY;
        }
        let waits = tick.as_ref().is_some_and(|tick| tick.numbers.waiting > 0);
        let needs_stock = waits && now < memory.interest_until && now >= memory.stock_due;
        if needs_stock {
            memory.stock_due = now + STOCK_EVERY;
        }
        (tick, is_due, needs_stock, memory.is_idle(now))
    };
    if needs_stock {
        let stock = store::find_stock(&mut *rooms.0.pg.conn().await?, room.event_id).await?;
        room.memory().stock = stock;
    }
    match tick {
        Some(tick) if tick.leads => {
            write_log(rooms, room, &tick).await?;
            if is_due {
                report(rooms, room, &tick).await?;
            }
        }
        None if is_idle => rooms.drop_room(room.event_id),
        Some(_) | None => {}
    }
    Ok(())
}

/// Writes down who was let in since.
async fn write_log(rooms: &WaitingRooms, room: &Room, tick: &Tick) -> Outcome<()> {
    let incarnation = tick.numbers.incarnation;
    let writer = Writer { event_id: room.event_id, incarnation: store::whole(incarnation)?, fence: tick.fence };
    let known = room.memory().logged.filter(|(of, _)| *of == incarnation).map(|(_, change)| change);
    let mut logged = match known {
        Some(change) => change,
        None => log::last_change(&mut *rooms.0.pg.conn().await?, writer).await?,
    };
    while logged < tick.last_change {
        let (admissions, read) = rooms.0.scripts.admissions(&room.keys, logged, tick.last_change, CHANGES).await?;
        if read == logged {
            break;
        }
        let mut conn = rooms.0.pg.conn().await?;
        if !conn.transaction(async |conn| log::append(conn, writer, &admissions, read).await).await? {
            // Somebody else leads by now, and writes on.
            room.memory().logged = None;
            return Ok(());
        }
        logged = read;
        room.memory().logged = Some((incarnation, logged));
        rooms.0.scripts.trim(&room.keys, logged - KEPT).await?;
    }
    room.memory().logged = Some((incarnation, logged));
    Ok(())
}

/// Reports how the line stands, and tells Redis what the database says.
async fn report(rooms: &WaitingRooms, room: &Room, tick: &Tick) -> Outcome<()> {
    let numbers = tick.numbers;
    let report = Report {
        incarnation: numbers.incarnation,
        fence: tick.fence,
        alive_at_ms: numbers.now_ms,
        waiting: numbers.waiting,
        inside: numbers.active,
        seq: numbers.seq,
        ceiling: tick.ceiling,
        change: tick.last_change,
    };
    let mut conn = rooms.0.pg.conn().await?;
    let Some(line) = store::report(&mut conn, room.event_id, report).await? else {
        let current = store::find(&mut conn, room.event_id).await?;
        drop(conn);
        if is_of_the_past(rooms, room, numbers.incarnation, current.as_ref()).await? {
            tracing::warn!(event_id = %room.event_id, incarnation = numbers.incarnation, "a waiting room begins anew");
            rooms.0.scripts.wipe(&room.keys, numbers.incarnation).await?;
            rooms.unregister(room.event_id).await?;
            room.memory().forget_all();
        }
        return Ok(());
    };
    drop(conn);
    rooms.tell(room, &line).await?;
    rooms.register(room.event_id).await?;
    finish(rooms, room, tick).await
}

/// Returns whether an order that may not be reported is an old one: another has begun since, or it is a copy that Redis
/// brought back and knows less than was reported of it. Numbers that it does not know of were given.
async fn is_of_the_past(rooms: &WaitingRooms, room: &Room, incarnation: u32, line: Option<&Line>) -> Outcome<bool> {
    let Some(line) = line else { return Ok(true) };
    if line.incarnation != store::whole(incarnation)? {
        return Ok(line.incarnation > store::whole(incarnation)?);
    }
    // Looked at after the line, so that whatever this does not know was lost; not leading any more is the other reason.
    let Some(now) = rooms.0.scripts.tick(&room.keys, &rooms.0.holder, false, -1).await? else { return Ok(false) };
    let knows_less = now.fence < line.fence || now.numbers.seq < line.seq || now.last_change < line.log_change;
    Ok(now.leads && now.numbers.incarnation == incarnation && knows_less)
}

/// Sends everybody away when nothing is sold any more, and closes a room that has been empty for long: by then every
/// ticket is older than a place is kept.
async fn finish(rooms: &WaitingRooms, room: &Room, tick: &Tick) -> Outcome<()> {
    let is_empty = tick.numbers.waiting + tick.numbers.active == 0;
    if !is_empty && is_over(&rooms.event(room.event_id).await?.1) {
        rooms.change(room, LineChange::Empty).await?;
    }
    let empty_since = room.memory().empty_since;
    let is_long_empty = is_empty && empty_since.elapsed() > 2 * rooms.0.config.queue_ttl;
    let is_logged = room.memory().logged == Some((tick.numbers.incarnation, tick.last_change));
    if is_long_empty && is_logged && rooms.0.scripts.close(&room.keys, tick.last_change).await? {
        rooms.unregister(room.event_id).await?;
        rooms.drop_room(room.event_id);
    }
    Ok(())
}
