//! `DELETE /internal/users/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{idempotency, principal::AuthPeer, problem::Outcome};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{contract::UserErasure, ids::UserId, person::ERASE_ROWS, principal::Service};

use super::{belongings, ordered, organized};
use crate::{app::App, realtime};

/// Erases some of what is kept about a person, and says whether that was all.
///
/// Each call sees whatever was committed before it, so nothing that was there before the call that says it is finished
/// is left with their name on it. The admission logs of waiting rooms keep their entries, or the chain of seals would
/// break. They hold a pseudonym, a hash of event and person: who does not know the person's id can neither read it off nor
/// tell that entries of two events are about the same one. Where the person was last connected is forgotten at once; what a
/// connection that is still open writes of them ends by itself within half an hour.
pub async fn erase(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let person = *id;
    if person.0.is_nil() {
        // Whose the events without an organizer are: nobody, and nobody is never erased.
        return Ok(HttpResponse::Ok().json(UserErasure::new(Service::Ticketing, true, &[])));
    }
    let mut conn = app.ground.pg.conn().await?;
    let (reservations, seats) = conn.transaction(async |conn| let_go(conn, person).await).await?;
    let tickets = belongings::disown_tickets(&mut conn, person).await?;
    // A transaction of its own: seats on sale do not wait for events that nobody wanted.
    let ((standing, deleted), keys) = conn
        .transaction(async |conn| {
            let events = leave_events(conn, person).await?;
            Outcome::Ok((events, idempotency::erase(conn, person, ERASE_ROWS).await?))
        })
        .await?;
    realtime::forget(&app, person).await?;
    metrics::counter!("seats_released_total").increment(u64::try_from(seats).unwrap_or_default());
    let is_finished = !is_left(&mut conn, person).await?;
    let erased = [
        ("reservations", reservations),
        ("seats_released", seats),
        ("tickets", tickets),
        ("events_kept", standing),
        ("events", deleted),
        ("idempotency_keys", keys),
    ];
    Ok(HttpResponse::Ok().json(UserErasure::new(Service::Ticketing, is_finished, &erased)))
}

async fn let_go(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<(usize, usize)> {
    let released = ordered::let_go(conn, person).await?;
    let count = |rows| usize::try_from(rows).unwrap_or_default();
    Ok((count(released.reservations), count(released.seats)))
}

/// Returns how many events stay without their organizer, and how many are deleted.
async fn leave_events(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<(usize, usize)> {
    let standing = organized::leave_standing(conn, person).await?;
    if i64::try_from(standing).is_ok_and(|events| events == ERASE_ROWS) {
        // There may be more of them, which must not be deleted.
        return Ok((standing, 0));
    }
    let (deleted, _seats) = organized::delete_some(conn, person).await?;
    Ok((standing, deleted))
}

async fn is_left(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<bool> {
    Ok(ordered::has_any(conn, person).await?
        || belongings::has_any(conn, person).await?
        || organized::has_any(conn, person).await?
        || idempotency::has_any(conn, person).await?)
}
