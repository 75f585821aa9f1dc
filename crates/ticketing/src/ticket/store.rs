//! The rows of ticket types.

use chassis::problem::Outcome;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::EventId;
use uuid::Uuid;

use crate::schema::ticket_types;

/// A ticket type.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = ticket_types, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct TicketType {
    pub id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub price: i64,
    pub total_quantity: i32,
    pub held: i32,
    pub sold: i32,
}

impl TicketType {
    /// Returns how many can still be bought.
    pub const fn available(&self) -> i32 {
        self.total_quantity - self.held - self.sold
    }
}

/// Lists an event's ticket types, the dearest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Vec<TicketType>> {
    let types = ticket_types::table
        .filter(ticket_types::event_id.eq(event_id.0))
        .select(TicketType::as_select())
        .order((ticket_types::price.desc(), ticket_types::name))
        .load(conn)
        .await;
    Ok(types?)
}

/// Finds a ticket type.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, id: Uuid) -> Outcome<Option<TicketType>> {
    let found = ticket_types::table.find(id).select(TicketType::as_select()).first(conn).await;
    Ok(found.optional()?)
}
