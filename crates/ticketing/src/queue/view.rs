//! What people are told about their place in line.

use domain::{
    ids::{EventId, UserId},
    locale::Locale,
    waiting_room::{
        Standing,
        chance::{chance, notice},
        estimate::{Delay, Estimate, estimate},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    room::{Room, Seen},
    rooms::WaitingRooms,
    store::Facts,
};

/// Where somebody stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlaceView {
    /// Whether they wait.
    queued: bool,
    /// `queued`, `active` (let in) or `not_in_queue`.
    status: Standing,
    /// From 1; 0 for who does not wait.
    position: i64,
    /// How many wait.
    queue_size: i64,
    /// Seconds; 0 for who does not wait.
    estimated_wait: u64,
    /// How many are inside.
    current_users: i64,
    /// How many may be inside at once.
    threshold: i64,
    /// The wait as an interval, for who waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<EstimateView>,
    /// How likely it is that anything is left, when that is in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    chance: Option<ChanceView>,
    /// Brings the place back if the line is lost: send it as `X-Queue-Ticket` or `queueTicket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_ticket: Option<String>,
    event_info: EventInfoView,
}

/// A wait as an interval: nine in ten wait at least `low` and nine in ten at most `high`.
#[derive(Debug, Serialize, ToSchema)]
pub struct EstimateView {
    /// Seconds.
    low: u64,
    /// Seconds; absent while nobody can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<u64>,
    /// Why it is longer than one would think.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Delay>,
    /// The reason, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// A chance that is less than even.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChanceView {
    /// 0-100.
    percent: u8,
    /// The same, for people.
    message: String,
}

/// What is waited for.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventInfoView {
    title: String,
    artist: Option<String>,
}

impl EstimateView {
    fn new(estimate: Estimate, locale: Locale) -> Self {
        let Estimate { low, high, reason, .. } = estimate;
        Self { low, high, reason, message: reason.map(|reason| reason.text().in_locale(locale)) }
    }
}

impl PlaceView {
    /// Describes where somebody stands.
    pub(super) fn new(
        rooms: &WaitingRooms,
        room: &Room,
        facts: Facts,
        user: UserId,
        seen: &Seen,
        locale: Locale,
    ) -> Self {
        let numbers = seen.numbers;
        let queued = seen.standing == Standing::Queued;
        let (wait, chance) = if queued {
            let memory = room.memory();
            let wait = estimate(seen.position, memory.pace.measured(), memory.conditions(&numbers));
            let ahead = seen.position - 1 + numbers.active;
            (Some(wait), memory.stock.and_then(|stock| chance(stock, ahead)))
        } else {
            (None, None)
        };
        Self {
            queued,
            status: seen.standing,
            position: seen.position,
            queue_size: numbers.waiting,
            estimated_wait: wait.map_or(0, |wait| wait.seconds),
            current_users: numbers.active,
            threshold: numbers.threshold,
            estimate: wait.map(|wait| EstimateView::new(wait, locale)),
            chance: chance.map(|percent| ChanceView { percent, message: notice(percent, locale) }),
            queue_ticket: rooms.write_ticket(room.event_id, user, seen),
            event_info: EventInfoView { title: facts.title, artist: facts.artist_name },
        }
    }

    /// Describes an event that needs no admission: everybody is in.
    pub(super) fn everybody(facts: Facts) -> Self {
        Self {
            queued: false,
            status: Standing::Active,
            position: 0,
            queue_size: 0,
            estimated_wait: 0,
            current_users: 0,
            threshold: facts.settings.threshold.into(),
            estimate: None,
            chance: None,
            queue_ticket: None,
            event_info: EventInfoView { title: facts.title, artist: facts.artist_name },
        }
    }
}

/// How a waiting room stands, for who runs the event.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomView {
    #[serde(rename = "eventId")]
    pub(super) event_id: EventId,
    /// How many wait.
    #[serde(rename = "queueSize")]
    pub(super) queue_size: i64,
    /// How many are inside.
    #[serde(rename = "currentUsers")]
    pub(super) current_users: i64,
    /// How many may be inside at once.
    pub(super) threshold: i64,
    /// How many more may come in.
    pub(super) available: i64,
    pub(super) mode: domain::waiting_room::settings::Mode,
    pub(super) rate_per_second: Option<i32>,
    pub(super) paused: bool,
    /// From when on people are let in; from the start of the sale when nothing is said.
    pub(super) opens_at: Option<domain::time::Instant>,
    /// How many come in within a second, as measured in the last minute.
    #[serde(rename = "measuredRate", skip_serializing_if = "Option::is_none")]
    pub(super) measured_rate: Option<f64>,
    /// How often the order was lost and begun anew.
    pub(super) incarnation: u32,
}
