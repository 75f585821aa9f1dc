//! The rows of waiting rooms: how each is run, and what must outlive Redis.

use std::time::Duration;

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryDsl, QueryableByName,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_query,
    sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId, UserId},
    seat_hold::{EVENT_NOT_FOUND, SaleWindow},
    waiting_room::{
        SPACING,
        chance::Stock,
        settings::{Mode, Settings, THRESHOLD},
    },
};
use uuid::Uuid;

use crate::schema::reservations;

/// Numbers that are taken from the database at once: more than people can join while the next block is taken.
const BLOCK: i64 = 1_000_000 * SPACING;

/// What everybody may know of an event, and how its waiting room is run.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) title: String,
    pub(super) artist_name: Option<String>,
    pub(super) organizer_id: Uuid,
    pub(super) sale: SaleWindow,
    /// The database's time at which this was read.
    pub(super) now: DateTime<Utc>,
    pub(super) settings: Settings,
}

impl Facts {
    /// Returns the facts as they are after a while.
    pub(super) fn later(mut self, by: Duration) -> Self {
        self.now += by;
        self
    }
}

/// What the database knows of a line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) incarnation: i32,
    pub(super) generation: i32,
    /// Numbers above this one and up to the next were never given.
    pub(super) seq_from: i64,
    pub(super) seq_high_water: i64,
    pub(super) fence: i64,
    pub(super) alive_at_ms: i64,
    pub(super) waiting: i64,
    pub(super) inside: i64,
    /// The last number that is known to have been given.
    pub(super) seq: i64,
    /// The last change of this incarnation that is in the log.
    pub(super) log_change: i64,
    pub(super) settings_version: i64,
    pub(super) settings: Settings,
    pub(super) sale_opens_at: DateTime<Utc>,
}

impl Line {
    /// Returns from when on people are let in.
    pub(super) fn opens_at(&self) -> DateTime<Utc> {
        self.settings.opens_at.unwrap_or(self.sale_opens_at)
    }

    /// Returns whether newcomers could take the places of people who were there when the line was last looked at.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting > 0 || 2 * self.inside > i64::from(self.settings.threshold)
    }
}

#[derive(QueryableByName)]
struct FactsRow {
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Nullable<Text>)]
    artist_name: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    organizer_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    sale_start_date: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    sale_end_date: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    event_date: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    cancelled: bool,
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    mode: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    threshold: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    rate_per_second: Option<i32>,
    #[diesel(sql_type = Nullable<Bool>)]
    paused: Option<bool>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    opens_at: Option<DateTime<Utc>>,
}

impl From<FactsRow> for Facts {
    fn from(row: FactsRow) -> Self {
        Self {
            title: row.title,
            artist_name: row.artist_name,
            organizer_id: row.organizer_id,
            sale: SaleWindow {
                opens_at: row.sale_start_date,
                closes_at: row.sale_end_date,
                takes_place_at: row.event_date,
                cancelled: row.cancelled,
            },
            now: row.now,
            settings: Settings {
                mode: row.mode.as_deref().map_or(Mode::Auto, Mode::parse),
                threshold: row.threshold.unwrap_or(THRESHOLD),
                rate_per_second: row.rate_per_second,
                paused: row.paused.unwrap_or_default(),
                opens_at: row.opens_at,
            },
        }
    }
}

#[derive(QueryableByName)]
struct LineRow {
    #[diesel(sql_type = Integer)]
    incarnation: i32,
    #[diesel(sql_type = Integer)]
    generation: i32,
    #[diesel(sql_type = BigInt)]
    seq_high_water: i64,
    #[diesel(sql_type = BigInt)]
    fence: i64,
    #[diesel(sql_type = BigInt)]
    alive_at_ms: i64,
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = BigInt)]
    inside: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = BigInt)]
    log_change: i64,
    #[diesel(sql_type = BigInt)]
    settings_version: i64,
    #[diesel(sql_type = Text)]
    mode: String,
    #[diesel(sql_type = Integer)]
    threshold: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    rate_per_second: Option<i32>,
    #[diesel(sql_type = Bool)]
    paused: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    opens_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    sale_opens_at: DateTime<Utc>,
}

impl From<LineRow> for Line {
    fn from(row: LineRow) -> Self {
        Self {
            incarnation: row.incarnation,
            generation: row.generation,
            seq_from: row.seq_high_water.saturating_sub(BLOCK),
            seq_high_water: row.seq_high_water,
            fence: row.fence,
            alive_at_ms: row.alive_at_ms,
            waiting: row.waiting,
            inside: row.inside,
            seq: row.seq,
            log_change: row.log_change,
            settings_version: row.settings_version,
            settings: Settings {
                mode: Mode::parse(&row.mode),
                threshold: row.threshold,
                rate_per_second: row.rate_per_second,
                paused: row.paused,
                opens_at: row.opens_at,
            },
            sale_opens_at: row.sale_opens_at,
        }
    }
}

/// What every statement about a line returns.
const LINE: &str = "r.incarnation, r.generation, r.seq_high_water, r.fence, r.alive_at_ms, r.waiting, r.inside, r.seq, \
                    CASE WHEN r.log_incarnation = r.incarnation THEN r.log_change ELSE 0 END AS log_change, \
                    r.settings_version, r.mode, r.threshold, r.rate_per_second, r.paused, r.opens_at, \
                    (SELECT e.sale_start_date FROM events e WHERE e.id = r.event_id) AS sale_opens_at";

/// Reads an event and its waiting room's settings.
pub(super) async fn find_facts(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Option<Facts>> {
    let found = sql_query(
        "SELECT e.title, e.artist_name, e.organizer_id, e.sale_start_date, e.sale_end_date, e.event_date, \
         e.cancelled_at IS NOT NULL AS cancelled, clock_timestamp() AS now, \
         r.mode, r.threshold, r.rate_per_second, r.paused, r.opens_at \
         FROM events e LEFT JOIN waiting_rooms r ON r.event_id = e.id WHERE e.id = $1",
    );
    let row: Option<FactsRow> = found.bind::<SqlUuid, _>(event_id.0).prepared().get_result(conn).await.optional()?;
    Ok(row.map(Facts::from))
}

/// Begins a line's memory anew: takes the next block of numbers, behind all that were ever given. Nothing when it was
/// begun since it had been begun `before` times.
pub(super) async fn begin(conn: &mut AsyncPgConnection, event_id: EventId, before: i32) -> Outcome<Option<Line>> {
    let begun = sql_query(format!(
        "INSERT INTO waiting_rooms AS r (event_id, incarnation, seq_high_water) VALUES ($1, 1, $2) \
         ON CONFLICT (event_id) DO UPDATE SET incarnation = r.incarnation + 1, \
         seq_high_water = r.seq_high_water + $2 WHERE r.incarnation = $3 RETURNING {LINE}"
    ));
    let row: Result<LineRow, _> = begun
        .bind::<SqlUuid, _>(event_id.0)
        .bind::<BigInt, _>(BLOCK)
        .bind::<Integer, _>(before)
        .prepared()
        .get_result(conn)
        .await;
    match row {
        // The event was deleted a moment ago.
        Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Err(EVENT_NOT_FOUND.into()),
        row => Ok(row.optional()?.map(Line::from)),
    }
}

/// How a line stands, to be written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) incarnation: u32,
    pub(super) fence: i64,
    pub(super) alive_at_ms: i64,
    pub(super) waiting: i64,
    pub(super) inside: i64,
    pub(super) seq: i64,
    pub(super) ceiling: i64,
    pub(super) change: i64,
}

/// Writes down how a line stands, and takes the next block of numbers when half of this one is given. Nothing when the
/// report comes from somebody who does not lead any more, about a memory that was begun anew since, or about one that
/// knows less than was reported before.
pub(super) async fn report(conn: &mut AsyncPgConnection, event_id: EventId, report: Report) -> Outcome<Option<Line>> {
    let next = if report.ceiling - report.seq < BLOCK / 2 { report.ceiling + BLOCK } else { report.ceiling };
    let written = sql_query(format!(
        "UPDATE waiting_rooms r SET alive_at_ms = greatest(alive_at_ms, $4), waiting = $5, inside = $7, \
         fence = $3, seq = $8, seq_high_water = greatest(seq_high_water, $6) \
         WHERE event_id = $1 AND incarnation = $2 AND fence <= $3 AND seq <= $8 \
         AND (log_incarnation <> $2 OR log_change <= $9) RETURNING {LINE}"
    ));
    let row: Option<LineRow> = written
        .bind::<SqlUuid, _>(event_id.0)
        .bind::<Integer, _>(whole(report.incarnation)?)
        .bind::<BigInt, _>(report.fence)
        .bind::<BigInt, _>(report.alive_at_ms)
        .bind::<BigInt, _>(report.waiting)
        .bind::<BigInt, _>(next)
        .bind::<BigInt, _>(report.inside)
        .bind::<BigInt, _>(report.seq)
        .bind::<BigInt, _>(report.change)
        .prepared()
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.map(Line::from))
}

/// Takes the next block of numbers, for a line whose last number is `seq`.
pub(super) async fn extend(conn: &mut AsyncPgConnection, event_id: EventId, seq: i64) -> Outcome<Line> {
    let extended = sql_query(format!(
        "UPDATE waiting_rooms r SET seq_high_water = greatest(seq_high_water, $2) WHERE event_id = $1 RETURNING {LINE}"
    ));
    let row: LineRow =
        extended.bind::<SqlUuid, _>(event_id.0).bind::<BigInt, _>(seq + BLOCK).prepared().get_result(conn).await?;
    Ok(row.into())
}

/// Reads what the database knows of a line.
pub(super) async fn find(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Option<Line>> {
    let found = sql_query(format!("SELECT {LINE} FROM waiting_rooms r WHERE event_id = $1"));
    let row: Option<LineRow> = found.bind::<SqlUuid, _>(event_id.0).prepared().get_result(conn).await.optional()?;
    Ok(row.map(Line::from))
}

/// Finds a line and locks it until the transaction ends; makes it where there is none.
pub(super) async fn lock(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Line> {
    sql_query("INSERT INTO waiting_rooms (event_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind::<SqlUuid, _>(event_id.0)
        .execute(conn)
        .await?;
    let found = sql_query(format!("SELECT {LINE} FROM waiting_rooms r WHERE event_id = $1 FOR UPDATE OF r"));
    let row: LineRow = found.bind::<SqlUuid, _>(event_id.0).get_result(conn).await?;
    Ok(row.into())
}

/// Changes how a waiting room is run.
pub(super) async fn set(conn: &mut AsyncPgConnection, event_id: EventId, settings: &Settings) -> Outcome<Line> {
    let changed = sql_query(format!(
        "UPDATE waiting_rooms r SET mode = $2, threshold = $3, rate_per_second = $4, paused = $5, opens_at = $6, \
         settings_version = settings_version + 1 WHERE event_id = $1 RETURNING {LINE}"
    ));
    let row: LineRow = changed
        .bind::<SqlUuid, _>(event_id.0)
        .bind::<Text, _>(settings.mode.name())
        .bind::<Integer, _>(settings.threshold)
        .bind::<Nullable<Integer>, _>(settings.rate_per_second)
        .bind::<Bool, _>(settings.paused)
        .bind::<Nullable<Timestamptz>, _>(settings.opens_at)
        .get_result(conn)
        .await?;
    Ok(row.into())
}

/// Begins another line: every ticket of the one before is worth nothing from now on.
pub(super) async fn begin_line(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Line> {
    let changed = sql_query(format!(
        "UPDATE waiting_rooms r SET generation = generation + 1 WHERE event_id = $1 RETURNING {LINE}"
    ));
    let row: LineRow = changed.bind::<SqlUuid, _>(event_id.0).get_result(conn).await?;
    Ok(row.into())
}

#[derive(QueryableByName)]
struct StockRow {
    #[diesel(sql_type = BigInt)]
    free: i64,
    #[diesel(sql_type = BigInt)]
    taken: i64,
    #[diesel(sql_type = BigInt)]
    let_in: i64,
}

/// Counts what is left of an event; nothing when it sells nothing.
pub(super) async fn find_stock(conn: &mut AsyncPgConnection, event_id: EventId) -> Outcome<Option<Stock>> {
    let row: StockRow = sql_query(
        "SELECT t.free + s.free AS free, t.taken + s.taken AS taken, \
         coalesce((SELECT log_index FROM waiting_rooms WHERE event_id = $1), 0) AS let_in FROM \
         (SELECT coalesce(sum(total_quantity - held - sold), 0)::bigint AS free, \
          coalesce(sum(held + sold), 0)::bigint AS taken FROM ticket_types WHERE event_id = $1) t, \
         (SELECT count(*) FILTER (WHERE free) AS free, count(*) FILTER (WHERE NOT free) AS taken FROM \
          (SELECT status = 'available' OR (status = 'locked' AND held_until <= clock_timestamp()) AS free \
           FROM seats WHERE event_id = $1) seat) s",
    )
    .bind::<SqlUuid, _>(event_id.0)
    .prepared()
    .get_result(conn)
    .await?;
    let StockRow { free, taken, let_in } = row;
    Ok((free + taken > 0).then_some(Stock { free, taken, let_in }))
}

/// Finds whose a reservation is, and of which event.
pub(super) async fn find_owner(
    conn: &mut AsyncPgConnection,
    reservation: ReservationId,
) -> Outcome<Option<(EventId, UserId)>> {
    let found: Option<(Uuid, Uuid)> = reservations::table
        .find(reservation.0)
        .select((reservations::event_id, reservations::user_id))
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(|(event, user)| (EventId(event), UserId(user))))
}

pub(super) fn whole(incarnation: u32) -> Outcome<i32> {
    i32::try_from(incarnation).map_err(Problem::unexpected)
}
