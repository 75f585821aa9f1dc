//! Who is here: the sockets of this process, the people behind them and the rooms they are in.
//!
//! The library knows which socket is in which room. This knows people: one with three tabs counts once, is reached in all
//! three, and is gone with the last of them.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use domain::{
    ids::{EventId, LoginId, SeatId, UserId},
    principal::Principal,
};
use serde::{Deserialize, Serialize};
use socketioxide::{extract::SocketRef, socket::Sid};

use super::{
    connection::Connection,
    place::{Place, Room},
    visitor::Visitor,
};

/// Most rooms of one socket: a page has at most three, and somebody may follow some events.
const ROOMS_MAX: usize = 16;

/// Everybody who is connected here.
#[derive(Default)]
pub(super) struct Crowd(Mutex<State>);

#[derive(Default)]
struct State {
    sockets: HashMap<Sid, Present>,
    rooms: HashMap<Place, HashSet<Sid>>,
    people: HashMap<UserId, Vec<Sid>>,
    /// Who is in an event's room, and with how many sockets.
    looking: HashMap<EventId, HashMap<UserId, u32>>,
    /// What has changed there since it was last asked: whether each of these is there now.
    changes: HashMap<EventId, HashMap<UserId, bool>>,
    /// Where people are who have moved since it was last asked.
    moved: HashMap<UserId, Moved>,
}

/// How a socket is reached.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) socket: SocketRef,
    pub(super) connection: Arc<Connection>,
}

struct Present {
    /// Tests have nobody to reach.
    line: Option<Line>,
    person: Principal,
    expires_at: Option<DateTime<Utc>>,
    rooms: Vec<Place>,
    selected: Vec<SeatId>,
}

/// Where a person is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whereabouts {
    pub(super) event_id: Option<EventId>,
    pub(super) queue_event_id: Option<EventId>,
    pub(super) seat_event_id: Option<EventId>,
    pub(super) selected: Vec<SeatId>,
}

/// What is to be remembered of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Where they are.
    Here(Whereabouts),
    /// Where they were when their last connection was lost.
    Lost(Whereabouts),
    /// Nothing: they left.
    Left,
}

/// What became of a wish to be in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Yes,
    /// There are as many rooms as one socket may be in.
    Full,
    /// The socket is gone.
    Gone,
}

impl Crowd {
    /// Takes a socket in; returns whether it is its person's first here, and nothing when it has left already.
    pub(super) fn enter(&self, sid: Sid, visitor: &Visitor, line: Option<Line>) -> Option<bool> {
        let mut state = self.state();
        if visitor.has_left() {
            return None;
        }
        let Entry::Vacant(vacant) = state.sockets.entry(sid) else { return Some(false) };
        let person = visitor.person;
        let expires_at = visitor.expires_at;
        vacant.insert(Present { line, person, expires_at, rooms: Vec::new(), selected: Vec::new() });
        let sockets = state.people.entry(person.user_id).or_default();
        sockets.push(sid);
        Some(sockets.len() == 1)
    }

    /// Lets a socket go; `on_purpose` says whether its client meant it to.
    pub(super) fn exit(&self, sid: Sid, visitor: &Visitor, on_purpose: bool) {
        let mut state = self.state();
        visitor.leave();
        let whereabouts = state.whereabouts(sid);
        let Some(present) = state.sockets.remove(&sid) else { return };
        let user_id = present.person.user_id;
        for place in present.rooms {
            state.step_out(place, sid, user_id);
        }
        let Entry::Occupied(mut sockets) = state.people.entry(user_id) else { return };
        sockets.get_mut().retain(|other| *other != sid);
        if sockets.get().is_empty() {
            sockets.remove();
            // Of whoever was nowhere here, another replica may know more.
            if whereabouts != Whereabouts::default() {
                let moved = if on_purpose { Moved::Left } else { Moved::Lost(whereabouts) };
                state.moved.insert(user_id, moved);
            }
        }
    }

    /// Notes that a socket is in a room.
    pub(super) fn join(&self, sid: Sid, place: Place) -> Joined {
        let mut state = self.state();
        let Some(present) = state.sockets.get_mut(&sid) else { return Joined::Gone };
        if present.rooms.contains(&place) {
            return Joined::Yes;
        }
        if present.rooms.len() >= ROOMS_MAX {
            return Joined::Full;
        }
        present.rooms.push(place);
        let user_id = present.person.user_id;
        state.step_in(place, sid, user_id);
        state.note_move(sid, user_id);
        Joined::Yes
    }

    /// Notes that a socket is in a room no more.
    pub(super) fn leave(&self, sid: Sid, place: Place) {
        let mut state = self.state();
        let Some(present) = state.sockets.get_mut(&sid) else { return };
        let before = present.rooms.len();
        present.rooms.retain(|other| *other != place);
        if present.rooms.len() == before {
            return;
        }
        if place.room == Room::Seats {
            present.selected.clear();
        }
        let user_id = present.person.user_id;
        state.step_out(place, sid, user_id);
        state.note_move(sid, user_id);
    }

    /// Notes which seats are marked; returns whether the socket is where seats are chosen.
    pub(super) fn select(&self, sid: Sid, event_id: EventId, seats: &[SeatId]) -> bool {
        let mut state = self.state();
        let Some(present) = state.sockets.get_mut(&sid) else { return false };
        if !present.rooms.contains(&Place::new(Room::Seats, event_id)) {
            return false;
        }
        present.selected = seats.to_vec();
        let user_id = present.person.user_id;
        state.note_move(sid, user_id);
        true
    }

    /// Returns how everybody in a room is reached, but for one.
    pub(super) fn lines_in(&self, place: Place, but: Option<Sid>) -> Vec<Line> {
        let state = self.state();
        let room = state.rooms.get(&place).into_iter().flatten().filter(|sid| Some(**sid) != but);
        room.filter_map(|sid| state.line(sid)).collect()
    }

    /// Returns how everybody is reached.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.state().sockets.values().filter_map(|one| one.line.clone()).collect()
    }

    /// Returns how a person is reached.
    pub(super) fn lines_of(&self, user_id: UserId) -> Vec<Line> {
        let state = self.state();
        state.people.get(&user_id).into_iter().flatten().filter_map(|sid| state.line(sid)).collect()
    }

    /// Returns how many sockets a person has.
    pub(super) fn sockets_of(&self, user_id: UserId) -> usize {
        self.state().people.get(&user_id).map_or(0, Vec::len)
    }

    /// Returns the sockets of logins that `has_ended`.
    pub(super) fn of_logins(&self, has_ended: impl Fn(LoginId) -> bool) -> Vec<Sid> {
        let state = self.state();
        state.sockets.iter().filter(|(_, one)| has_ended(one.person.login_id)).map(|(sid, _)| *sid).collect()
    }

    /// Returns the sockets whose tokens have ended.
    pub(super) fn expired(&self, now: DateTime<Utc>) -> Vec<Sid> {
        let state = self.state();
        let has_expired = |one: &Present| one.expires_at.is_some_and(|at| at <= now);
        state.sockets.iter().filter(|(_, one)| has_expired(one)).map(|(sid, _)| *sid).collect()
    }

    /// Returns what changed in events' rooms since this was last asked.
    pub(super) fn take_changes(&self) -> HashMap<EventId, HashMap<UserId, bool>> {
        std::mem::take(&mut self.state().changes)
    }

    /// Returns whether something has changed in an event's room that nobody has asked about yet.
    pub(super) fn has_changes(&self, event_id: EventId) -> bool {
        self.state().changes.contains_key(&event_id)
    }

    /// Returns everybody in an event's room.
    pub(super) fn looking_at(&self, event_id: EventId) -> Vec<UserId> {
        self.state().looking.get(&event_id).map(|people| people.keys().copied().collect()).unwrap_or_default()
    }

    /// Returns how many people are in an event's room.
    pub(super) fn count(&self, event_id: EventId) -> usize {
        self.state().looking.get(&event_id).map_or(0, HashMap::len)
    }

    /// Returns who has moved since this was last asked.
    pub(super) fn take_moved(&self) -> HashMap<UserId, Moved> {
        std::mem::take(&mut self.state().moved)
    }

    /// Takes what is not yet remembered elsewhere of a person.
    pub(super) fn take_moved_of(&self, user_id: UserId) -> Option<Moved> {
        self.state().moved.remove(&user_id)
    }

    /// Has everybody's whereabouts remembered again.
    pub(super) fn note_all(&self) {
        let mut state = self.state();
        let all: Vec<_> = state.sockets.iter().map(|(sid, one)| (*sid, one.person.user_id)).collect();
        for (sid, user_id) in all {
            if state.sockets.get(&sid).is_some_and(|one| !one.rooms.is_empty()) {
                state.note_move(sid, user_id);
            }
        }
    }

    /// Returns everybody who is in a room of an event, event by event.
    pub(super) fn by_event(&self) -> HashMap<EventId, Vec<UserId>> {
        let mut by_event: HashMap<EventId, HashSet<UserId>> = HashMap::new();
        for one in self.state().sockets.values() {
            for place in &one.rooms {
                by_event.entry(place.event_id).or_default().insert(one.person.user_id);
            }
        }
        by_event.into_iter().map(|(event_id, people)| (event_id, people.into_iter().collect())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn line(&self, sid: &Sid) -> Option<Line> {
        self.sockets.get(sid)?.line.clone()
    }

    fn step_in(&mut self, place: Place, sid: Sid, user_id: UserId) {
        self.rooms.entry(place).or_default().insert(sid);
        if place.room != Room::Event {
            return;
        }
        let sockets = self.looking.entry(place.event_id).or_default().entry(user_id).or_default();
        *sockets += 1;
        if *sockets == 1 {
            self.changes.entry(place.event_id).or_default().insert(user_id, true);
        }
    }

    fn step_out(&mut self, place: Place, sid: Sid, user_id: UserId) {
        if let Entry::Occupied(mut room) = self.rooms.entry(place) {
            room.get_mut().remove(&sid);
            if room.get().is_empty() {
                room.remove();
            }
        }
        if place.room != Room::Event {
            return;
        }
        let Entry::Occupied(mut people) = self.looking.entry(place.event_id) else { return };
        let Entry::Occupied(mut sockets) = people.get_mut().entry(user_id) else { return };
        *sockets.get_mut() = sockets.get().saturating_sub(1);
        if *sockets.get() == 0 {
            sockets.remove();
            self.changes.entry(place.event_id).or_default().insert(user_id, false);
        }
        if people.get().is_empty() {
            people.remove();
        }
    }

    fn note_move(&mut self, sid: Sid, user_id: UserId) {
        let whereabouts = self.whereabouts(sid);
        self.moved.insert(user_id, Moved::Here(whereabouts));
    }

    /// Where a socket is: of several rooms of a kind the one it joined last.
    fn whereabouts(&self, sid: Sid) -> Whereabouts {
        let Some(present) = self.sockets.get(&sid) else { return Whereabouts::default() };
        let last = |room| present.rooms.iter().rev().find(|place| place.room == room).map(|place| place.event_id);
        Whereabouts {
            event_id: last(Room::Event),
            queue_event_id: last(Room::Queue),
            seat_event_id: last(Room::Seats),
            selected: present.selected.clone(),
        }
    }
}

impl Whereabouts {
    /// Returns the rooms.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let one = |room, event_id: Option<EventId>| event_id.map(|event_id| Place::new(room, event_id));
        [one(Room::Event, self.event_id), one(Room::Queue, self.queue_event_id), one(Room::Seats, self.seat_event_id)]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests;
