//! The rows of tickets.

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName, sql_query,
    sql_types::{Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::{EventId, ReservationId, TicketId, UserId};
use uuid::Uuid;

/// What is read of a ticket, with what it is for.
const COLUMNS: &str = "t.id, t.event_id, t.seat_id, s.seat_label, s.section, s.row_number, s.seat_number, \
                       t.ticket_type_id, y.name AS ticket_type_name, t.ordinal, t.used_at, t.created_at, \
                       r.status AS reservation_status, r.reservation_number, e.title, e.organizer_id";
/// Where that comes from.
const SOURCES: &str = "tickets t JOIN reservations r ON r.id = t.reservation_id JOIN events e ON e.id = t.event_id \
                       LEFT JOIN seats s ON s.id = t.seat_id LEFT JOIN ticket_types y ON y.id = t.ticket_type_id";

/// A ticket with what it is for.
#[derive(Debug, QueryableByName)]
#[expect(missing_docs, reason = "the columns are described in the migrations")]
pub struct Ticket {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub event_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub seat_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub seat_label: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub section: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub row_number: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    pub seat_number: Option<i32>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub ticket_type_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub ticket_type_name: Option<String>,
    #[diesel(sql_type = Integer)]
    pub ordinal: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub used_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    reservation_status: String,
    #[diesel(sql_type = Text)]
    pub reservation_number: String,
    #[diesel(sql_type = Text)]
    pub title: String,
    #[diesel(sql_type = SqlUuid)]
    pub organizer_id: Uuid,
}

impl Ticket {
    /// Returns whether it opens a door, once.
    pub fn is_good(&self) -> bool {
        self.reservation_status == "confirmed"
    }

    /// Returns its id.
    pub fn id(&self) -> TicketId {
        TicketId(self.id)
    }

    /// Returns the event it lets somebody into.
    pub fn event(&self) -> EventId {
        EventId(self.event_id)
    }
}

/// Makes the tickets of a reservation that is being confirmed, or was; those that it has stay as they are.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn issue(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<()> {
    // Ids are random, so that they tell neither when something was bought nor how much.
    sql_query(
        "INSERT INTO tickets (id, reservation_id, event_id, seat_id, ticket_type_id, ordinal, holder_id) \
         SELECT gen_random_uuid(), r.id, r.event_id, w.seat_id, w.ticket_type_id, w.ordinal, r.user_id \
         FROM reservations r, LATERAL ( \
             SELECT k.seat_id, NULL::uuid AS ticket_type_id, 1 AS ordinal FROM reservation_seats k \
             WHERE k.reservation_id = r.id \
             UNION ALL \
             SELECT NULL, i.ticket_type_id, n FROM reservation_items i, generate_series(1, i.quantity) n \
             WHERE i.reservation_id = r.id) w \
         WHERE r.id = $1 ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(id.0)
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes back the tickets of a reservation that was not confirmed after all, in the transaction that made them.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn withdraw(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<()> {
    sql_query("DELETE FROM tickets WHERE reservation_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .prepared()
        .execute(conn)
        .await?;
    Ok(())
}

/// Lists the tickets of a reservation of a person, seats first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, id: ReservationId, owner: UserId) -> Outcome<Vec<Ticket>> {
    let query = format!(
        "SELECT {COLUMNS} FROM {SOURCES} WHERE t.reservation_id = $1 AND r.user_id = $2 \
         ORDER BY s.section, s.row_number, s.seat_number, y.price DESC, t.ticket_type_id, t.ordinal"
    );
    Ok(sql_query(query).bind::<SqlUuid, _>(id.0).bind::<SqlUuid, _>(owner.0).prepared().load(conn).await?)
}

/// Finds a ticket, and keeps its reservation from being called off until the end of the transaction.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_for_entry(conn: &mut AsyncPgConnection, id: TicketId, event: EventId) -> Outcome<Option<Ticket>> {
    let query = format!("SELECT {COLUMNS} FROM {SOURCES} WHERE t.id = $1 AND t.event_id = $2 FOR SHARE OF r");
    let found = sql_query(query).bind::<SqlUuid, _>(id.0).bind::<SqlUuid, _>(event.0).prepared().get_result(conn).await;
    Ok(found.optional()?)
}

#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = Timestamptz)]
    used_at: DateTime<Utc>,
}

/// Uses a ticket, unless somebody was faster; returns when it was used by this.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn use_once(conn: &mut AsyncPgConnection, id: TicketId) -> Outcome<Option<DateTime<Utc>>> {
    let used: Option<Used> = sql_query(
        "UPDATE tickets SET used_at = clock_timestamp(), version = version + 1 \
         WHERE id = $1 AND used_at IS NULL RETURNING used_at",
    )
    .bind::<SqlUuid, _>(id.0)
    .prepared()
    .get_result(conn)
    .await
    .optional()?;
    Ok(used.map(|used| used.used_at))
}

/// Returns whether somebody came in with a ticket of a reservation.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn is_any_used(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        is_used: bool,
    }
    let query = "SELECT EXISTS (SELECT FROM tickets WHERE reservation_id = $1 AND used_at IS NOT NULL) AS is_used";
    let Found { is_used } = sql_query(query).bind::<SqlUuid, _>(id.0).prepared().get_result(conn).await?;
    Ok(is_used)
}

/// Returns when a ticket was used.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_use(conn: &mut AsyncPgConnection, id: TicketId) -> Outcome<Option<DateTime<Utc>>> {
    let used: Option<Used> = sql_query("SELECT used_at FROM tickets WHERE id = $1 AND used_at IS NOT NULL")
        .bind::<SqlUuid, _>(id.0)
        .prepared()
        .get_result(conn)
        .await
        .optional()?;
    Ok(used.map(|used| used.used_at))
}
