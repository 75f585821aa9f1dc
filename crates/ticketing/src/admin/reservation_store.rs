//! The rows of reservations, as those who run the events see them.

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName, sql_query,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::ReservationId, page::Limit, seat_hold::ReservationStatus};
use uuid::Uuid;

use super::authority::Scope;

/// Which reservations somebody looks for; what is not said does not matter.
#[derive(Clone, Debug, Default)]
pub(super) struct ReservationFilter {
    pub(super) status: Option<ReservationStatus>,
    pub(super) payment_status: Option<String>,
    pub(super) event_id: Option<Uuid>,
    pub(super) user_id: Option<Uuid>,
    /// Its whole number, in upper case.
    pub(super) number: Option<String>,
    /// First instant of the span in which it was made.
    pub(super) from: Option<DateTime<Utc>>,
    /// First instant after it.
    pub(super) until: Option<DateTime<Utc>>,
}

/// A reservation with its event.
#[derive(Debug, QueryableByName)]
pub(super) struct ReservationRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) reservation_number: String,
    #[diesel(sql_type = SqlUuid)]
    pub(super) user_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) event_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) event_title: String,
    #[diesel(sql_type = Text)]
    pub(super) venue: String,
    #[diesel(sql_type = Timestamptz)]
    pub(super) event_date: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    pub(super) total_amount: i64,
    #[diesel(sql_type = Text)]
    pub(super) status: String,
    #[diesel(sql_type = Text)]
    pub(super) payment_status: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) payment_method: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) expires_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) now: DateTime<Utc>,
}

/// What an order consists of: one seat, or some tickets of a type.
#[derive(Debug, QueryableByName)]
pub(super) struct ItemRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) reservation_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) ticket_type_name: Option<String>,
    #[diesel(sql_type = Integer)]
    pub(super) quantity: i32,
    #[diesel(sql_type = BigInt)]
    pub(super) unit_price: i64,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) seat_label: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) section: Option<String>,
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

const COLUMNS: &str = "SELECT r.id, r.reservation_number, r.user_id, r.event_id, e.title AS event_title, e.venue, \
     e.event_date, r.total_amount, r.status, r.payment_status, r.payment_method, r.expires_at, r.created_at, \
     clock_timestamp() AS now FROM reservations r JOIN events e ON e.id = r.event_id";

impl ReservationFilter {
    /// Returns the condition of a query with the values of this filter; `$1` is the organizer.
    ///
    /// Conditions that say nothing are left out, so that the planner sees what matters; their values are bound all the
    /// same, each in its place.
    fn condition(&self, scope: Scope) -> String {
        let status = match self.status {
            None => "",
            Some(ReservationStatus::Pending) => " AND r.status = 'pending' AND r.expires_at > clock_timestamp()",
            Some(ReservationStatus::Expired) => {
                " AND (r.status = 'expired' OR (r.status = 'pending' AND r.expires_at <= clock_timestamp()))"
            }
            Some(ReservationStatus::Confirmed) => " AND r.status = 'confirmed'",
            Some(ReservationStatus::Cancelled) => " AND r.status = 'cancelled'",
        };
        let own = if scope.is_all() { " WHERE true" } else { " WHERE e.organizer_id = $1" };
        let given = [
            (self.payment_status.is_some(), " AND r.payment_status = $2"),
            (self.event_id.is_some(), " AND r.event_id = $3"),
            (self.user_id.is_some(), " AND r.user_id = $4"),
            (self.number.is_some(), " AND r.reservation_number = $5"),
            (self.from.is_some(), " AND r.created_at >= $6"),
            (self.until.is_some(), " AND r.created_at < $7"),
        ];
        let mut text = format!("{own}{status}");
        for (is_given, condition) in given {
            if is_given {
                text.push_str(condition);
            }
        }
        text
    }
}

macro_rules! bound {
    ($query:expr, $filter:expr, $scope:expr) => {
        sql_query($query)
            .bind::<Nullable<SqlUuid>, _>($scope.organizer())
            .bind::<Nullable<Text>, _>(&$filter.payment_status)
            .bind::<Nullable<SqlUuid>, _>($filter.event_id)
            .bind::<Nullable<SqlUuid>, _>($filter.user_id)
            .bind::<Nullable<Text>, _>(&$filter.number)
            .bind::<Nullable<Timestamptz>, _>($filter.from)
            .bind::<Nullable<Timestamptz>, _>($filter.until)
    };
}

/// Lists reservations, newest first, and says how many there are on all pages.
pub(super) async fn list(
    conn: &mut AsyncPgConnection,
    scope: Scope,
    filter: &ReservationFilter,
    limit: Limit,
    offset: i64,
) -> Outcome<(Vec<ReservationRow>, i64)> {
    let condition = filter.condition(scope);
    let count = format!("SELECT count(*) AS total FROM reservations r JOIN events e ON e.id = r.event_id{condition}");
    let Total { total } = bound!(count, filter, scope).get_result(conn).await?;
    let page = format!("{COLUMNS}{condition} ORDER BY r.id DESC LIMIT $8 OFFSET $9");
    let page = bound!(page, filter, scope).bind::<BigInt, _>(limit.rows()).bind::<BigInt, _>(offset);
    Ok((page.load(conn).await?, total))
}

/// Finds a reservation of an event that somebody may run.
pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    scope: Scope,
    id: ReservationId,
) -> Outcome<Option<ReservationRow>> {
    let query = format!("{COLUMNS} WHERE r.id = $1 AND ($2 IS NULL OR e.organizer_id = $2)");
    let query = sql_query(query).bind::<SqlUuid, _>(id.0).bind::<Nullable<SqlUuid>, _>(scope.organizer());
    Ok(query.prepared().get_result(conn).await.optional()?)
}

/// Lists the newest reservations of the events that somebody may run: a few of each, and of those the newest.
pub(super) async fn list_recent(conn: &mut AsyncPgConnection, scope: Scope, most: i64) -> Outcome<Vec<ReservationRow>> {
    let query = if scope.is_all() {
        format!("{COLUMNS} ORDER BY r.id DESC LIMIT $2")
    } else {
        format!(
            "{COLUMNS} WHERE r.id IN (SELECT n.id FROM events o CROSS JOIN LATERAL ( \
             SELECT id FROM reservations WHERE event_id = o.id ORDER BY id DESC LIMIT $2) n WHERE o.organizer_id = $1 \
             ORDER BY n.id DESC LIMIT $2) ORDER BY r.id DESC"
        )
    };
    let query = sql_query(query).bind::<Nullable<SqlUuid>, _>(scope.organizer()).bind::<BigInt, _>(most);
    Ok(query.prepared().load(conn).await?)
}

/// Lists what some orders consist of, also those that are over.
pub(super) async fn list_items(conn: &mut AsyncPgConnection, orders: &[Uuid]) -> Outcome<Vec<ItemRow>> {
    let items = sql_query(
        "SELECT k.reservation_id, NULL::text AS ticket_type_name, 1 AS quantity, k.price AS unit_price, s.seat_label, \
         s.section, s.row_number, s.seat_number \
         FROM reservation_seats k JOIN seats s ON s.id = k.seat_id WHERE k.reservation_id = ANY($1) \
         UNION ALL SELECT i.reservation_id, t.name, i.quantity, i.unit_price, NULL, NULL, 0, 0 \
         FROM reservation_items i LEFT JOIN ticket_types t ON t.id = i.ticket_type_id WHERE i.reservation_id = ANY($1) \
         ORDER BY section, row_number, seat_number, ticket_type_name",
    );
    Ok(items.bind::<Array<SqlUuid>, _>(orders).prepared().load(conn).await?)
}

/// What a dashboard counts.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct Figures {
    #[diesel(sql_type = BigInt)]
    pub(super) events: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) reservations: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) revenue: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) today: i64,
}

/// Counts the events that somebody may run and what was ordered from them; `from` and `until` are the day's ends.
///
/// Everything but the day comes from indexes alone, and the day from the blocks that were written on it.
pub(super) async fn figures(
    conn: &mut AsyncPgConnection,
    scope: Scope,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Outcome<Figures> {
    let (events, of_theirs) = if scope.is_all() {
        ("true", "")
    } else {
        ("organizer_id = $1", " AND event_id IN (SELECT id FROM events WHERE organizer_id = $1)")
    };
    let figures = format!(
        "SELECT (SELECT count(*) FROM events WHERE {events}) AS events, \
         (SELECT count(*) FROM reservations WHERE true{of_theirs}) AS reservations, \
         (SELECT coalesce(sum(total_amount), 0)::bigint FROM reservations WHERE status = 'confirmed'{of_theirs}) AS revenue, \
         (SELECT count(*) FROM reservations WHERE created_at >= $2 AND created_at < $3{of_theirs}) AS today"
    );
    let figures = sql_query(figures)
        .bind::<Nullable<SqlUuid>, _>(scope.organizer())
        .bind::<Timestamptz, _>(from)
        .bind::<Timestamptz, _>(until);
    Ok(figures.prepared().get_result(conn).await?)
}
