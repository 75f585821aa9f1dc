//! Waiting rooms for who runs the event: how one stands, how it is run, and emptying it.

pub mod change;
pub mod clear;
pub mod show;

use std::sync::Arc;

use chassis::problem::Outcome;
use domain::{
    ids::EventId,
    principal::{Principal, Role},
    seat_hold::EVENT_NOT_FOUND,
    waiting_room::settings::Mode,
};

use super::{room::Room, rooms::WaitingRooms, script::Numbers, store::Facts, view::RoomView};
use crate::app::App;

/// Returns the room of an event that this person runs.
///
/// # Errors
/// 404 for an unknown event and for somebody else's.
async fn own_room(app: &App, person: Principal, event_id: EventId) -> Outcome<(Arc<Room>, Facts)> {
    let (room, facts) = app.queue.event(event_id).await?;
    if person.role < Role::Admin && facts.organizer_id != person.user_id.0 {
        return Err(EVENT_NOT_FOUND.into());
    }
    Ok((room, facts))
}

/// Describes a room. A room that needs no Redis is described without it.
async fn describe(
    rooms: &WaitingRooms,
    room: &Room,
    settings: domain::waiting_room::settings::Settings,
) -> Outcome<RoomView> {
    let numbers = match rooms.numbers(room).await {
        Ok(numbers) => numbers,
        Err(_) if settings.mode == Mode::Off => Numbers::default(),
        Err(problem) => return Err(problem),
    };
    let threshold = i64::from(settings.threshold);
    Ok(RoomView {
        event_id: room.event_id,
        queue_size: numbers.waiting,
        current_users: numbers.active,
        threshold,
        available: (threshold - numbers.active).max(0),
        mode: settings.mode,
        rate_per_second: settings.rate_per_second,
        paused: settings.paused,
        opens_at: settings.opens_at.map(Into::into),
        measured_rate: room.memory().pace.measured().map(|measured| measured.per_second),
        incarnation: numbers.incarnation,
    })
}
