//! Presenter sessions with their timer, and focus sessions.

use domain::principal::Service;

use super::{
    Access::{self, Guest, Optional, Person, Public},
    Kind, Methods, Route,
};
use crate::limit::Class;

const fn on(methods: Methods, pattern: &'static str, access: Access) -> Route {
    Route::new(methods, pattern, Service::Session, access)
}

const GET: Methods = Methods::GET;
const POST: Methods = Methods::POST;
const PUT: Methods = Methods::PUT;
const DELETE: Methods = Methods::DELETE;

/// A batch of 100 feedback samples with what was said in each.
const FEEDBACK_BODY: u64 = 256 * 1024;

pub(super) const ROUTES: &[Route] = &[
    on(GET.and(POST), "/api/v1/sessions", Person),
    on(GET.and(PUT).and(DELETE), "/api/v1/sessions/{id}", Person),
    on(POST, "/api/v1/sessions/{id}/activate", Person),
    on(POST, "/api/v1/sessions/{id}/deactivate", Person),
    on(POST, "/api/v1/sessions/{id}/end", Person),
    on(PUT, "/api/v1/sessions/{id}/summary", Person),
    on(GET, "/api/v1/sessions/{id}/qr.png", Person),
    on(GET, "/api/v1/sessions/{id}/qr.svg", Person),
    on(GET, "/api/v1/sessions/code/{code}", Public).limit(Class::Code),
    on(POST, "/api/v1/sessions/code/{code}/join", Optional).limit(Class::Code),
    on(GET, "/api/v1/sessions/{id}/participants", Person),
    on(DELETE, "/api/v1/sessions/{id}/participants/{pid}", Guest),
    on(POST, "/api/v1/sessions/{id}/stream-ticket", Guest),
    on(POST, "/api/v1/sessions/{id}/timer/setup", Person),
    on(POST, "/api/v1/sessions/{id}/timer/start", Person),
    on(POST, "/api/v1/sessions/{id}/timer/pause", Person),
    on(POST, "/api/v1/sessions/{id}/timer/resume", Person),
    on(POST, "/api/v1/sessions/{id}/timer/reset", Person),
    on(GET, "/api/v1/sessions/{id}/timer", Person),
    on(GET.and(PUT), "/api/v1/sessions/{id}/feedback/settings", Person),
    on(GET.and(POST), "/api/v1/sessions/{id}/feedback", Person).body(FEEDBACK_BODY),
    on(GET, "/api/v1/sessions/{id}/stream", Guest).kind(Kind::Stream),
    on(GET, "/ws/sessions/{id}", Guest).kind(Kind::Socket),
    on(POST, "/session", Person),
    on(GET, "/session/list", Person),
    on(GET, "/session/current", Person),
    on(GET, "/session/stats", Person),
    on(GET.and(PUT).and(DELETE), "/session/{id}", Person),
    on(PUT, "/session/{id}/status", Person),
];
