//! The rows of what a person has ordered.

use chassis::problem::Outcome;
use diesel::{
    ExpressionMethods, QueryDsl, Queryable, QueryableByName,
    dsl::{exists, select},
    sql_query,
    sql_types::{BigInt, Integer, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, person::ERASE_ROWS};
use uuid::Uuid;

use crate::{
    event::store::clock_timestamp,
    schema::{events, reservation_seats, reservations, seats},
    seat::store::Reservation,
};

/// Reservations that are read at once; one may have 50 seats.
const PAGE: i64 = 100;

/// A seat of one of several reservations.
#[derive(Debug, Queryable)]
pub(super) struct OrderedSeat {
    pub(super) reservation_id: Uuid,
    pub(super) seat_id: Uuid,
    pub(super) section: String,
    pub(super) row_number: i32,
    pub(super) seat_number: i32,
    pub(super) seat_label: String,
    pub(super) price: i64,
}

/// What one call has let go of.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct Released {
    /// Reservations that are nobody's now.
    #[diesel(sql_type = BigInt)]
    pub(super) reservations: i64,
    /// Seats that are on sale again.
    #[diesel(sql_type = BigInt)]
    pub(super) seats: i64,
}

/// Lists a person's reservations, newest first, after the last of the page before.
pub(super) async fn list(conn: &mut AsyncPgConnection, buyer: UserId, last: Option<Uuid>) -> Outcome<Vec<Reservation>> {
    let mut query = reservations::table
        .inner_join(events::table)
        .filter(reservations::user_id.eq(buyer.0))
        .order(reservations::id.desc())
        .limit(PAGE)
        .select((
            reservations::id,
            reservations::reservation_number,
            reservations::total_amount,
            reservations::status,
            reservations::payment_status,
            reservations::payment_method,
            reservations::expires_at,
            reservations::created_at,
            events::id,
            events::title,
            events::venue,
            events::event_date,
            clock_timestamp(),
        ))
        .into_boxed();
    if let Some(last) = last {
        query = query.filter(reservations::id.lt(last));
    }
    Ok(query.load(conn).await?)
}

/// Lists the seats of several reservations, also of those that are over.
pub(super) async fn list_seats(conn: &mut AsyncPgConnection, reservations: &[Uuid]) -> Outcome<Vec<OrderedSeat>> {
    let found = reservation_seats::table
        .inner_join(seats::table)
        .filter(reservation_seats::reservation_id.eq_any(reservations))
        .select((
            reservation_seats::reservation_id,
            seats::id,
            seats::section,
            seats::row_number,
            seats::seat_number,
            seats::seat_label,
            reservation_seats::price,
        ))
        .order((seats::section, seats::row_number, seats::seat_number))
        .load(conn)
        .await;
    Ok(found?)
}

/// Takes the person out of some of their reservations, and lets go of what was still pending: in one statement, as the
/// sweeper does it. Amounts, seats and dates stay; a seat that is on sale again has a new version.
pub(super) async fn let_go(conn: &mut AsyncPgConnection, buyer: UserId) -> Outcome<Released> {
    let released = sql_query("SELECT reservations, seats FROM disown_reservations($1, $2)");
    Ok(released
        .bind::<SqlUuid, _>(buyer.0)
        .bind::<Integer, _>(i32::try_from(ERASE_ROWS).unwrap_or(i32::MAX))
        .get_result(conn)
        .await?)
}

/// Returns whether a person has a reservation.
pub(super) async fn has_any(conn: &mut AsyncPgConnection, buyer: UserId) -> Outcome<bool> {
    Ok(select(exists(reservations::table.filter(reservations::user_id.eq(buyer.0)))).get_result(conn).await?)
}
