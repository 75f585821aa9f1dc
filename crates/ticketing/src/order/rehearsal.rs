//! Orders that are made and taken back before the first real one: a connection's first use of the function costs some
//! thirty milliseconds of compiling and planning, which at the opening of a sale nobody has.

use chassis::{
    idempotency::{Attempt, IdempotencyKey},
    problem::Outcome,
};
use diesel::{result::Error as DieselError, sql_query, sql_types::Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId, TicketTypeId, UserId},
    ticket_order::Basket,
};
use uuid::Uuid;

use super::batch::{self, Manner, Order, Terms};

/// What the rehearsed orders are for; rolled back, so that nobody ever sees it.
const EVENT: EventId = EventId(Uuid::from_u128(0x6d61_7275));
const TICKET_TYPE: TicketTypeId = TicketTypeId(Uuid::from_u128(0x6d61_7275));

/// Makes orders and takes them back.
pub(super) async fn rehearse(conn: &mut AsyncPgConnection, terms: Terms) -> Outcome<()> {
    let basket = Basket::parse(&[(TICKET_TYPE, Some(1))], 1)?;
    let mut orders = Vec::new();
    for buyer in 1..=4 {
        let id = Uuid::from_u128(buyer);
        let attempt = Attempt::new(UserId(id), batch::ROUTE, IdempotencyKey(None), &())?;
        orders.push(Order::new(ReservationId(id), EVENT, UserId(id), basket.clone(), &attempt, ""));
    }
    let orders: Vec<_> = orders.iter().collect();
    let (first, last) = orders.split_at(orders.len() / 2);
    let rehearsed = conn
        .transaction::<(), Rehearsed, _>(async |conn| {
            set_the_stage(conn).await?;
            for (orders, manner) in [(first, Manner::Hopeful), (last, Manner::Cautious)] {
                batch::run(conn, orders, terms, manner).await.map_err(Rehearsed::Badly)?;
            }
            Err(Rehearsed::Well)
        })
        .await;
    match rehearsed {
        Err(Rehearsed::Badly(problem)) => Err(problem),
        Ok(()) | Err(Rehearsed::Well) => Ok(()),
    }
}

/// How a rehearsal ended; any end is rolled back.
pub(crate) enum Rehearsed {
    Well,
    Badly(chassis::problem::Problem),
}

impl From<DieselError> for Rehearsed {
    fn from(error: DieselError) -> Self {
        Self::Badly(error.into())
    }
}

/// Rehearsals of several connections wait for each other here.
async fn set_the_stage(conn: &mut AsyncPgConnection) -> Result<(), DieselError> {
    sql_query(
        "WITH rehearsal AS (INSERT INTO events (id, organizer_id, title, venue, event_date, sale_start_date, sale_end_date) \
         SELECT id, id, 'rehearsal', 'rehearsal', clock_timestamp() + interval '2 hours', \
         clock_timestamp() - interval '1 hour', clock_timestamp() + interval '1 hour' FROM (SELECT $1 AS id) e RETURNING id) \
         INSERT INTO ticket_types (id, event_id, name, price, total_quantity) SELECT id, id, 'rehearsal', 1, 9 FROM rehearsal",
    )
    .bind::<SqlUuid, _>(EVENT.0)
    .execute(conn)
    .await?;
    Ok(())
}
