//! The one statement that makes orders, many at once.
//!
//! What it decides and in which order it locks stands with the function `reserve_batch` in the migration. Of each person
//! a batch has at most one order, and an order without a key of its own brings its id as one: so a batch whose end was
//! not seen can be asked for again.

use std::time::Duration;

use chassis::{
    idempotency::Attempt,
    pg::only_row,
    problem::{Outcome, Problem},
};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::Error as DieselError,
    sql_types::{Array, Binary, Bool, Double, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId, TicketTypeId, UserId},
    seat_hold::reservation_number,
    ticket_order::{Basket, Portion},
};
use uuid::Uuid;

use super::{
    lane::Request,
    rehearsal,
    verdict::{Columns, Verdict},
};
use crate::seat::expiry;

/// Under which route its keys are kept.
pub(crate) const ROUTE: &str = "POST /api/v1/reservations";
/// What the function says when others were faster than a hopeful batch.
const RUN_SHORT: &str = "orders_run_short";

/// An order that somebody places.
#[derive(Clone, Debug)]
pub struct Order {
    id: ReservationId,
    number: String,
    event_id: EventId,
    /// Who orders.
    buyer: UserId,
    key: String,
    body_hash: Vec<u8>,
    message: &'static str,
    basket: Basket,
}

impl Order {
    /// Describes an order; `message` is what its answer tells people.
    pub fn new(
        id: ReservationId,
        event_id: EventId,
        buyer: UserId,
        basket: Basket,
        attempt: &Attempt,
        message: &'static str,
    ) -> Self {
        let key = attempt.key().map_or_else(|| id.to_string(), str::to_owned);
        let body_hash = attempt.body_hash().to_vec();
        Self { id, number: reservation_number(id), event_id, buyer, key, body_hash, message, basket }
    }

    /// Returns the ticket types it wants.
    fn types(&self) -> impl Iterator<Item = TicketTypeId> + '_ {
        self.basket.portions().iter().map(|portion| portion.ticket_type_id)
    }
}

/// Limits that hold for every order.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long tickets are held for somebody who has not paid.
    pub hold: Duration,
    /// Most tickets and seats of an event for one person.
    pub most_per_event: usize,
}

/// How a batch is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As if there were enough for everybody; fails when there is not.
    Hopeful,
    /// Stock is locked first and given out order by order.
    Cautious,
    /// The same, after what was overdue has been expired.
    Final,
}

/// The statement's values, one array for each column.
#[derive(Debug, Default)]
struct Batch<'a> {
    ids: Vec<Uuid>,
    numbers: Vec<&'a str>,
    events: Vec<Uuid>,
    users: Vec<Uuid>,
    keys: Vec<&'a str>,
    hashes: Vec<&'a [u8]>,
    messages: Vec<&'a str>,
    item_orders: Vec<i32>,
    item_types: Vec<Uuid>,
    item_quantities: Vec<i32>,
    seconds: f64,
    most: i32,
    is_cautious: bool,
    is_final: bool,
}

impl<'a> Batch<'a> {
    fn new(orders: &[&'a Order], terms: Terms, manner: Manner) -> Self {
        let mut batch = Self {
            seconds: terms.hold.as_secs_f64(),
            most: i32::try_from(terms.most_per_event).unwrap_or(i32::MAX),
            is_cautious: manner != Manner::Hopeful,
            is_final: manner == Manner::Final,
            ..Self::default()
        };
        for (at, order) in (1..).zip(orders) {
            batch.ids.push(order.id.0);
            batch.numbers.push(&order.number);
            batch.events.push(order.event_id.0);
            batch.users.push(order.buyer.0);
            batch.keys.push(&order.key);
            batch.hashes.push(&order.body_hash);
            batch.messages.push(order.message);
            for Portion { ticket_type_id, quantity } in order.basket.portions() {
                batch.item_orders.push(at);
                batch.item_types.push(ticket_type_id.0);
                batch.item_quantities.push(*quantity);
            }
        }
        batch
    }
}

// Not `sql_query`, whose statements are prepared anew at every call: this one is prepared once per connection.
impl QueryFragment<Pg> for Batch<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT outcomes, statuses, answers FROM reserve_batch(");
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
        out.push_bind_param::<Array<Text>, _>(&self.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.hashes)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.messages)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.item_orders)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.item_types)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Integer>, _>(&self.item_quantities)?;
        out.push_sql(", ");
        out.push_bind_param::<Double, _>(&self.seconds)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.most)?;
        out.push_sql(", ");
        out.push_bind_param::<Bool, _>(&self.is_cautious)?;
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
    type SqlType = (
        Array<diesel::sql_types::Nullable<Text>>,
        Array<diesel::sql_types::Nullable<Integer>>,
        Array<diesel::sql_types::Nullable<Text>>,
    );
}

/// Makes orders, in one transaction of its own; `None` when a hopeful batch ran short and nothing has changed.
///
/// # Errors
/// Returns a problem when the database is away or a lock is not free in time; nothing has changed then, unless the
/// connection broke, when nobody knows.
pub(super) async fn run(
    mut conn: &AsyncPgConnection,
    orders: &[&Order],
    terms: Terms,
    manner: Manner,
) -> Outcome<Option<Vec<Verdict>>> {
    let columns: Columns = match only_row(Batch::new(orders, terms, manner).load(&mut conn)).await {
        Err(DieselError::DatabaseError(_, info)) if info.message() == RUN_SHORT => return Ok(None),
        answered => answered?,
    };
    Verdict::read_all(columns).map(Some)
}

impl Request for Order {
    const KIND: &'static str = "orders";

    fn buyer(&self) -> UserId {
        self.buyer
    }

    fn wanted(&self) -> impl Iterator<Item = Uuid> {
        self.types().map(|wanted| wanted.0)
    }

    /// Makes orders in one transaction, and those that want what overdue reservations hold in another.
    async fn together(conn: &AsyncPgConnection, orders: &[&Self], terms: Terms) -> Outcome<Vec<Verdict>> {
        let mut verdicts = match run(conn, orders, terms, Manner::Hopeful).await? {
            Some(verdicts) => verdicts,
            None => cautiously(conn, orders, terms, Manner::Cautious).await?,
        };
        let left: Vec<_> = orders.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Due).collect();
        if !left.is_empty() {
            let left: Vec<_> = left.into_iter().map(|(order, _)| *order).collect();
            let types: Vec<_> = left.iter().flat_map(|order| order.types()).collect();
            let buyers: Vec<_> = left.iter().map(|order| order.buyer).collect();
            expiry::expire_for(conn, &types, &buyers).await?;
            Verdict::settle(&mut verdicts, cautiously(conn, &left, terms, Manner::Final).await?);
        }
        Ok(verdicts)
    }

    async fn rehearse(conn: &mut AsyncPgConnection, terms: Terms) -> Outcome<()> {
        rehearsal::rehearse(conn, terms).await
    }
}

async fn cautiously(
    conn: &AsyncPgConnection,
    orders: &[&Order],
    terms: Terms,
    manner: Manner,
) -> Outcome<Vec<Verdict>> {
    run(conn, orders, terms, manner).await?.ok_or_else(|| Problem::unexpected("a cautious batch ran short"))
}
