//! The rows of layouts, seats and reservations.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
    pg::Pg,
    sql_query,
    sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId, SeatId, UserId},
    seat_hold::{ReservationStatus, SeatStatus},
};
use uuid::Uuid;

use super::layout::{LayoutConfig, Place};
use crate::{
    event::store::clock_timestamp,
    schema::{events, reservation_seats, reservations, seat_layouts, seats},
};

/// A seat.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = seats, check_for_backend(Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Seat {
    pub id: Uuid,
    pub section: String,
    pub row_number: i32,
    pub seat_number: i32,
    pub seat_label: String,
    pub price: i64,
    pub status: String,
    pub held_until: Option<DateTime<Utc>>,
}

impl Seat {
    /// Returns whose the seat is at `now`.
    pub fn status(&self, now: DateTime<Utc>) -> SeatStatus {
        SeatStatus::at(now, &self.status, self.held_until)
    }
}

/// A hall in which an event takes place.
#[derive(Debug)]
pub struct Hall {
    /// The event's title.
    pub title: String,
    /// Where the seats are, when they are numbered.
    pub layout: Option<LayoutConfig>,
    /// The database's time at which this was read.
    pub now: DateTime<Utc>,
}

/// Finds the hall of an event.
///
/// # Errors
/// Returns a problem when the database is away, or when it keeps a layout that this version cannot read.
pub async fn find_hall(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Option<Hall>> {
    let found: Option<(String, Option<serde_json::Value>, DateTime<Utc>)> = events::table
        .left_join(seat_layouts::table)
        .filter(events::id.eq(event_id.0))
        .select((events::title, seat_layouts::layout_config.nullable(), clock_timestamp()))
        .first(conn)
        .await
        .optional()?;
    let Some((title, layout, now)) = found else { return Ok(None) };
    let layout = layout.map(serde_json::from_value).transpose().map_err(Problem::unexpected)?;
    Ok(Some(Hall { title, layout, now }))
}

/// Lists an event's seats, section by section and row by row.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Vec<Seat>> {
    let seats = seats::table
        .filter(seats::event_id.eq(event_id.0))
        .select(Seat::as_select())
        .order((seats::section, seats::row_number, seats::seat_number))
        .load(conn)
        .await;
    Ok(seats?)
}

/// Returns how those of these seats that the event has stand at this moment.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn standing(
    conn: &mut AsyncPgConnection,
    event_id: EventId,
    seat_ids: &[SeatId],
) -> Outcome<Vec<(SeatId, SeatStatus)>> {
    let ids: Vec<_> = seat_ids.iter().map(|seat| seat.0).collect();
    let rows: Vec<(Seat, DateTime<Utc>)> = seats::table
        .filter(seats::event_id.eq(event_id.0))
        .filter(seats::id.eq_any(ids))
        .select((Seat::as_select(), clock_timestamp()))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(seat, now)| (SeatId(seat.id), seat.status(now))).collect())
}

/// Gives an event its seats, in one statement; places that have one already keep it. Returns how many are new.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_missing(
    conn: &mut AsyncPgConnection,
    event_id: EventId,
    places: &[Place],
    next_id: impl Fn() -> SeatId,
) -> Outcome<usize> {
    let column = |pick: fn(&Place) -> i32| places.iter().map(pick).collect::<Vec<_>>();
    let text = |pick: fn(&Place) -> &str| places.iter().map(pick).collect::<Vec<_>>();
    let inserted = sql_query(
        "INSERT INTO seats (event_id, id, section, row_number, seat_number, seat_label, price) \
         SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(event_id.0)
    .bind::<Array<SqlUuid>, _>(places.iter().map(|_| next_id().0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(text(|place| &place.section))
    .bind::<Array<Integer>, _>(column(|place| place.row_number))
    .bind::<Array<Integer>, _>(column(|place| place.seat_number))
    .bind::<Array<Text>, _>(text(|place| &place.label))
    .bind::<Array<BigInt>, _>(places.iter().map(|place| place.price).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(inserted)
}

/// A reservation with its event.
#[derive(Debug, Queryable)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Reservation {
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
    pub event_date: DateTime<Utc>,
    /// The database's time at which this was read.
    pub now: DateTime<Utc>,
}

impl Reservation {
    /// Returns where the reservation stood when it was read.
    pub fn status(&self) -> ReservationStatus {
        ReservationStatus::at(self.now, &self.status, self.expires_at)
    }
}

/// Finds a reservation of a person.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_reservation(
    conn: &mut AsyncPgConnection,
    id: ReservationId,
    owner: UserId,
) -> Outcome<Option<Reservation>> {
    let found = reservations::table
        .inner_join(events::table)
        .filter(reservations::id.eq(id.0))
        .filter(reservations::user_id.eq(owner.0))
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
        .first(conn)
        .await;
    Ok(found.optional()?)
}

/// A seat of a reservation, at the price of that day.
#[derive(Debug, Queryable)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct ReservedSeat {
    pub id: Uuid,
    pub seat_label: String,
    pub section: String,
    pub row_number: i32,
    pub seat_number: i32,
    pub price: i64,
}

/// Lists the seats of a reservation, also of one that is over.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_reserved(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<Vec<ReservedSeat>> {
    let seats = reservation_seats::table
        .inner_join(seats::table)
        .filter(reservation_seats::reservation_id.eq(id.0))
        .select((
            seats::id,
            seats::seat_label,
            seats::section,
            seats::row_number,
            seats::seat_number,
            reservation_seats::price,
        ))
        .order((seats::section, seats::row_number, seats::seat_number))
        .load(conn)
        .await;
    Ok(seats?)
}
