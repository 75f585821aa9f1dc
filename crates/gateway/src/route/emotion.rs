//! The companion: conversations, their steps, and the socket they are streamed over.

use domain::principal::Service;

use super::{
    Access::{self, Optional, Person},
    Kind, LONG, Methods, Route,
};

const fn on(methods: Methods, pattern: &'static str, access: Access) -> Route {
    Route::new(methods, pattern, Service::Emotion, access)
}

const GET: Methods = Methods::GET;
const POST: Methods = Methods::POST;
const PUT: Methods = Methods::PUT;
const DELETE: Methods = Methods::DELETE;

pub(super) const ROUTES: &[Route] = &[
    on(GET.and(POST), "/emotion/sessions", Person),
    on(GET.and(DELETE), "/emotion/sessions/{id}", Person),
    on(GET, "/emotion/sessions/user/{user_id}", Person),
    // Ending a conversation and asking for its card both may let the model write.
    on(POST, "/emotion/sessions/{id}/end", Person).patience(LONG),
    on(GET, "/emotion/sessions/{id}/flow", Person),
    on(GET, "/emotion/sessions/{id}/summary", Person).patience(LONG),
    on(POST, "/emotion/sessions/{id}/summary/memo", Person).patience(LONG),
    on(POST, "/emotion/steps/generate", Person).patience(LONG),
    on(GET, "/emotion/steps/{session_id}", Person),
    on(POST, "/emotion/steps/{id}/stop", Person),
    on(GET, "/emotion/steps/{id}/stream", Person).kind(Kind::Stream),
    on(GET.and(PUT).and(DELETE), "/emotion/prompt", Person),
    on(GET, "/emotion/safety/protocol", Optional),
    on(GET, "/ws/emotion", Optional).kind(Kind::Socket),
];
