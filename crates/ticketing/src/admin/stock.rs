//! Stock that those who run an event change: who looks on hears of it, and who waits for tickets comes first.

use chassis::{outbox::Outbox, prepared::Prepare, problem::Outcome};
use diesel::{QueryDsl, Queryable, Selectable, SelectableHelper, sql_query, sql_types::Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::{EventId, TicketTypeId};
use uuid::Uuid;

use crate::{
    notice::{Notice, TOPIC},
    schema::ticket_types,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = ticket_types, check_for_backend(diesel::pg::Pg))]
struct Stock {
    event_id: Uuid,
    total_quantity: i32,
    held: i32,
    sold: i32,
    version: i64,
}

/// Writes how much there is of a ticket type, as `move_stock` does for everybody else; call in the transaction that
/// changed it.
pub(super) async fn tell(conn: &mut AsyncPgConnection, outbox: &Outbox, id: TicketTypeId) -> Outcome<()> {
    let stock: Stock = ticket_types::table.find(id.0).select(Stock::as_select()).first(conn).await?;
    let notice = Notice::Tickets {
        event_id: EventId(stock.event_id),
        ticket_type_id: id,
        available_quantity: i64::from(stock.total_quantity) - i64::from(stock.held) - i64::from(stock.sold),
        total_quantity: stock.total_quantity.into(),
        version: stock.version,
    };
    outbox.put(conn, TOPIC, &notice).await
}

/// Holds what has been added for those who wait for it, before anybody else can see it. Call last: the function locks the
/// ticket type, and people and their places in line only without waiting.
pub(super) async fn offer(conn: &mut AsyncPgConnection, id: TicketTypeId) -> Outcome<()> {
    sql_query("SELECT offer_stock(ARRAY[$1])").bind::<SqlUuid, _>(id.0).prepared().execute(conn).await?;
    Ok(())
}
