//! The one statement that holds seats.
//!
//! It locks the wanted seats in order of their ids, keeps only those that are free at that moment, and goes on only if
//! that is all of them: then it moves the seats, writes the reservation and what it consists of. Otherwise it changes
//! nothing. A seat whose hold has ended is free here, so a buyer never depends on a sweeper; the reservation that lost
//! it stays what it is, because seats say whose they are and an overdue reservation can no longer be confirmed.

use std::time::Duration;

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, Queryable,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Double, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId, UserId},
    seat_hold::{SeatSelection, reservation_number},
};
use uuid::Uuid;

/// A hold that somebody wants.
#[derive(Debug)]
pub struct Hold {
    reservation_id: Uuid,
    number: String,
    event_id: Uuid,
    user_id: Uuid,
    seat_ids: Vec<Uuid>,
    seat_count: i64,
    seconds: f64,
}

/// One seat of a hold that came about, with what all of them share.
#[derive(Debug, Queryable)]
pub struct HeldSeat {
    /// The seat.
    pub id: Uuid,
    /// The section's name.
    pub section: String,
    /// Row in the hall.
    pub row_number: i32,
    /// Seat in the row.
    pub seat_number: i32,
    /// What stands on the ticket.
    pub label: String,
    /// KRW.
    pub price: i64,
    /// KRW, of the whole reservation.
    pub total_amount: i64,
    /// When the hold ends.
    pub expires_at: DateTime<Utc>,
}

impl Hold {
    /// Describes a hold of `seats` for `ttl` from the moment they are locked.
    pub fn new(
        reservation_id: ReservationId,
        event_id: EventId,
        user_id: UserId,
        seats: &SeatSelection,
        ttl: Duration,
    ) -> Self {
        let seat_ids: Vec<_> = seats.seats().iter().map(|seat| seat.0).collect();
        Self {
            reservation_id: reservation_id.0,
            number: reservation_number(reservation_id),
            event_id: event_id.0,
            user_id: user_id.0,
            seat_count: i64::try_from(seat_ids.len()).unwrap_or(i64::MAX),
            seat_ids,
            seconds: ttl.as_secs_f64(),
        }
    }

    /// Returns the reservation's number.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Holds all the seats, or none: then the result is empty and nothing has changed.
    ///
    /// # Errors
    /// Returns a problem when the database is away, or when a lock is not free within the statement's time.
    pub async fn run(&self, conn: &mut AsyncPgConnection) -> Outcome<Vec<HeldSeat>> {
        Ok(self.load(conn).await?)
    }
}

// Not `sql_query`, whose statements are prepared anew at every call: this one is prepared once per connection.
impl QueryFragment<Pg> for Hold {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH wanted AS MATERIALIZED (SELECT id FROM seats WHERE event_id = ");
        out.push_bind_param::<SqlUuid, _>(&self.event_id)?;
        out.push_sql(" AND id = ANY(");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.seat_ids)?;
        out.push_sql(
            ") AND (status = 'available' OR (status = 'locked' AND held_until <= clock_timestamp())) \
             ORDER BY id FOR UPDATE), \
             granted AS MATERIALIZED (SELECT ",
        );
        out.push_bind_param::<SqlUuid, _>(&self.reservation_id)?;
        out.push_sql("::uuid AS reservation_id, clock_timestamp() + make_interval(secs => ");
        out.push_bind_param::<Double, _>(&self.seconds)?;
        out.push_sql(") AS expires_at FROM wanted HAVING count(*) = ");
        out.push_bind_param::<BigInt, _>(&self.seat_count)?;
        out.push_sql(
            "), \
             claimed AS (UPDATE seats s SET status = 'locked', reservation_id = g.reservation_id, \
             held_until = g.expires_at, version = s.version + 1 FROM wanted w, granted g WHERE s.id = w.id \
             RETURNING s.id, s.section, s.row_number, s.seat_number, s.seat_label, s.price), \
             reservation AS (INSERT INTO reservations \
             (id, reservation_number, event_id, user_id, total_amount, expires_at) SELECT g.reservation_id, ",
        );
        out.push_bind_param::<Text, _>(&self.number)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&self.event_id)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&self.user_id)?;
        out.push_sql(
            ", (SELECT sum(price) FROM claimed)::bigint, g.expires_at FROM granted g \
             RETURNING total_amount, expires_at), \
             kept AS (INSERT INTO reservation_seats (reservation_id, seat_id, price) \
             SELECT g.reservation_id, c.id, c.price FROM claimed c, granted g) \
             SELECT c.id, c.section, c.row_number, c.seat_number, c.seat_label, c.price, r.total_amount, r.expires_at \
             FROM claimed c, reservation r ORDER BY c.section, c.row_number, c.seat_number",
        );
        Ok(())
    }
}

impl QueryId for Hold {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Hold {
    type SqlType = (SqlUuid, Text, Integer, Integer, Text, BigInt, BigInt, Timestamptz);
}
