//! The one statement behind the list of events.
//!
//! The total and the page are counted and chosen on the table of events, where indexes are; only the events of the page
//! are looked at closely. A search is answered from an index before anything is sorted: so its cost follows the events
//! that are found, and never the text of those that are not.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use domain::seat_hold::EventStatus;

use super::store::Filter;

/// A page of events and how many there are on all pages.
#[derive(Clone, Debug)]
pub struct Page {
    filter: Filter,
    long: Vec<String>,
    lower: Vec<String>,
    grams: Vec<String>,
    limit: i64,
    offset: i64,
}

impl Page {
    /// Describes the page that begins after `offset` events.
    pub fn new(filter: &Filter, limit: i64, offset: i64) -> Self {
        let mut page = Self { filter: filter.clone(), long: vec![], lower: vec![], grams: vec![], limit, offset };
        if let Some(words) = &filter.words {
            let by_grams = !words.has_long();
            page.long = words.long_patterns().collect();
            page.lower = words.lower_patterns(by_grams).collect();
            page.grams = if by_grams { words.short_grams() } else { vec![] };
        }
        page
    }

    /// Writes what an event must be to be found by its text.
    fn walk_text<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for pattern in &self.long {
            out.push_sql(" AND e.search_text ILIKE ");
            out.push_bind_param::<Text, _>(pattern)?;
        }
        if !self.grams.is_empty() {
            out.push_sql(" AND short_grams(e.search_text) @> ");
            out.push_bind_param::<Array<Text>, _>(&self.grams)?;
        }
        for pattern in &self.lower {
            // Another expression than the index has, so that nobody looks there for what it cannot find.
            out.push_sql(" AND lower(e.search_text) LIKE ");
            out.push_bind_param::<Text, _>(pattern)?;
        }
        Ok(())
    }
}

/// Returns the condition that says where an event stands, in terms that indexes know.
const fn standing(status: Option<EventStatus>) -> &'static str {
    match status {
        None => "true",
        Some(EventStatus::Cancelled) => "e.cancelled_at IS NOT NULL",
        Some(EventStatus::Ended) => "e.cancelled_at IS NULL AND least(e.sale_end_date, e.event_date) <= now()",
        Some(EventStatus::Upcoming) => {
            "e.cancelled_at IS NULL AND least(e.sale_end_date, e.event_date) > now() AND e.sale_start_date > now()"
        }
        // What is sold is for the view to say, and only of those whose sale is open.
        Some(EventStatus::OnSale) => {
            "e.cancelled_at IS NULL AND least(e.sale_end_date, e.event_date) > now() AND e.sale_start_date <= now() \
             AND (SELECT v.status FROM event_listings v WHERE v.id = e.id) = 'on_sale'"
        }
        Some(EventStatus::SoldOut) => {
            "e.cancelled_at IS NULL AND least(e.sale_end_date, e.event_date) > now() AND e.sale_start_date <= now() \
             AND (SELECT v.status FROM event_listings v WHERE v.id = e.id) = 'sold_out'"
        }
    }
}

impl QueryFragment<Pg> for Page {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let is_search = self.filter.words.is_some();
        let source = if is_search {
            out.push_sql("WITH found AS MATERIALIZED (SELECT e.* FROM events e WHERE ");
            out.push_sql(standing(self.filter.status));
            self.walk_text(&mut out)?;
            out.push_sql(") ");
            " FROM found e"
        } else {
            " FROM events e"
        };
        let condition = if is_search { "true" } else { standing(self.filter.status) };
        out.push_sql("SELECT t.total, v.* FROM (SELECT count(*) AS total");
        for part in [source, " WHERE ", condition] {
            out.push_sql(part);
        }
        out.push_sql(
            ") t LEFT JOIN (SELECT v.id, v.title, v.description, v.artist_name, v.venue, v.address, v.event_date, \
             v.sale_start_date, v.sale_end_date, v.poster_image_url, v.seat_layout_id, v.status, v.ticket_type_count, \
             v.min_price, v.max_price FROM (SELECT e.id",
        );
        for part in [source, " WHERE ", condition, " ORDER BY e.sale_start_date, e.id LIMIT "] {
            out.push_sql(part);
        }
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        out.push_sql(" OFFSET ");
        out.push_bind_param::<BigInt, _>(&self.offset)?;
        out.push_sql(") p JOIN event_listings v ON v.id = p.id) v ON true ORDER BY v.sale_start_date, v.id");
        Ok(())
    }
}

impl QueryId for Page {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Page {
    type SqlType = (
        BigInt,
        Nullable<(
            SqlUuid,
            Text,
            Nullable<Text>,
            Nullable<Text>,
            Text,
            Nullable<Text>,
            Timestamptz,
            Timestamptz,
            Timestamptz,
            Nullable<Text>,
            Nullable<SqlUuid>,
            Text,
            BigInt,
            Nullable<BigInt>,
            Nullable<BigInt>,
        )>,
    );
}
