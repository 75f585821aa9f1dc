//! The rows of the events that a person runs.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, NullableExpressionMethods, QueryDsl, Queryable, Selectable, SelectableHelper,
    dsl::{exists, not, select},
    sql_query,
    sql_types::{BigInt, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, person::ERASE_ROWS};
use uuid::Uuid;

use crate::{
    event::store::clock_timestamp,
    schema::{events, reservation_seats, reservations, seats},
};

/// Events that are read at once.
const PAGE: i64 = 100;
/// Events that one call deletes.
const EVENTS: i64 = 20;
/// Seats that one call deletes: some twenty milliseconds, and a theatre.
const SEATS: i64 = 2_000;

/// An event that somebody runs, as it is kept.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
pub(super) struct Organized {
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) artist_name: Option<String>,
    pub(super) venue: String,
    pub(super) address: Option<String>,
    pub(super) event_date: DateTime<Utc>,
    pub(super) sale_start_date: DateTime<Utc>,
    pub(super) sale_end_date: DateTime<Utc>,
    pub(super) poster_image_url: Option<String>,
    pub(super) cancelled_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// Lists the events that a person runs, newest first, after the last of the page before.
pub(super) async fn list(
    conn: &mut AsyncPgConnection,
    organizer: UserId,
    last: Option<Uuid>,
) -> Outcome<Vec<Organized>> {
    let mut query = events::table
        .filter(events::organizer_id.eq(organizer.0))
        .order(events::id.desc())
        .limit(PAGE)
        .select(Organized::as_select())
        .into_boxed();
    if let Some(last) = last {
        query = query.filter(events::id.lt(last));
    }
    Ok(query.load(conn).await?)
}

/// Takes the person out of some of their events: those that somebody has ordered from, and those that are on sale.
/// Returns how many.
pub(super) async fn leave_standing(conn: &mut AsyncPgConnection, organizer: UserId) -> Outcome<usize> {
    let standing = sql_query(
        "WITH standing AS ( \
             SELECT e.id FROM events e WHERE e.organizer_id = $1 AND ( \
                 EXISTS (SELECT FROM reservations r WHERE r.event_id = e.id) \
                 OR (e.cancelled_at IS NULL AND clock_timestamp() >= e.sale_start_date \
                     AND clock_timestamp() < least(e.sale_end_date, e.event_date))) \
             ORDER BY e.id LIMIT $2 FOR UPDATE) \
         UPDATE events e SET organizer_id = $3 FROM standing WHERE e.id = standing.id",
    );
    let standing = standing.bind::<SqlUuid, _>(organizer.0).bind::<BigInt, _>(ERASE_ROWS);
    Ok(standing.bind::<SqlUuid, _>(Uuid::nil()).execute(conn).await?)
}

/// Deletes some of a person's events, each once all of its seats are gone; call when those that stay are not theirs
/// any more. Returns how many events and how many seats.
///
/// An event is cancelled first, so that nothing of it comes on sale while its seats are going.
pub(super) async fn delete_some(conn: &mut AsyncPgConnection, organizer: UserId) -> Outcome<(usize, usize)> {
    let some: Vec<Uuid> = events::table
        .filter(events::organizer_id.eq(organizer.0))
        .order(events::id)
        .limit(EVENTS)
        .select(events::id)
        .for_update()
        .load(conn)
        .await?;
    let on = events::table.filter(events::id.eq_any(&some)).filter(events::cancelled_at.is_null());
    diesel::update(on).set(events::cancelled_at.eq(clock_timestamp().nullable())).execute(conn).await?;
    let going: Vec<Uuid> = seats::table
        .filter(seats::event_id.eq_any(&some))
        .order(seats::id)
        .limit(SEATS)
        .select(seats::id)
        .for_update()
        .load(conn)
        .await?;
    // Looked at under the lock: who came before it keeps the seat, and by that the event.
    let ordered = reservation_seats::table.filter(reservation_seats::seat_id.eq(seats::id));
    let free = seats::table.filter(seats::id.eq_any(going)).filter(not(exists(ordered)));
    let seats = diesel::delete(free).execute(conn).await?;
    let left = seats::table.filter(seats::event_id.eq(events::id));
    let ordered = reservations::table.filter(reservations::event_id.eq(events::id));
    let empty = events::table.filter(events::id.eq_any(some)).filter(not(exists(left))).filter(not(exists(ordered)));
    Ok((diesel::delete(empty).execute(conn).await?, seats))
}

/// Returns whether a person runs an event.
pub(super) async fn has_any(conn: &mut AsyncPgConnection, organizer: UserId) -> Outcome<bool> {
    Ok(select(exists(events::table.filter(events::organizer_id.eq(organizer.0)))).get_result(conn).await?)
}
