//! Events, seats, reservations, payments, the waiting room and its Socket.IO server.
//!
//! Every path under `/api/v1/` also answers under `/api/`: the [`Router`](super::Router) adds those aliases.

use domain::principal::Service;

use super::{
    Access::{self, Optional, Person},
    Kind, LONG, Methods, Route,
};
use crate::limit::Class;

const fn on(methods: Methods, pattern: &'static str, access: Access) -> Route {
    Route::new(methods, pattern, Service::Ticketing, access)
}

const GET: Methods = Methods::GET;
const POST: Methods = Methods::POST;
const PUT: Methods = Methods::PUT;
const PATCH: Methods = Methods::PATCH;
const DELETE: Methods = Methods::DELETE;

/// Socket.IO's own limit of a polled payload is 100,000 bytes.
const POLL_BODY: u64 = 128 * 1024;

pub(super) const ROUTES: &[Route] = &[
    on(GET, "/api/v1/events", Optional),
    on(GET, "/api/v1/events/{id}", Optional),
    on(GET, "/api/v1/tickets/event/{event_id}", Optional),
    on(GET, "/api/v1/tickets/availability/{ticket_type_id}", Optional),
    on(GET, "/api/v1/seats/layouts", Optional),
    on(GET, "/api/v1/seats/events/{event_id}", Optional),
    on(POST, "/api/v1/seats/reserve", Person).limit(Class::Sale),
    on(POST, "/api/v1/seats/best", Person).limit(Class::Sale),
    on(GET, "/api/v1/seats/reservation/{id}", Person),
    on(POST, "/api/v1/reservations", Person).limit(Class::Sale),
    on(GET, "/api/v1/reservations/my", Person),
    on(GET.and(POST), "/api/v1/reservations/waiting-list", Person),
    on(DELETE, "/api/v1/reservations/waiting-list/{ticket_type_id}", Person),
    on(GET, "/api/v1/reservations/{id}", Person),
    on(POST, "/api/v1/reservations/{id}/cancel", Person),
    on(GET, "/api/v1/reservations/{id}/tickets", Person),
    on(POST, "/api/v1/queue/check/{event_id}", Person).limit(Class::Sale),
    on(GET, "/api/v1/queue/status/{event_id}", Person),
    on(POST, "/api/v1/queue/leave/{event_id}", Person),
    on(POST, "/api/v1/queue/heartbeat/{event_id}", Person),
    on(POST, "/api/v1/queue/defer/{event_id}", Person),
    on(GET, "/api/v1/queue/audit/{event_id}", Person),
    on(GET.and(PUT), "/api/v1/queue/admin/{event_id}", Person),
    on(POST, "/api/v1/queue/admin/clear/{event_id}", Person),
    on(GET, "/api/v1/payments/methods", Optional),
    on(POST, "/api/v1/payments/prepare", Person),
    on(POST, "/api/v1/payments/confirm", Person),
    on(POST, "/api/v1/payments/process", Person),
    on(POST, "/api/v1/payments/webhooks/toss", Optional),
    on(POST, "/api/v1/admin/events", Person),
    on(PUT.and(DELETE), "/api/v1/admin/events/{id}", Person),
    on(POST, "/api/v1/admin/events/{id}/cancel", Person),
    on(POST, "/api/v1/admin/events/{id}/tickets", Person),
    on(PUT, "/api/v1/admin/tickets/{id}", Person),
    on(POST, "/api/v1/admin/layouts", Person),
    on(GET, "/api/v1/admin/reservations", Person),
    on(PATCH, "/api/v1/admin/reservations/{id}/status", Person),
    on(GET, "/api/v1/admin/dashboard/stats", Person),
    on(POST, "/api/v1/admin/checkin", Person),
    on(GET.and(POST), "/socket.io", Optional)
        .kind(Kind::Socket)
        .sticky()
        .body(POLL_BODY)
        .patience(LONG)
        .forgetting_stale_cookies(),
];
