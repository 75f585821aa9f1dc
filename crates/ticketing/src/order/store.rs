//! The rows of reservations and of what they consist of.

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, Queryable, QueryableByName, sql_query,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::{ReservationId, UserId};
use uuid::Uuid;

use crate::{
    event::store::clock_timestamp,
    schema::{events, reservations},
};

/// A reservation with its event.
#[derive(Debug, Queryable)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct OwnReservation {
    pub id: Uuid,
    pub reservation_number: String,
    pub total_amount: i64,
    pub status: String,
    pub payment_status: String,
    pub payment_method: Option<String>,
    pub expires_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub event_id: Uuid,
    pub event_title: String,
    pub venue: String,
    pub address: Option<String>,
    pub event_date: DateTime<Utc>,
    /// Whether the event was called off.
    pub is_called_off: bool,
    /// The database's time at which this was read.
    pub now: DateTime<Utc>,
}

/// Tickets of one type, or one seat, of a reservation.
#[derive(Debug, QueryableByName)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Item {
    #[diesel(sql_type = SqlUuid)]
    pub reservation_id: Uuid,
    /// The ticket type's name, or the seat's section.
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub ticket_type_id: Option<Uuid>,
    #[diesel(sql_type = Integer)]
    pub quantity: i32,
    #[diesel(sql_type = BigInt)]
    pub unit_price: i64,
    #[diesel(sql_type = BigInt)]
    pub subtotal: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub seat_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub seat_label: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub section: Option<String>,
}

/// The columns of [`OwnReservation`], in order.
macro_rules! shown {
    () => {
        (
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
            events::address,
            events::event_date,
            events::cancelled_at.is_not_null(),
            clock_timestamp(),
        )
    };
}

/// Lists a person's reservations, newest first, after the last of the page before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    last: Option<ReservationId>,
    limit: i64,
) -> Outcome<Vec<OwnReservation>> {
    // No id is greater than the greatest one.
    let last = last.map_or(Uuid::max(), |last| last.0);
    let rows = reservations::table
        .inner_join(events::table)
        .filter(reservations::user_id.eq(owner.0))
        .filter(reservations::id.lt(last))
        .order(reservations::id.desc())
        .limit(limit)
        .select(shown!())
        .load(conn)
        .await;
    Ok(rows?)
}

/// Counts a person's reservations.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<i64> {
    Ok(reservations::table.filter(reservations::user_id.eq(owner.0)).count().get_result(conn).await?)
}

/// Finds a reservation of a person.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, id: ReservationId, owner: UserId) -> Outcome<Option<OwnReservation>> {
    let found = reservations::table
        .inner_join(events::table)
        .filter(reservations::id.eq(id.0))
        .filter(reservations::user_id.eq(owner.0))
        .select(shown!())
        .first(conn)
        .await;
    Ok(found.optional()?)
}

/// Lists what several reservations consist of, also those that are over: tickets by the name of their type, then seats
/// as they stand in the hall.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn items(conn: &mut AsyncPgConnection, reservations: &[Uuid]) -> Outcome<Vec<Item>> {
    let items = sql_query(
        "SELECT i.reservation_id, t.name, i.ticket_type_id, i.quantity, i.unit_price, i.subtotal, \
         NULL::uuid AS seat_id, NULL::text AS seat_label, NULL::text AS section, 0 AS row_number, 0 AS seat_number \
         FROM reservation_items i JOIN ticket_types t ON t.id = i.ticket_type_id WHERE i.reservation_id = ANY($1) \
         UNION ALL \
         SELECT k.reservation_id, s.section, NULL, 1, k.price, k.price, s.id, s.seat_label, s.section, s.row_number, \
         s.seat_number FROM reservation_seats k JOIN seats s ON s.id = k.seat_id WHERE k.reservation_id = ANY($1) \
         ORDER BY reservation_id, name, row_number, seat_number",
    );
    Ok(items.bind::<Array<SqlUuid>, _>(reservations).prepared().load(conn).await?)
}
