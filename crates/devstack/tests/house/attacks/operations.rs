//! Every operation of the document, and what an attacker may expect of it.
//!
//! An operation that is not in this table fails the tests with its name: whoever adds one says here whose things it
//! touches, and how somebody who has them calls it.

use serde_json::{Value, json};

use super::{
    sales,
    things::{DAYS, Things},
};
use crate::person::PASSWORD;

/// Who may call an operation, and about what.
pub(super) enum Reach {
    /// Anybody, for this reason.
    Public(&'static str),
    /// About whoever calls: it is told no id, so nothing of others can be asked for.
    Own,
    /// As [`Reach::Own`], and it ends the login it is called with.
    Ends,
    /// About an object; others get this status.
    Object { others: u16 },
    /// For organizers: a person gets 403. About an event of theirs, other organizers get this status.
    Organizer { others: Option<u16> },
    /// A socket, which has tests of its own.
    Socket,
    /// An answer without an end, about an object; others get 404. What its owner gets has tests of its own.
    Stream,
}

/// One operation, ready to be called by whoever has the things it is about.
pub(super) struct Entry {
    /// As the document has it.
    pub(super) name: &'static str,
    /// Path and query.
    pub(super) target: String,
    /// A body that is accepted.
    pub(super) body: Option<Value>,
    /// Who may call it.
    pub(super) reach: Reach,
    /// What the owner gets.
    pub(super) works: u16,
    /// Whether people may have none of it, and get 404.
    pub(super) may_be_missing: bool,
}

impl Entry {
    fn new(name: &'static str, target: String, reach: Reach) -> Self {
        Self { name, target, body: None, reach, works: 200, may_be_missing: false }
    }

    /// Takes a body.
    pub(super) fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Answers with another status than 200.
    pub(super) fn works(mut self, status: u16) -> Self {
        self.works = status;
        self
    }

    /// Answers 404 to who has none.
    pub(super) fn or_none(mut self) -> Self {
        self.may_be_missing = true;
        self
    }

    /// Returns the method.
    pub(super) fn method(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or_default()
    }
}

fn path_of(name: &'static str) -> String {
    name.split(' ').nth(1).unwrap_or_default().to_owned()
}

pub(super) fn public(name: &'static str, why: &'static str) -> Entry {
    Entry::new(name, path_of(name), Reach::Public(why))
}

pub(super) fn own(name: &'static str) -> Entry {
    Entry::new(name, path_of(name), Reach::Own)
}

/// Something that is there for its owner only; `ids` are put in place of the parameters of the path, in their order.
pub(super) fn object(name: &'static str, ids: &[&str]) -> Entry {
    let mut ids = ids.iter();
    let path = path_of(name);
    let filled = path.split('/').map(|segment| match segment.strip_prefix('{') {
        Some(_) => (*ids.next().expect("an id for each parameter")).to_owned(),
        None => segment.to_owned(),
    });
    Entry::new(name, filled.collect::<Vec<_>>().join("/"), Reach::Object { others: 404 })
}

/// Something that everybody may look at.
pub(super) fn shown(name: &'static str, id: &str, why: &'static str) -> Entry {
    Entry { reach: Reach::Public(why), ..object(name, &[id]) }
}

/// What a library answers in words of its own: neither JSON nor a problem document. The service's own tests speak to it.
pub(super) const ELSEWHERE: [&str; 2] = ["GET /socket.io/", "POST /socket.io/"];

/// Returns the table for somebody's things, in an order in which the owner can call one after the other.
pub(super) fn entries(things: &Things) -> Vec<Entry> {
    let of_sales = [sales::looks(things), sales::purchases(things), sales::line(things), sales::organizers(things)];
    [house(), accounts(things), sessions(things), focus(things), conversations(things), memos(things)]
        .into_iter()
        .chain(of_sales)
        .flatten()
        .collect()
}

fn house() -> Vec<Entry> {
    vec![
        public("GET /health", "tells whether the services answer"),
        public("GET /openapi.json", "describes the house"),
        public("GET /.well-known/jwks.json", "public keys"),
    ]
}

fn accounts(things: &Things) -> Vec<Entry> {
    let Things { user, email, login, .. } = things;
    let mail = json!({ "email": email });
    let receipt =
        shown("GET /auth/erasures/{receipt_id}", user, "asked for when the account is gone; its id is a secret");
    vec![
        public("POST /register", "makes an account")
            .with(json!({ "name": "새 사람", "email": "somebody@example.com", "password": PASSWORD }))
            .works(201),
        public("POST /login", "shows a password").with(json!({ "email": email, "password": PASSWORD })),
        public("POST /auth/refresh", "shows a refresh token").with(json!({ "refresh_token": "rt1.x" })).works(401),
        public("GET /auth/google/login", "begins a login"),
        public("POST /auth/google/callback", "shows what Google gave").with(json!({ "code": "x" })).works(401),
        public("POST /auth/password-reset", "asks for a letter").with(mail.clone()).works(202),
        public("POST /auth/password-reset/confirm", "shows a code from a letter")
            .with(json!({ "email": email, "code": "AAAAAAAA", "new_password": "dugout-Other-41c9" }))
            .works(422),
        public("POST /auth/verify-email", "shows a code from a letter").with(mail).works(202),
        receipt.works(404),
        own("GET /user/me"),
        own("PATCH /user/me").with(json!({ "name": "같은 사람" })),
        own("GET /user/me/export"),
        own("GET /auth/sessions"),
        own("POST /auth/ws-ticket"),
        own("POST /change-password")
            .with(json!({ "current_password": "not the password", "new_password": "dugout-Other-41c9" }))
            .works(403),
        object("DELETE /auth/sessions/{sid}", &[login]),
        own("DELETE /auth/sessions"),
        Entry { reach: Reach::Ends, ..public("POST /auth/logout", "without a login there is nothing to end") },
        Entry {
            reach: Reach::Ends,
            ..own("DELETE /user/me").with(json!({ "password": "not the password" })).works(403)
        },
    ]
}

fn sessions(things: &Things) -> Vec<Entry> {
    let Things { session, code, participant, passing, .. } = things;
    let id = &[session.as_str()];
    vec![
        own("POST /api/v1/sessions").with(json!({ "title": "마루 발표", "type": "presentation" })).works(201),
        own("GET /api/v1/sessions"),
        object("GET /api/v1/sessions/{id}", id),
        object("POST /api/v1/sessions/{id}/timer/setup", id).with(json!({ "duration_minutes": 10 })),
        object("POST /api/v1/sessions/{id}/timer/start", id).with(json!({})),
        object("POST /api/v1/sessions/{id}/timer/pause", id).with(json!({})),
        object("POST /api/v1/sessions/{id}/timer/resume", id).with(json!({})),
        object("POST /api/v1/sessions/{id}/timer/reset", id).with(json!({})),
        object("GET /api/v1/sessions/{id}/timer", id),
        object("PUT /api/v1/sessions/{id}", id).with(json!({ "description": "마루 위에서" })),
        object("POST /api/v1/sessions/{id}/activate", id).with(json!({})),
        object("POST /api/v1/sessions/{id}/deactivate", id).with(json!({})),
        object("PUT /api/v1/sessions/{id}/summary", id).with(json!({ "summary": { "score": 7 } })),
        object("GET /api/v1/sessions/{id}/qr.png", id),
        object("GET /api/v1/sessions/{id}/qr.svg", id),
        shown("GET /api/v1/sessions/code/{code}", code, "whoever has a code may see what it is for"),
        shown("POST /api/v1/sessions/code/{code}/join", code, "whoever has a code may come in")
            .with(json!({ "display_name": "손님" }))
            .works(201),
        object("GET /api/v1/sessions/{id}/participants", id),
        object("POST /api/v1/sessions/{id}/stream-ticket", id).with(json!({})),
        object("DELETE /api/v1/sessions/{id}/participants/{pid}", &[session, participant]).works(204),
        object("GET /api/v1/sessions/{id}/feedback/settings", id),
        object("PUT /api/v1/sessions/{id}/feedback/settings", id).with(json!({ "strength": 6 })),
        object("POST /api/v1/sessions/{id}/feedback", id)
            .with(json!({ "timestamp": "2026-11-28T09:00:00Z", "features": { "wpm": 150 } })),
        object("GET /api/v1/sessions/{id}/feedback", id),
        Entry { reach: Reach::Stream, ..object("GET /api/v1/sessions/{id}/stream", id) },
        Entry::new("GET /ws/sessions/{id}", format!("/ws/sessions/{session}"), Reach::Socket).works(400),
        object("POST /api/v1/sessions/{id}/end", id).with(json!({ "summary": { "score": 8 } })),
        object("DELETE /api/v1/sessions/{id}", &[passing]).works(204),
    ]
}

fn focus(things: &Things) -> Vec<Entry> {
    let id = &[things.focus.as_str()];
    vec![
        own("POST /session").with(json!({ "subject": "책 읽기", "duration": 25 })).works(201),
        own("GET /session/current").or_none(),
        Entry { target: format!("/session/list?{DAYS}"), ..own("GET /session/list") },
        Entry { target: format!("/session/stats?{DAYS}"), ..own("GET /session/stats") },
        object("GET /session/{id}", id),
        object("PUT /session/{id}", id).with(json!({ "goal": "한 장" })),
        object("PUT /session/{id}/status", id).with(json!({ "status": "cancelled" })),
        object("DELETE /session/{id}", id),
    ]
}

fn conversations(things: &Things) -> Vec<Entry> {
    let Things { user, conversation, passing_conversation, step, .. } = things;
    let said = json!({ "session_id": conversation, "user_input": "안녕" });
    // The one path whose document names the refusal: a person's id is no secret.
    let of_somebody = Reach::Object { others: 403 };
    vec![
        public("GET /emotion/safety/protocol", "says how danger is answered"),
        own("POST /emotion/sessions").with(json!({ "topic": "하루" })).works(201),
        own("GET /emotion/sessions"),
        Entry { reach: of_somebody, ..object("GET /emotion/sessions/user/{user_id}", &[user]) },
        object("GET /emotion/sessions/{session_id}", &[conversation]),
        object("POST /emotion/steps/generate", &[]).with(said),
        object("GET /emotion/steps/{session_id}", &[conversation]),
        object("POST /emotion/steps/{step_id}/stop", &[step]),
        Entry { reach: Reach::Stream, ..object("GET /emotion/steps/{step_id}/stream", &[step]) },
        own("PUT /emotion/prompt").with(json!({ "prompt": "짧게 말해 줘" })),
        own("GET /emotion/prompt").or_none(),
        own("DELETE /emotion/prompt").works(204),
        object("GET /emotion/sessions/{session_id}/flow", &[conversation]),
        object("GET /emotion/sessions/{session_id}/summary", &[conversation]),
        object("POST /emotion/sessions/{session_id}/summary/memo", &[conversation]).with(json!({})).works(201),
        object("POST /emotion/sessions/{session_id}/end", &[passing_conversation]).with(json!({})),
        object("DELETE /emotion/sessions/{session_id}", &[passing_conversation]).works(204),
        Entry::new("GET /ws/emotion", format!("/ws/emotion?user_id={user}"), Reach::Socket).works(400),
    ]
}

fn memos(things: &Things) -> Vec<Entry> {
    let Things { memo, attachment, .. } = things;
    let file = json!({ "filename": "a.png", "content_type": "image/png", "size": 67 });
    vec![
        own("POST /memo").with(json!({ "content": "적어 둔 것" })).works(201),
        Entry { target: format!("/memo/list?{DAYS}"), ..own("GET /memo/list") },
        Entry { target: "/memo/daily?tz=UTC&date=2026-11-28".to_owned(), ..own("GET /memo/daily") },
        own("GET /memo/tags"),
        Entry { target: format!("/memo/stats?{DAYS}"), ..own("GET /memo/stats") },
        object("GET /memo/{memo_id}", &[memo]),
        object("PUT /memo/{memo_id}", &[memo]).with(json!({ "category": "생각" })),
        object("GET /memo/{memo_id}/revisions", &[memo]),
        object("DELETE /memo/{memo_id}", &[memo]),
        object("POST /memo/{memo_id}/restore", &[memo]),
        object("POST /memo/{memo_id}/attachments", &[memo]).with(file).works(201),
        object("POST /memo/{memo_id}/attachments/{attachment_id}/complete", &[memo, attachment]),
        object("GET /memo/{memo_id}/attachments/{attachment_id}", &[memo, attachment]),
        object("DELETE /memo/{memo_id}/attachments/{attachment_id}", &[memo, attachment]).works(204),
    ]
}
