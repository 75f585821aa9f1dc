//! The gate before whatever takes seats or stock: who has not been let in gets nothing.
//!
//! Asked once for each attempt to buy, and never again for what was bought: paying has the window of the reservation
//! itself, so nobody loses what they hold because their time inside ran out.

use chassis::{
    idempotency::{Answer, Attempt},
    problem::Outcome,
};
use diesel_async::AsyncConnection;
use domain::{
    ids::{EventId, UserId},
    waiting_room::NOT_ADMITTED,
};

use super::{rooms::is_off, ticket::QueueTicketHeader};
use crate::app::App;

/// Lets a buyer on whom the event needs no admission from, or who has been let in. In an event that is neither full nor
/// waited for, this lets them in.
///
/// `ticket` is what came as `X-Queue-Ticket`: after a loss of the line it brings an old place back, and never more.
///
/// # Errors
/// 403 `not_admitted`; 409 `sale_closed`; 404 for an unknown event; 503 when admission may be needed and the order cannot be read.
pub async fn require(app: &App, user_id: UserId, event_id: EventId, ticket: Option<&str>) -> Outcome<()> {
    let (room, facts) = app.queue.event(event_id).await?;
    if is_off(&facts) {
        return Ok(());
    }
    // Before the sale and after it nobody is inside, and that is the better word. Said here and not left to the sale: it
    // might open in between.
    facts.sale.admit(facts.now)?;
    let ticket = app.queue.read_ticket(ticket, event_id, user_id);
    if app.queue.enter(&room, user_id, ticket.as_ref()).await? { Ok(()) } else { Err(NOT_ADMITTED.into()) }
}

/// Lets a buyer on as [`require`] does, or returns the answer that this attempt was given before: it is given again, also
/// to who has left since.
///
/// # Errors
/// As [`require`]; as [`Attempt::replay`] for a key that is in use or was used for something else.
pub async fn pass(
    app: &App,
    user_id: UserId,
    event_id: EventId,
    ticket: &QueueTicketHeader,
    attempt: &Attempt,
) -> Outcome<Option<Answer>> {
    let Err(refusal) = require(app, user_id, event_id, ticket.0.as_deref()).await else { return Ok(None) };
    if attempt.key().is_none() {
        return Err(refusal);
    }
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| attempt.replay(conn).await).await?.map(Some).ok_or(refusal)
}
