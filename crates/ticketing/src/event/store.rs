//! The rows of events.

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryDsl, Queryable, QueryableByName, Selectable, SelectableHelper,
    pg::Pg,
    sql_query,
    sql_types::{Bool, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, UserId},
    page::Limit,
    seat_hold::{EventStatus, SaleWindow},
};
use uuid::Uuid;

use super::{page::Page, words::Words};
use crate::schema::{event_listings, events};

diesel::define_sql_function! {
    /// The database's clock, the only one that sales and holds go by.
    fn clock_timestamp() -> Timestamptz;
}

/// An event with what follows from the time and the stock.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = event_listings, check_for_backend(Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Listing {
    pub id: Uuid,
    pub title: String,
    pub description: Option<String>,
    pub artist_name: Option<String>,
    pub venue: String,
    pub address: Option<String>,
    pub event_date: DateTime<Utc>,
    pub sale_start_date: DateTime<Utc>,
    pub sale_end_date: DateTime<Utc>,
    pub poster_image_url: Option<String>,
    pub seat_layout_id: Option<Uuid>,
    pub status: String,
    pub ticket_type_count: i64,
    pub min_price: Option<i64>,
    pub max_price: Option<i64>,
}

impl Listing {
    /// Returns where the event stands; a status this version does not know is shown as over.
    pub fn status(&self) -> EventStatus {
        EventStatus::parse(&self.status).unwrap_or(EventStatus::Ended)
    }
}

/// Which events somebody looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Only those that stand there.
    pub status: Option<EventStatus>,
    /// Only those with all of these words in their title, artist, venue or address, in any case.
    pub words: Option<Words>,
}

/// Lists events by the start of their sale, and says how many there are on all pages.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    limit: Limit,
    offset: i64,
) -> Outcome<(Vec<Listing>, i64)> {
    let rows: Vec<(i64, Option<Listing>)> = Page::new(filter, limit.rows(), offset).prepared().load(conn).await?;
    let total = rows.iter().map(|(total, _)| *total).next().unwrap_or_default();
    Ok((rows.into_iter().filter_map(|(_, listing)| listing).collect(), total))
}

/// Finds an event.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, id: EventId) -> Outcome<Option<Listing>> {
    let found = event_listings::table.find(id.0).select(Listing::as_select()).first(conn).await;
    Ok(found.optional()?)
}

/// Returns whether there is such an event.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn exists(conn: &mut AsyncPgConnection, id: EventId) -> Outcome<bool> {
    Ok(diesel::select(diesel::dsl::exists(events::table.find(id.0))).get_result(conn).await?)
}

/// Finds when an event's tickets can be bought, with the database's time at which that was read.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_sale(conn: &mut AsyncPgConnection, id: EventId) -> Outcome<Option<(SaleWindow, DateTime<Utc>)>> {
    type Row = (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>, DateTime<Utc>);
    let found: Option<Row> = events::table
        .find(id.0)
        .select((
            events::sale_start_date,
            events::sale_end_date,
            events::event_date,
            events::cancelled_at,
            clock_timestamp(),
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(|(opens_at, closes_at, takes_place_at, cancelled_at, now)| {
        (SaleWindow { opens_at, closes_at, takes_place_at, cancelled: cancelled_at.is_some() }, now)
    }))
}

/// Returns whether a person has a confirmed ticket to an event.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_ticket(conn: &mut AsyncPgConnection, event: EventId, person: UserId) -> Outcome<bool> {
    let asked = sql_query(
        "SELECT EXISTS (SELECT FROM reservations r WHERE r.user_id = $1 AND r.event_id = $2 AND r.status = 'confirmed' \
         AND (EXISTS (SELECT FROM reservation_seats k WHERE k.reservation_id = r.id) \
             OR EXISTS (SELECT FROM reservation_items k WHERE k.reservation_id = r.id))) AS found",
    );
    let asked = asked.bind::<SqlUuid, _>(person.0).bind::<SqlUuid, _>(event.0);
    let Found { found } = asked.prepared().get_result(conn).await?;
    Ok(found)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}
