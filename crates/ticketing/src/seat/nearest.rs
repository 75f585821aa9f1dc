//! Free seats near those that somebody else was faster to take.

use chassis::{prepared::Prepare, problem::Outcome};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::{EventId, SeatId};
use serde::Serialize;
use uuid::Uuid;

/// Distances are rows twice and seats once; whatever is further than two rows counts as further than all that is not.
const FIND: &str = "\
    WITH taken AS MATERIALIZED ( \
        SELECT event_id, section, row_number, seat_number, price FROM seats WHERE event_id = $1 AND id = ANY($2)), \
    around AS MATERIALIZED ( \
        SELECT n.id, n.section, n.row_number, n.seat_number, n.seat_label, n.price, \
            abs(n.row_number - t.row_number) * 2 + abs(n.seat_number - t.seat_number) AS distance \
        FROM taken t JOIN seats n ON n.event_id = t.event_id AND n.section = t.section AND n.price = t.price \
            AND n.row_number BETWEEN t.row_number - 2 AND t.row_number + 2 \
        WHERE is_free(n) AND n.id <> ALL($3)), \
    elsewhere AS ( \
        SELECT n.id, n.section, n.row_number, n.seat_number, n.seat_label, n.price, \
            10000 + abs(n.row_number - t.row_number) * 2 + abs(n.seat_number - t.seat_number) AS distance \
        FROM taken t CROSS JOIN LATERAL ( \
            SELECT * FROM seats s WHERE s.event_id = t.event_id AND s.price = t.price AND is_free(s) \
            AND s.id <> ALL($3) LIMIT 100) n \
        WHERE (SELECT count(DISTINCT id) FROM around) < cardinality($2)), \
    nearest AS ( \
        SELECT DISTINCT ON (id) * FROM (SELECT * FROM around UNION ALL SELECT * FROM elsewhere) f ORDER BY id, distance) \
    SELECT id, section, row_number, seat_number, seat_label, price FROM nearest \
    ORDER BY distance, section, row_number, seat_number LIMIT cardinality($2)";

/// A seat that can be had instead.
#[derive(Debug, QueryableByName, Serialize)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NearestSeat {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Text)]
    pub section: String,
    #[diesel(sql_type = Integer)]
    pub row_number: i32,
    #[diesel(sql_type = Integer)]
    pub seat_number: i32,
    #[diesel(sql_type = Text)]
    pub seat_label: String,
    #[diesel(sql_type = BigInt)]
    pub price: i64,
}

/// Finds one free seat for each that is taken, of the same price and as near as there are any, none of them among those
/// asked for. Looks two rows to the front and to the back of each, and where that is not enough through some of the
/// other seats of that price: an answer that is given to everybody in a rush must be cheap.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(
    conn: &mut AsyncPgConnection,
    event_id: EventId,
    taken: &[SeatId],
    asked: &[SeatId],
) -> Outcome<Vec<NearestSeat>> {
    let ids = |seats: &[SeatId]| seats.iter().map(|seat| seat.0).collect::<Vec<_>>();
    let found = sql_query(FIND)
        .bind::<SqlUuid, _>(event_id.0)
        .bind::<Array<SqlUuid>, _>(ids(taken))
        .bind::<Array<SqlUuid>, _>(ids(asked))
        .prepared()
        .load(conn)
        .await;
    Ok(found?)
}
