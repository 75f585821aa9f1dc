//! The one statement that holds seats for many people at once.
//!
//! What it decides and in which order it locks stands with the function `hold_seats_batch` in the migration. Of each
//! person a batch has at most one request; a batch whose end was not seen can be asked for again. A request with a key that
//! travels alone goes the way of [`Hold`], which is shorter.

use chassis::{idempotency::Attempt, pg::only_row, problem::Outcome};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, Binary, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId, UserId},
    seat_hold::{SeatSelection, reservation_number},
};
use uuid::Uuid;

use super::{expiry, hold::Hold, rehearsal};
use crate::order::{
    batch::Terms,
    lane::Request,
    verdict::{Columns, Verdict},
};

/// Under which route its keys are kept.
pub(crate) const ROUTE: &str = "POST /api/v1/seats/reserve";

/// Seats that somebody wants, all or none.
#[derive(Clone, Debug)]
pub struct Choice {
    pub(super) id: ReservationId,
    pub(super) number: String,
    pub(super) event_id: EventId,
    /// Who wants them.
    pub(super) buyer: UserId,
    pub(super) key: Option<String>,
    pub(super) body_hash: Vec<u8>,
    pub(super) message: &'static str,
    pub(super) seats: SeatSelection,
}

impl Choice {
    /// Describes a choice; `message` is what its answer tells people.
    pub fn new(
        id: ReservationId,
        event_id: EventId,
        buyer: UserId,
        seats: SeatSelection,
        attempt: &Attempt,
        message: &'static str,
    ) -> Self {
        let key = attempt.key().map(str::to_owned);
        let body_hash = attempt.body_hash().to_vec();
        Self { id, number: reservation_number(id), event_id, buyer, key, body_hash, message, seats }
    }
}

/// The statement's values, one array for each column.
#[derive(Debug, Default)]
struct Batch<'a> {
    ids: Vec<Uuid>,
    numbers: Vec<&'a str>,
    events: Vec<Uuid>,
    users: Vec<Uuid>,
    keys: Vec<Option<&'a str>>,
    hashes: Vec<&'a [u8]>,
    messages: Vec<&'a str>,
    item_holds: Vec<i32>,
    item_seats: Vec<Uuid>,
    seconds: f64,
    most: i32,
    is_final: bool,
}

impl<'a> Batch<'a> {
    fn new(choices: &[&'a Choice], terms: Terms, is_final: bool) -> Self {
        let mut batch = Self {
            seconds: terms.hold.as_secs_f64(),
            most: i32::try_from(terms.most_per_event).unwrap_or(i32::MAX),
            is_final,
            ..Self::default()
        };
        for (at, choice) in (1..).zip(choices) {
            batch.ids.push(choice.id.0);
            batch.numbers.push(&choice.number);
            batch.events.push(choice.event_id.0);
            batch.users.push(choice.buyer.0);
            batch.keys.push(choice.key.as_deref());
            batch.hashes.push(&choice.body_hash);
            batch.messages.push(choice.message);
            for seat in choice.seats.seats() {
                batch.item_holds.push(at);
                batch.item_seats.push(seat.0);
            }
        }
        batch
    }
}

// Not `sql_query`, whose statements are prepared anew at every call: this one is prepared once per connection.
impl QueryFragment<Pg> for Batch<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT outcomes, statuses, answers FROM hold_seats_batch(");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.numbers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.events)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.users)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(ROUTE)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.hashes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.messages)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.item_holds)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.item_seats)?;
        out.push_sql(", ");
        out.push_bind_param::<Double, _>(&self.seconds)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.most)?;
        out.push_sql(", ");
        out.push_bind_param::<Bool, _>(&self.is_final)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for Batch<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Batch<'_> {
    type SqlType = (Array<Nullable<Text>>, Array<Nullable<Integer>>, Array<Nullable<Text>>);
}

/// Holds the seats of each, or none, in one transaction of its own.
///
/// # Errors
/// Returns a problem when the database is away or a lock is not free in time; nothing has changed then, unless the
/// connection broke, when nobody knows.
pub(super) async fn run(
    mut conn: &AsyncPgConnection,
    choices: &[&Choice],
    terms: Terms,
    is_final: bool,
) -> Outcome<Vec<Verdict>> {
    let columns: Columns = only_row(Batch::new(choices, terms, is_final).load(&mut conn)).await?;
    Verdict::read_all(columns)
}

impl Request for Choice {
    const KIND: &'static str = "seats";

    fn buyer(&self) -> UserId {
        self.buyer
    }

    fn wanted(&self) -> impl Iterator<Item = Uuid> {
        self.seats.seats().iter().map(|seat| seat.0)
    }

    /// Holds seats in one transaction, and those of people whose own overdue holds are in the way in another.
    async fn together(conn: &AsyncPgConnection, choices: &[&Self], terms: Terms) -> Outcome<Vec<Verdict>> {
        // Asked again without a key, only the statement for many knows its own reservation.
        if let [choice] = choices
            && choice.key.is_some()
        {
            return Ok(vec![Hold::of(choice, terms).verdict(conn).await?]);
        }
        let mut verdicts = run(conn, choices, terms, false).await?;
        let left: Vec<_> = choices.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Due).collect();
        if !left.is_empty() {
            let left: Vec<_> = left.into_iter().map(|(choice, _)| *choice).collect();
            let buyers: Vec<_> = left.iter().map(|choice| choice.buyer).collect();
            expiry::expire_for(conn, &[], &buyers).await?;
            Verdict::settle(&mut verdicts, run(conn, &left, terms, true).await?);
        }
        Ok(verdicts)
    }

    async fn rehearse(conn: &mut AsyncPgConnection, terms: Terms) -> Outcome<()> {
        rehearsal::rehearse(conn, terms).await
    }
}
