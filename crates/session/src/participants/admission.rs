//! Whether somebody may come into a session that is for the holders of tickets.
//!
//! Only the ticketing service's clear word lets anybody in. When it is away, or answers anything else, nobody comes in.

use chassis::{
    client::CallError,
    problem::{Outcome, Problem},
};
use domain::{contract::TicketHolder, principal::Principal, session::participant::TICKET_REQUIRED};

use crate::{app::App, sessions::store::Session};

/// Lets a person come in: anybody where there is no event, and only who has a confirmed ticket where there is one.
///
/// # Errors
/// 403 [`TICKET_REQUIRED`] for guests and for people without a ticket; 503 when the ticketing service does not tell.
pub(super) async fn require_ticket(app: &App, session: &Session, person: Option<Principal>) -> Outcome<()> {
    let Some(event) = session.event_id else { return Ok(()) };
    let person = person.ok_or(TICKET_REQUIRED)?;
    let (event, user) = (event.to_string(), person.user_id.to_string());
    let path = ["internal", "events", &event, "ticket-holders", &user];
    let unclear =
        |answer: String| Err(Problem::unavailable(format!("ticketing does not tell who has a ticket: {answer}")));
    match app.peers.ticketing.get(Some(person), &path).await {
        Ok(TicketHolder { has_ticket: true }) => Ok(()),
        Ok(TicketHolder { has_ticket: false }) => Err(TICKET_REQUIRED.into()),
        Err(CallError::Refused(view)) => unclear(format!("{} {}", view.status, view.code)),
        Err(CallError::Failed(problem)) => unclear(format!("{problem:?}")),
    }
}
