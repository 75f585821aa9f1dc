//! The rows of events and ticket types, as those who run them change them.

use chassis::{
    outbox::Outbox,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, IntoSql, NullableExpressionMethods, OptionalExtension, QueryDsl,
    Queryable, QueryableByName, Selectable, SelectableHelper,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{Bool, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    catalogue::{LAYOUT_NOT_FOUND, SEATS_ORDERED, STOCK_BELOW_SOLD, TICKET_TYPE_EXISTS},
    fault::Fault,
    ids::{EventId, SeatId, TicketTypeId, UserId},
    seat_hold::{EVENT_NOT_FOUND, TICKET_TYPE_NOT_FOUND},
};
use uuid::Uuid;

use super::{authority::Scope, event_fields::EventFields, ticket_type_fields::TicketTypeFields};
use crate::{
    event::store::clock_timestamp,
    notice::{Notice, TOPIC},
    schema::{events, seat_layouts, ticket_types},
    seat::{self, layout::LayoutConfig},
};

/// An event as it is kept.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
pub(super) struct EventRow {
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) artist_name: Option<String>,
    pub(super) venue: String,
    pub(super) address: Option<String>,
    pub(super) event_date: DateTime<Utc>,
    pub(super) sale_start_date: DateTime<Utc>,
    pub(super) sale_end_date: DateTime<Utc>,
    pub(super) poster_image_url: Option<String>,
    pub(super) seat_layout_id: Option<Uuid>,
    pub(super) cancelled_at: Option<DateTime<Utc>>,
}

/// Locks an event that somebody may run; its ticket types and seats are locked after it.
///
/// # Errors
/// [`EVENT_NOT_FOUND`] when there is none, or it is not theirs.
pub(super) async fn lock_event(conn: &mut AsyncPgConnection, scope: Scope, id: EventId) -> Outcome<EventRow> {
    let found = events::table
        .find(id.0)
        .filter(events::organizer_id.eq(scope.organizer().unwrap_or_default()).or(scope.is_all().into_sql::<Bool>()))
        .select(EventRow::as_select())
        .for_update()
        .first(conn)
        .await;
    Ok(found.optional()?.ok_or(EVENT_NOT_FOUND)?)
}

/// Writes a new event.
pub(super) async fn insert_event(
    conn: &mut AsyncPgConnection,
    id: EventId,
    organizer: UserId,
    fields: &EventFields,
) -> Outcome<()> {
    let row = (
        events::id.eq(id.0),
        events::organizer_id.eq(organizer.0),
        events::title.eq(&fields.title),
        events::description.eq(&fields.description),
        events::artist_name.eq(&fields.artist_name),
        events::venue.eq(&fields.venue),
        events::address.eq(&fields.address),
        events::event_date.eq(fields.event_date),
        events::sale_start_date.eq(fields.sale_start_date),
        events::sale_end_date.eq(fields.sale_end_date),
        events::poster_image_url.eq(&fields.poster_image_url),
        events::seat_layout_id.eq(fields.seat_layout_id),
    );
    diesel::insert_into(events::table).values(row).execute(conn).await?;
    Ok(())
}

/// Writes what an event is from now on.
pub(super) async fn update_event(conn: &mut AsyncPgConnection, id: EventId, fields: &EventFields) -> Outcome<()> {
    let changes = (
        events::title.eq(&fields.title),
        events::description.eq(&fields.description),
        events::artist_name.eq(&fields.artist_name),
        events::venue.eq(&fields.venue),
        events::address.eq(&fields.address),
        events::event_date.eq(fields.event_date),
        events::sale_start_date.eq(fields.sale_start_date),
        events::sale_end_date.eq(fields.sale_end_date),
        events::poster_image_url.eq(&fields.poster_image_url),
        events::seat_layout_id.eq(fields.seat_layout_id),
        events::updated_at.eq(clock_timestamp()),
    );
    diesel::update(events::table.find(id.0)).set(changes).execute(conn).await?;
    Ok(())
}

/// Calls an event off; returns whether it was not before.
pub(super) async fn cancel_event(conn: &mut AsyncPgConnection, id: EventId) -> Outcome<bool> {
    let standing = events::table.find(id.0).filter(events::cancelled_at.is_null());
    let changes = (events::cancelled_at.eq(clock_timestamp().nullable()), events::updated_at.eq(clock_timestamp()));
    Ok(diesel::update(standing).set(changes).execute(conn).await? > 0)
}

/// Refuses a layout that is not there.
///
/// # Errors
/// [`LAYOUT_NOT_FOUND`].
pub(super) async fn check_layout(conn: &mut AsyncPgConnection, layout: Uuid) -> Outcome<()> {
    let found: Option<Uuid> = seat_layouts::table.find(layout).select(seat_layouts::id).first(conn).await.optional()?;
    Ok(found.map(drop).ok_or(LAYOUT_NOT_FOUND)?)
}

/// Makes the seats of a layout for an event, all in one statement.
///
/// # Errors
/// [`LAYOUT_NOT_FOUND`] when there is no such layout.
pub(super) async fn make_seats(
    conn: &mut AsyncPgConnection,
    event: EventId,
    layout: Uuid,
    next_id: impl Fn() -> SeatId,
) -> Outcome<()> {
    let config: Option<serde_json::Value> =
        seat_layouts::table.find(layout).select(seat_layouts::layout_config).first(conn).await.optional()?;
    let config = config.ok_or(LAYOUT_NOT_FOUND)?;
    let layout: LayoutConfig = serde_json::from_value(config).map_err(Problem::unexpected)?;
    seat::store::insert_missing(conn, event, &layout.places(), next_id).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Keeps everybody from the seats and the stock of an event until the transaction ends, in the order in which orders
/// lock them.
async fn lock_stock(conn: &mut AsyncPgConnection, event: EventId) -> Outcome<()> {
    for statement in [
        "SELECT FROM seats WHERE event_id = $1 ORDER BY id FOR UPDATE",
        "SELECT FROM ticket_types WHERE event_id = $1 ORDER BY id FOR UPDATE",
    ] {
        sql_query(statement).bind::<SqlUuid, _>(event.0).execute(conn).await?;
    }
    Ok(())
}

/// Deletes an event that nobody has ever ordered from; returns whether it could.
///
/// Its seats and stock are locked before anybody looks: who was at them before is seen, and who comes after finds
/// nothing.
pub(super) async fn delete_event(conn: &mut AsyncPgConnection, id: EventId) -> Outcome<bool> {
    lock_stock(conn, id).await?;
    let asked = sql_query(
        "SELECT EXISTS (SELECT FROM reservations WHERE event_id = $1) \
             OR EXISTS (SELECT FROM ticket_types WHERE event_id = $1 AND held + sold > 0) \
             OR EXISTS (SELECT FROM reservation_seats k JOIN seats s ON s.id = k.seat_id WHERE s.event_id = $1) AS found",
    );
    let Found { found } = asked.bind::<SqlUuid, _>(id.0).get_result(conn).await?;
    if found {
        return Ok(false);
    }
    // Of something that there was nothing of, ever.
    sql_query("DELETE FROM waiting_list WHERE event_id = $1").bind::<SqlUuid, _>(id.0).execute(conn).await?;
    diesel::delete(events::table.find(id.0)).execute(conn).await?;
    Ok(true)
}

/// Takes the seats of an event away, so that it can get those of another layout.
///
/// # Errors
/// [`SEATS_ORDERED`] when somebody has ever ordered one.
pub(super) async fn delete_seats(conn: &mut AsyncPgConnection, event: EventId) -> Outcome<()> {
    lock_stock(conn, event).await?;
    let asked = sql_query(
        "SELECT EXISTS (SELECT FROM reservation_seats k JOIN seats s ON s.id = k.seat_id WHERE s.event_id = $1) AS found",
    );
    let Found { found } = asked.bind::<SqlUuid, _>(event.0).get_result(conn).await?;
    if found {
        return Err(SEATS_ORDERED.into());
    }
    sql_query("DELETE FROM seats WHERE event_id = $1").bind::<SqlUuid, _>(event.0).execute(conn).await?;
    Ok(())
}

/// Writes new ticket types of an event.
///
/// # Errors
/// [`TICKET_TYPE_EXISTS`] when the event has one of that name.
pub(super) async fn insert_ticket_types(
    conn: &mut AsyncPgConnection,
    event: EventId,
    types: &[(TicketTypeId, TicketTypeFields)],
) -> Outcome<()> {
    let rows: Vec<_> = types
        .iter()
        .map(|(id, fields)| {
            (
                ticket_types::id.eq(id.0),
                ticket_types::event_id.eq(event.0),
                ticket_types::name.eq(&fields.name),
                ticket_types::description.eq(&fields.description),
                ticket_types::price.eq(fields.price),
                ticket_types::total_quantity.eq(fields.total_quantity),
            )
        })
        .collect();
    let inserted = diesel::insert_into(ticket_types::table).values(rows).execute(conn).await;
    inserted.map(drop).map_err(|error| name_taken(error, TICKET_TYPE_EXISTS))
}

fn name_taken(error: diesel::result::Error, fault: Fault) -> Problem {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => fault.into(),
        other => other.into(),
    }
}

/// Counts the ticket types of an event.
pub(super) async fn count_ticket_types(conn: &mut AsyncPgConnection, event: EventId) -> Outcome<i64> {
    Ok(ticket_types::table.filter(ticket_types::event_id.eq(event.0)).count().get_result(conn).await?)
}

/// A ticket type and where its event stands.
#[derive(Debug, Queryable)]
pub(super) struct TicketTypeRow {
    pub(super) event_id: Uuid,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) price: i64,
    pub(super) total_quantity: i32,
}

/// Finds a ticket type of an event that somebody may run.
///
/// # Errors
/// [`TICKET_TYPE_NOT_FOUND`] when there is none, or it is not theirs.
pub(super) async fn find_ticket_type(
    conn: &mut AsyncPgConnection,
    scope: Scope,
    id: TicketTypeId,
) -> Outcome<TicketTypeRow> {
    let found = ticket_types::table
        .inner_join(events::table)
        .filter(ticket_types::id.eq(id.0))
        .filter(events::organizer_id.eq(scope.organizer().unwrap_or_default()).or(scope.is_all().into_sql::<Bool>()))
        .select((
            ticket_types::event_id,
            ticket_types::name,
            ticket_types::description,
            ticket_types::price,
            ticket_types::total_quantity,
        ))
        .first(conn)
        .await;
    Ok(found.optional()?.ok_or(TICKET_TYPE_NOT_FOUND)?)
}

/// Writes what a ticket type is from now on, unless more than that is sold or held; one statement decides it.
///
/// # Errors
/// [`STOCK_BELOW_SOLD`], [`TICKET_TYPE_EXISTS`].
pub(super) async fn update_ticket_type(
    conn: &mut AsyncPgConnection,
    id: TicketTypeId,
    fields: &TicketTypeFields,
) -> Outcome<()> {
    let enough =
        ticket_types::table.find(id.0).filter((ticket_types::held + ticket_types::sold).le(fields.total_quantity));
    let changes = (
        ticket_types::name.eq(&fields.name),
        ticket_types::description.eq(&fields.description),
        ticket_types::price.eq(fields.price),
        ticket_types::total_quantity.eq(fields.total_quantity),
        ticket_types::version.eq(ticket_types::version + 1),
    );
    let updated = diesel::update(enough).set(changes).execute(conn).await;
    match updated.map_err(|error| name_taken(error, TICKET_TYPE_EXISTS))? {
        0 => Err(STOCK_BELOW_SOLD.into()),
        _ => Ok(()),
    }
}

/// Writes that an event has changed, for all replicas to hear after the commit.
pub(super) async fn tell(conn: &mut AsyncPgConnection, outbox: &Outbox, event_id: EventId) -> Outcome<()> {
    outbox.put(conn, TOPIC, &Notice::Event { event_id }).await
}
