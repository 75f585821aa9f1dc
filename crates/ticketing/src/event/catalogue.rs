//! Which kept answers a change makes old.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use actix_web::{HttpResponse, http::header::ContentType};
use bytes::Bytes;
use chassis::problem::{Outcome, Problem};
use chrono::NaiveDate;
use domain::ids::EventId;
use serde::Serialize;
use uuid::Uuid;

use super::{
    cache::{Mark, Seen, Shelf},
    list::Search,
};
use crate::notice::Notice;

/// Lists that are kept, and the largest of them, bytes: 32 MiB at most. A page of ten events has some 10 kB.
const LISTS: (usize, usize) = (128, 256 * 1024);
/// Answers about single events that are kept, and the largest of them, bytes: 32 MiB at most.
const SINGLE: (usize, usize) = (1_024, 32 * 1024);
/// What is left of single ticket types: some hundred bytes each.
const AVAILABILITY: (usize, usize) = (4_096, 256);
/// Dashboards that are kept, and the largest of them, bytes: 2 MiB at most.
const DASHBOARDS: (usize, usize) = (64, 32 * 1024);
/// Marks that events and ticket types share by their hash: two on one mark are read again a little more often.
const MARKS: usize = 1_024;

/// The kept answers of this process; clones share them.
#[derive(Clone)]
pub struct Catalogue(Arc<Shelves>);

struct Shelves {
    lists: Shelf<Search>,
    details: Shelf<Uuid>,
    offers: Shelf<Uuid>,
    availability: Shelf<Uuid>,
    dashboards: Shelf<(Option<Uuid>, NaiveDate)>,
    any_event: Mark,
    /// Marks of lists; beside the events' own, because most moves of the stock change no list.
    list: Mark,
    single: Vec<Mark>,
    hasher: RandomState,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::new()
    }
}

impl Catalogue {
    /// Starts with nothing kept.
    pub fn new() -> Self {
        Self(Arc::new(Shelves {
            lists: Shelf::new(LISTS.0, LISTS.1),
            details: Shelf::new(SINGLE.0, SINGLE.1),
            offers: Shelf::new(SINGLE.0, SINGLE.1),
            availability: Shelf::new(AVAILABILITY.0, AVAILABILITY.1),
            dashboards: Shelf::new(DASHBOARDS.0, DASHBOARDS.1),
            any_event: Mark::default(),
            list: Mark::default(),
            single: (0..MARKS).map(|_| Mark::default()).collect(),
            hasher: RandomState::new(),
        }))
    }

    /// Hears what another replica, or this one, has written.
    pub fn hear(&self, notice: &Notice) {
        match notice {
            Notice::Event { event_id } => self.forget(*event_id),
            Notice::Tickets { event_id, ticket_type_id, available_quantity, .. } => {
                self.0.mark(event_id.0).inspect(|mark| mark.shift());
                self.0.mark(ticket_type_id.0).inspect(|mark| mark.shift());
                // A list shows no quantity; only the last one sold, or the first one back, can change what it says.
                if *available_quantity <= 1 {
                    self.0.list.shift();
                }
            }
            // Seats are read afresh each time; a list hears of the last one within the life of an answer.
            _ => {}
        }
    }

    /// Forgets what is kept about an event: it was changed, or is gone.
    pub fn forget(&self, event_id: EventId) {
        self.0.mark(event_id.0).inspect(|mark| mark.change());
        // Which types an event has is not known here; events are changed seldom.
        self.0.any_event.change();
        self.0.list.change();
    }

    /// Forgets everything: changes may have been missed.
    pub fn forget_all(&self) {
        self.0.single.iter().for_each(Mark::change);
        self.0.any_event.change();
        self.0.list.change();
    }

    /// Returns a page of events.
    pub(super) async fn list(&self, search: Search, read: impl AsyncFnOnce() -> Outcome<Bytes>) -> Outcome<Bytes> {
        self.0.lists.get(search, || self.0.list.seen(), read).await
    }

    /// Returns an event with its ticket types.
    pub(super) async fn detail(&self, event: EventId, read: impl AsyncFnOnce() -> Outcome<Bytes>) -> Outcome<Bytes> {
        self.0.details.get(event.0, || self.0.seen(event.0), read).await
    }

    /// Returns an event's ticket types.
    pub(crate) async fn offers(&self, event: EventId, read: impl AsyncFnOnce() -> Outcome<Bytes>) -> Outcome<Bytes> {
        self.0.offers.get(event.0, || self.0.seen(event.0), read).await
    }

    /// Returns what is left of a ticket type.
    pub(crate) async fn availability(&self, id: Uuid, read: impl AsyncFnOnce() -> Outcome<Bytes>) -> Outcome<Bytes> {
        self.0.availability.get(id, || self.0.seen(id).with(self.0.any_event.seen()), read).await
    }

    /// Returns how things stand on a day with an organizer's events, or with everybody's: the one answer that costs more
    /// the more was ever sold.
    pub(crate) async fn dashboard(
        &self,
        organizer: Option<Uuid>,
        day: NaiveDate,
        read: impl AsyncFnOnce() -> Outcome<Bytes>,
    ) -> Outcome<Bytes> {
        self.0.dashboards.get((organizer, day), || self.0.any_event.seen(), read).await
    }
}

impl Shelves {
    fn mark(&self, id: Uuid) -> Option<&Mark> {
        let hash = usize::try_from(self.hasher.hash_one(id) % (MARKS as u64)).unwrap_or_default();
        self.single.get(hash)
    }

    fn seen(&self, id: Uuid) -> Seen {
        self.mark(id).map(Mark::seen).unwrap_or_default()
    }
}

/// Writes an answer once for all who get it.
pub(crate) fn written(view: &impl Serialize) -> Outcome<Bytes> {
    serde_json::to_vec(view).map(Bytes::from).map_err(Problem::unexpected)
}

/// Sends a kept answer.
pub(crate) fn sent(answer: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(answer)
}
