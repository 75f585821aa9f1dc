//! What clients say and what they are told: names, shapes and refusals.

use domain::{
    fault::{Fault, Kind, common},
    ids::{EventId, ReservationId, SeatId, TicketTypeId, UserId},
    locale::{Locale, Text},
    seat_hold::SeatStatus,
    time::Instant,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::place::{Place, Room};

/// Most seats that one message may name; no reservation has as many.
pub(super) const SEATS_MAX: usize = 50;

/// No event of this name is understood.
pub(super) const UNKNOWN_EVENT: Fault =
    Fault::new(Kind::Malformed, "unknown_event", "알 수 없는 이벤트입니다.", "This event is not understood.");
/// The payload is not what the event takes.
pub(super) const BAD_PAYLOAD: Fault = Fault::new(
    Kind::Malformed,
    "bad_payload",
    "메시지를 읽을 수 없습니다. { eventId } 형식인지 확인해 주세요.",
    "The payload could not be read: it is of the form { eventId }.",
);
/// More seats than any reservation has.
pub(super) const TOO_MANY_SEATS: Fault = Fault::new(
    Kind::Invalid,
    "too_many_seats",
    "한 번에 알릴 수 있는 좌석 수를 넘었습니다.",
    "The message names more seats than it may.",
);
/// A socket may be in so many rooms and no more.
pub(super) const TOO_MANY_ROOMS: Fault = Fault::new(
    Kind::Conflict,
    "too_many_rooms",
    "한 연결로 입장할 수 있는 방의 수를 넘었습니다.",
    "This socket is in as many rooms as it may be.",
);
/// Who chooses seats must be where the others do.
pub(super) const NOT_IN_ROOM: Fault = Fault::new(
    Kind::Conflict,
    "not_in_room",
    "먼저 좌석 선택에 입장해 주세요.",
    "Join the seat selection first (`join-seat-selection`).",
);

/// Somebody was let in.
pub(super) const ADMITTED: Text =
    Text::new("입장이 허용되었습니다. 예매를 진행해 주세요.", "You have been let in. Please go on with your purchase.");
/// Tickets came back, and they are the next of the waiting list.
pub(super) const OFFERED: Text = Text::new(
    "기다리시던 티켓이 나왔습니다. 시간 안에 결제해 주세요.",
    "Tickets you were waiting for are held for you. Please pay in time.",
);
/// The waiting room was emptied.
pub(super) const CLEARED: Text = Text::new(
    "관리자가 대기열을 초기화했습니다. 다시 입장해 주세요.",
    "The waiting room was emptied by an administrator. Please join again.",
);

/// What a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Join(Place),
    Leave(Place),
    Select(EventId, Vec<SeatId>),
}

impl Command {
    /// Reads an event and its payload: `{eventId}`, or the bare id that some clients send.
    pub(super) fn read(event: &str, payload: Option<&Value>) -> Result<Self, Fault> {
        let place = |room| Ok(Place::new(room, event_id(payload)?));
        match event {
            "join-event" => place(Room::Event).map(Self::Join),
            "leave-event" => place(Room::Event).map(Self::Leave),
            "join-queue" => place(Room::Queue).map(Self::Join),
            "leave-queue" => place(Room::Queue).map(Self::Leave),
            "join-seat-selection" => place(Room::Seats).map(Self::Join),
            "leave-seat-selection" => place(Room::Seats).map(Self::Leave),
            "seat-selection-changed" => Ok(Self::Select(event_id(payload)?, seats(payload)?)),
            _ => Err(UNKNOWN_EVENT),
        }
    }

    /// Returns the name under which it is counted.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Join(Place { room: Room::Event, .. }) => "join-event",
            Self::Join(Place { room: Room::Queue, .. }) => "join-queue",
            Self::Join(Place { room: Room::Seats, .. }) => "join-seat-selection",
            Self::Leave(Place { room: Room::Event, .. }) => "leave-event",
            Self::Leave(Place { room: Room::Queue, .. }) => "leave-queue",
            Self::Leave(Place { room: Room::Seats, .. }) => "leave-seat-selection",
            Self::Select(..) => "seat-selection-changed",
        }
    }
}

fn event_id(payload: Option<&Value>) -> Result<EventId, Fault> {
    let text = match payload {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(Value::Object(fields)) => fields.get("eventId").and_then(Value::as_str),
        _ => None,
    };
    text.and_then(|text| text.parse().ok()).ok_or(BAD_PAYLOAD)
}

fn seats(payload: Option<&Value>) -> Result<Vec<SeatId>, Fault> {
    let seats = payload.and_then(|payload| payload.get("seats")).and_then(Value::as_array).ok_or(BAD_PAYLOAD)?;
    if seats.len() > SEATS_MAX {
        return Err(TOO_MANY_SEATS);
    }
    let mut ids = Vec::with_capacity(seats.len());
    for seat in seats {
        let id: SeatId = seat.as_str().and_then(|text| text.parse().ok()).ok_or(BAD_PAYLOAD)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// `room-info`: how many people look at an event, on all replicas; a person with several tabs is one.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomInfo {
    /// The event.
    pub event_id: EventId,
    /// Different people.
    pub user_count: i64,
}

/// `seat-locked`, `seat-selected` and `seat-released`: whose a seat is by now. Nobody is told who it is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatChanged {
    /// The seat.
    pub seat_id: SeatId,
    /// `locked` or `reserved`; `available` when it was released.
    pub status: SeatStatus,
    /// Grows with every change of hands: what has a smaller one than is known is old.
    pub version: i64,
    /// When it became known.
    pub timestamp: Instant,
}

/// `seat-update`: what another person of the room marks and has not reserved.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SeatUpdate<'a> {
    /// The seats, all that this person marks now.
    pub seats: &'a [SeatId],
}

/// `ticket-updated`: the stock of a ticket type.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketUpdated {
    /// The ticket type.
    pub ticket_type_id: TicketTypeId,
    /// Neither sold nor held.
    pub available_quantity: i64,
    /// All of them.
    pub total_quantity: i64,
    /// When it became known.
    pub timestamp: Instant,
    /// Grows with every change: what has a smaller one than is known is old.
    pub version: i64,
}

/// `queue-updated`: the waiting room of an event.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueUpdated {
    /// The event.
    pub event_id: EventId,
    /// People who wait.
    pub queue_size: i64,
    /// When it became known.
    pub timestamp: Instant,
    /// People who are in.
    pub current_users: i64,
    /// How many may be in at once.
    pub threshold: i64,
}

/// `queue-entry-allowed`, to the sockets of whoever was let in and to no others.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryAllowed {
    /// The event.
    pub event_id: EventId,
    /// Who was let in: whoever reads this.
    pub user_id: UserId,
    /// For people.
    pub message: &'static str,
}

/// `tickets-offered`, to the sockets of whoever is next on the waiting list and to no others.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketsOffered {
    /// The event.
    pub event_id: EventId,
    /// What they wait for.
    pub ticket_type_id: TicketTypeId,
    /// The reservation that was made for them, and waits to be paid.
    pub reservation_id: ReservationId,
    /// How many tickets.
    pub quantity: i32,
    /// Until when the tickets are held.
    pub expires_at: Instant,
    /// For people.
    pub message: &'static str,
}

/// `queue-cleared`: everybody must join again.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueCleared {
    /// For people.
    pub message: &'static str,
    /// The event.
    pub event_id: EventId,
}

/// `session-restored`: after a lost connection, which rooms the person is in again without having asked.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRestored {
    /// The event whose room it is, if any.
    pub event_id: Option<EventId>,
    /// The event whose waiting room it is, if any.
    pub queue_event_id: Option<EventId>,
    /// The event whose seats are chosen, if any.
    pub seat_event_id: Option<EventId>,
    /// What was marked there.
    pub selected_seats: Vec<SeatId>,
}

/// `refetch`: notices may have been missed; read the state of the event afresh.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Refetch {
    /// When it was noticed.
    pub timestamp: Instant,
}

/// `error`: what a client said was refused.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Refused<'a> {
    /// Stable, machine-readable.
    pub code: &'static str,
    /// For people, in the language of the handshake.
    pub message: &'static str,
    /// The event that was refused.
    pub event: &'a str,
}

impl<'a> Refused<'a> {
    /// Describes a refusal.
    pub(super) fn new(fault: Fault, event: &'a str, locale: Locale) -> Self {
        // What a client makes up is not repeated at any length.
        let event = event.get(..event.floor_char_boundary(64)).unwrap_or_default();
        Self { code: fault.code, message: fault.detail(locale), event }
    }
}

/// The fault of a message that came too soon after many others.
pub(super) const TOO_MANY: Fault = common::TOO_MANY;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0192d3a0-7c1e-7000-8000-000000000001";

    #[test]
    fn an_event_is_named_by_an_object_or_by_a_bare_id() {
        let place = Place::new(Room::Event, ID.parse().unwrap());
        for payload in [json!(ID), json!({ "eventId": ID }), json!({ "eventId": ID, "more": [1] })] {
            assert_eq!(Command::read("join-event", Some(&payload)), Ok(Command::Join(place)), "{payload}");
        }
        let queue = Place::new(Room::Queue, ID.parse().unwrap());
        assert_eq!(Command::read("leave-queue", Some(&json!(ID))), Ok(Command::Leave(queue)));
    }

    #[test]
    fn what_names_no_event_is_refused() {
        let payloads = [json!(null), json!(1), json!([]), json!({}), json!("x"), json!({ "eventId": 1 }), json!([ID])];
        for payload in &payloads {
            assert_eq!(Command::read("join-event", Some(payload)), Err(BAD_PAYLOAD), "{payload}");
        }
        assert_eq!(Command::read("join-event", None), Err(BAD_PAYLOAD));
        assert_eq!(Command::read("join_event", Some(&json!(ID))), Err(UNKNOWN_EVENT));
    }

    #[test]
    fn seats_are_read_once_each_and_not_too_many() {
        let select =
            |seats: Value| Command::read("seat-selection-changed", Some(&json!({ "eventId": ID, "seats": seats })));
        let event_id = ID.parse().unwrap();
        assert_eq!(select(json!([ID, ID])), Ok(Command::Select(event_id, vec![ID.parse().unwrap()])));
        assert_eq!(select(json!([])), Ok(Command::Select(event_id, Vec::new())));
        assert_eq!(select(json!(vec![ID; SEATS_MAX + 1])), Err(TOO_MANY_SEATS));
        for seats in [json!("x"), json!(["x"]), json!([1]), json!(null)] {
            assert_eq!(select(seats.clone()), Err(BAD_PAYLOAD), "{seats}");
        }
    }

    #[test]
    fn a_long_event_name_is_cut_where_a_letter_ends() {
        let refused = Refused::new(UNKNOWN_EVENT, "x", Locale::En);
        assert_eq!(refused.event, "x");
        assert_eq!(Refused::new(UNKNOWN_EVENT, &"가".repeat(100), Locale::Ko).event, "가".repeat(21));
    }
}
