//! What belongs to a person's orders: items, payments, tickets.

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, UserId},
    person::ERASE_ROWS,
    time::Instant,
};
use serde::Serialize;
use uuid::Uuid;

use crate::queue::log::user_hash;

/// Some tickets of a type in one of several reservations.
#[derive(Debug, QueryableByName)]
pub(super) struct OrderedItem {
    #[diesel(sql_type = SqlUuid)]
    pub(super) reservation_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) ticket_type_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) ticket_type_name: Option<String>,
    #[diesel(sql_type = Integer)]
    pub(super) quantity: i32,
    #[diesel(sql_type = BigInt)]
    pub(super) unit_price: i64,
}

/// Money for one of several reservations.
#[derive(Debug, QueryableByName)]
pub(super) struct Payment {
    #[diesel(sql_type = SqlUuid)]
    pub(super) reservation_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) order_id: String,
    #[diesel(sql_type = Text)]
    pub(super) method: String,
    #[diesel(sql_type = BigInt)]
    pub(super) amount: i64,
    #[diesel(sql_type = Text)]
    pub(super) status: String,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) captured_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) refunded_at: Option<DateTime<Utc>>,
}

/// What one person comes in with, of one of several reservations.
#[derive(Debug, QueryableByName)]
#[expect(clippy::struct_field_names, reason = "named as the columns are")]
pub(super) struct Ticket {
    #[diesel(sql_type = SqlUuid)]
    pub(super) reservation_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(super) seat_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(super) ticket_type_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) used_at: Option<DateTime<Utc>>,
}

/// A place in the line for tickets that come back.
#[derive(Debug, QueryableByName)]
pub(super) struct WaitingPlace {
    #[diesel(sql_type = SqlUuid)]
    pub(super) event_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) ticket_type_id: Uuid,
    #[diesel(sql_type = Integer)]
    pub(super) quantity: i32,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
}

/// Lists what a person waits for; there is at most one place for each ticket type.
pub(super) async fn list_waiting(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<Vec<WaitingPlace>> {
    let waiting = sql_query(
        "SELECT event_id, ticket_type_id, quantity, created_at FROM waiting_list WHERE user_id = $1 ORDER BY place",
    );
    Ok(waiting.bind::<SqlUuid, _>(person.0).prepared().load(conn).await?)
}

/// An entry of the admission log, as it is shown to whom it is about.
#[derive(Debug, QueryableByName, Serialize)]
pub(super) struct Admission {
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = BigInt)]
    index: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Timestamptz, deserialize_as = DateTime<Utc>)]
    admitted_at: Instant,
}

#[derive(QueryableByName)]
struct Room {
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
}

/// Lists when a person was let in to events that they have ordered from. The log knows people by a hash of event and person
/// alone, so it is asked event by event: each has a hash of its own, and entries of its own to look through.
pub(super) async fn list_admissions(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<Vec<Admission>> {
    let rooms = sql_query(
        "SELECT event_id FROM waiting_rooms \
         WHERE event_id IN (SELECT event_id FROM reservations WHERE user_id = $1) ORDER BY event_id",
    );
    let rooms: Vec<Room> = rooms.bind::<SqlUuid, _>(person.0).load(conn).await?;
    let mut admissions = Vec::new();
    for Room { event_id } in rooms {
        let entries = sql_query(
            "SELECT event_id, index, seq, admitted_at FROM queue_admissions WHERE event_id = $1 AND user_hash = $2 \
             ORDER BY index",
        );
        let entries =
            entries.bind::<SqlUuid, _>(event_id).bind::<Binary, _>(user_hash(EventId(event_id), person).to_vec());
        admissions.extend(entries.prepared().load::<Admission>(conn).await?);
    }
    Ok(admissions)
}

/// Lists what several reservations have of ticket types.
pub(super) async fn list_items(conn: &mut AsyncPgConnection, reservations: &[Uuid]) -> Outcome<Vec<OrderedItem>> {
    let items = sql_query(
        "SELECT k.reservation_id, k.ticket_type_id, t.name AS ticket_type_name, k.quantity, k.unit_price \
         FROM reservation_items k LEFT JOIN ticket_types t ON t.id = k.ticket_type_id \
         WHERE k.reservation_id = ANY($1) ORDER BY t.name, k.ticket_type_id",
    );
    Ok(items.bind::<Array<SqlUuid>, _>(reservations).prepared().load(conn).await?)
}

/// Lists how several reservations were paid for.
pub(super) async fn list_payments(conn: &mut AsyncPgConnection, reservations: &[Uuid]) -> Outcome<Vec<Payment>> {
    let payments = sql_query(
        "SELECT reservation_id, id, order_id, method, amount, status, created_at, captured_at, refunded_at \
         FROM payments WHERE reservation_id = ANY($1) ORDER BY id",
    );
    Ok(payments.bind::<Array<SqlUuid>, _>(reservations).prepared().load(conn).await?)
}

/// Lists the tickets of several reservations.
pub(super) async fn list_tickets(conn: &mut AsyncPgConnection, reservations: &[Uuid]) -> Outcome<Vec<Ticket>> {
    let tickets = sql_query(
        "SELECT reservation_id, id, seat_id, ticket_type_id, used_at FROM tickets WHERE reservation_id = ANY($1) \
         ORDER BY id",
    );
    Ok(tickets.bind::<Array<SqlUuid>, _>(reservations).prepared().load(conn).await?)
}

/// Takes a person out of some of their tickets; each is from then on of whoever its order has in place of them. Call
/// when the person is out of the orders. Returns how many.
pub(super) async fn disown_tickets(conn: &mut AsyncPgConnection, holder: UserId) -> Outcome<usize> {
    let disowned = sql_query(
        "WITH theirs AS (SELECT t.id, r.user_id FROM tickets t JOIN reservations r ON r.id = t.reservation_id \
             WHERE t.holder_id = $1 AND r.user_id <> $1 ORDER BY t.id LIMIT $2 FOR UPDATE OF t) \
         UPDATE tickets t SET holder_id = theirs.user_id FROM theirs WHERE t.id = theirs.id",
    );
    Ok(disowned.bind::<SqlUuid, _>(holder.0).bind::<BigInt, _>(ERASE_ROWS).execute(conn).await?)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Returns whether anything else than an order bears a person's name.
pub(super) async fn has_any(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<bool> {
    let asked = sql_query(
        "SELECT EXISTS (SELECT FROM tickets WHERE holder_id = $1) OR EXISTS (SELECT FROM user_event WHERE user_id = $1) \
         OR EXISTS (SELECT FROM waiting_list WHERE user_id = $1) AS found",
    );
    let Found { found } = asked.bind::<SqlUuid, _>(person.0).get_result(conn).await?;
    Ok(found)
}
