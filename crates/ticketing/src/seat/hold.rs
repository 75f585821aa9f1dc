//! The one statement that holds seats for one request: those that are side by side, and those that nobody else asks for in
//! the same moment.
//!
//! The function `hold_seats` in the migration counts the buyer's tickets, locks the wanted seats in order of their ids
//! and goes on only if all of them are free at that moment; otherwise nothing has changed. A seat whose hold has ended
//! is free here, so a buyer never depends on a sweeper; the reservation that lost it stays what it is, because seats say
//! whose they are and an overdue reservation can no longer be confirmed.

use std::borrow::Cow;

use chassis::{
    idempotency::{Answer, Attempt},
    problem::{Outcome, Problem},
};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    fault::{Fault, common},
    ids::{EventId, ReservationId, UserId},
    seat_hold::reservation_number,
};
use uuid::Uuid;

use super::{
    batch::{self, Choice},
    expiry,
};
use crate::order::{batch::Terms, verdict::Verdict};

/// How often seats side by side are looked for when others are at all that were found.
const ATTEMPTS: usize = 5;

/// Any seats that are side by side.
#[derive(Clone, Debug)]
pub struct Adjacent {
    /// How many.
    pub quantity: i32,
    /// Of this section only.
    pub section: Option<String>,
    /// At most this dear each, KRW.
    pub max_price: Option<i64>,
}

/// A hold that somebody wants.
#[derive(Debug)]
pub struct Hold<'a> {
    reservation_id: Uuid,
    number: Cow<'a, str>,
    event_id: Uuid,
    buyer: UserId,
    route: &'a str,
    key: Option<&'a str>,
    body_hash: &'a [u8],
    message: &'a str,
    seconds: f64,
    most: i32,
    is_final: bool,
    seat_ids: Option<Vec<Uuid>>,
    quantity: i32,
    section: Option<&'a str>,
    max_price: Option<i64>,
}

impl<'a> Hold<'a> {
    /// Describes a hold of seats side by side; `message` is what its answer tells people.
    pub fn new(
        reservation_id: ReservationId,
        event_id: EventId,
        buyer: UserId,
        seats: &'a Adjacent,
        terms: Terms,
        (route, attempt, message): (&'a str, &'a Attempt, &'a str),
    ) -> Self {
        Self {
            reservation_id: reservation_id.0,
            number: reservation_number(reservation_id).into(),
            event_id: event_id.0,
            buyer,
            route,
            key: attempt.key(),
            body_hash: attempt.body_hash(),
            message,
            seconds: terms.hold.as_secs_f64(),
            most: i32::try_from(terms.most_per_event).unwrap_or(i32::MAX),
            is_final: false,
            seat_ids: None,
            quantity: seats.quantity,
            section: seats.section.as_deref(),
            max_price: seats.max_price,
        }
    }

    /// Describes a hold of these very seats.
    pub fn of(choice: &'a Choice, terms: Terms) -> Self {
        let seat_ids: Vec<_> = choice.seats.seats().iter().map(|seat| seat.0).collect();
        Self {
            reservation_id: choice.id.0,
            number: choice.number.as_str().into(),
            event_id: choice.event_id.0,
            buyer: choice.buyer,
            route: batch::ROUTE,
            key: choice.key.as_deref(),
            body_hash: &choice.body_hash,
            message: choice.message,
            seconds: terms.hold.as_secs_f64(),
            most: i32::try_from(terms.most_per_event).unwrap_or(i32::MAX),
            is_final: false,
            quantity: i32::try_from(seat_ids.len()).unwrap_or(i32::MAX),
            seat_ids: Some(seat_ids),
            section: None,
            max_price: None,
        }
    }

    /// Holds the seats, or none, in a transaction of its own.
    ///
    /// # Errors
    /// The refusal; a problem when the database is away, or when a lock is not free within the statement's time.
    pub async fn run(self, conn: &AsyncPgConnection) -> Outcome<Answer> {
        self.verdict(conn).await?.answer()
    }

    /// Holds the seats, or says why not.
    ///
    /// # Errors
    /// Returns a problem when the database is away, or when a lock is not free within the statement's time.
    pub(super) async fn verdict(mut self, mut conn: &AsyncPgConnection) -> Outcome<Verdict> {
        for _attempt in 0..ATTEMPTS {
            let (outcome, status, answer): Row = (&self).get_result(&mut conn).await?;
            match outcome.as_str() {
                // The buyer's own overdue holds count no more than anybody's.
                "due" => {
                    expiry::expire_for(conn, &[], &[self.buyer]).await?;
                    self.is_final = true;
                }
                // Somebody is at every seat there is; they have them or leave them in a moment.
                "busy" => {}
                other => return Verdict::read(other, status, answer),
            }
        }
        Err(Problem::from(BUSY).retry_after(1))
    }
}

/// Everybody is choosing at once.
const BUSY: Fault = common::UNAVAILABLE;

type Row = (String, Option<i32>, Option<String>);

// Not `sql_query`, whose statements are prepared anew at every call: this one is prepared once per connection.
impl QueryFragment<Pg> for Hold<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT outcome, status, answer FROM hold_seats(");
        out.push_bind_param::<SqlUuid, _>(&self.reservation_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&*self.number)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&self.event_id)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&self.buyer.0)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.route)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.key)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(self.body_hash)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.message)?;
        out.push_sql(", ");
        out.push_bind_param::<Double, _>(&self.seconds)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.most)?;
        out.push_sql(", ");
        out.push_bind_param::<Bool, _>(&self.is_final)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Array<SqlUuid>>, _>(&self.seat_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.quantity)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.section)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&self.max_price)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for Hold<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Hold<'_> {
    type SqlType = (Text, Nullable<Integer>, Nullable<Text>);
}
