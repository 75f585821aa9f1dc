//! `GET /session/stats`.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{
    prepared::Prepare,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Days as Later, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::{
    BoolExpressionMethods, ExpressionMethods, QueryDsl, QueryableByName, sql_query,
    sql_types::{Array, BigInt, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    calendar::LocalDates,
    focus::{DURATION_MAX_MINUTES, Days, Span, Statistics, Tally, streak},
    ids::UserId,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::store::{self, Seen};
use crate::{
    app::App,
    schema::{focus_intervals, focus_sessions},
    timer::store::clock_timestamp,
};

/// Spans read at once.
const PAGE: i64 = 2_000;
/// Days that are looked back at once for a streak.
const STREAK_DAYS: u64 = 366;
/// How often a streak is followed that far back: ten years of days without a gap.
const STREAK_LOOKS: u64 = 10;

/// When a span began, of which session, when it ended, and the session's tags.
type SpanRow = (DateTime<Utc>, Uuid, DateTime<Utc>, Vec<String>);

/// Which days to count.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FocusStatsQuery {
    /// IANA time zone whose days are meant, such as `Asia/Seoul`.
    #[param(required)]
    tz: Option<String>,
    /// First day, `YYYY-MM-DD`.
    #[param(required)]
    start_date: Option<String>,
    /// Last day, `YYYY-MM-DD`, inclusive; at most 366 days in all.
    #[param(required)]
    end_date: Option<String>,
}

/// Counts minutes and completed sessions of some days of a time zone.
///
/// A session that lies across midnight counts for both days, each for its part. Cancelled sessions keep their minutes.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/session/stats", tag = "focus", security(("bearer" = [])), params(FocusStatsQuery),
    responses((status = 200, body = Statistics), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn stats(app: Data<App>, person: Person, query: Query<FocusStatsQuery>) -> Outcome<HttpResponse> {
    let FocusStatsQuery { tz, start_date, end_date } = query.into_inner();
    let dates = LocalDates::parse(tz.as_deref(), start_date.as_deref(), end_date.as_deref())?;
    let mut conn = app.ground.pg.conn().await?;
    // Of one instant: what is completed in between is counted once.
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    let statistics = snapshot.run(async |conn| count(conn, person.0.user_id, dates).await).await?;
    Ok(HttpResponse::Ok().json(statistics))
}

async fn count(conn: &mut AsyncPgConnection, owner: UserId, dates: LocalDates) -> Outcome<Statistics> {
    let days = Days::of(dates.start, dates.end, dates.tz);
    let mut tally = Tally::new(days.clone());
    if let Some(asked) = days.span() {
        add_spans(conn, owner, asked, &mut tally).await?;
    }
    tally.add_completions(&completed_by_day(conn, owner, &days).await?);
    let (current, now) = match store::see_current(conn, owner).await? {
        Some(Seen { row, now }) => (Some(row), now),
        None => (None, diesel::select(clock_timestamp()).get_result(conn).await?),
    };
    // Over and not written yet is over all the same.
    let mut completed_now = None;
    if let Some(row) = current {
        let focus = row.focus()?;
        if let Some(span) = focus.open_span(now) {
            tally.add_span(span, &row.tags);
        }
        completed_now = focus.due_at().filter(|due_at| *due_at <= now);
    }
    if let Some(at) = completed_now {
        tally.add_completion(at);
    }
    let streak_days = count_streak(conn, owner, dates.tz, now, completed_now).await?;
    Ok(tally.finish(streak_days))
}

async fn add_spans(conn: &mut AsyncPgConnection, owner: UserId, asked: Span, tally: &mut Tally) -> Outcome<()> {
    // None is longer than a session may last, so the index is sought by where spans begin.
    let reach = TimeDelta::minutes(DURATION_MAX_MINUTES);
    let earliest = asked.from.checked_sub_signed(reach).unwrap_or(asked.from);
    let mut last: Option<(DateTime<Utc>, Uuid)> = None;
    loop {
        let mut query = focus_intervals::table
            .inner_join(focus_sessions::table)
            .filter(focus_intervals::user_id.eq(owner.0))
            .filter(focus_intervals::started_at.ge(last.map_or(earliest, |(started_at, _)| started_at)))
            .filter(focus_intervals::started_at.lt(asked.until))
            .order((focus_intervals::started_at.asc(), focus_intervals::session_id.asc()))
            .limit(PAGE)
            .select((
                focus_intervals::started_at,
                focus_intervals::session_id,
                focus_intervals::ended_at,
                focus_sessions::tags,
            ))
            .into_boxed();
        if let Some((started_at, session)) = last {
            let later = focus_intervals::started_at.gt(started_at).or(focus_intervals::session_id.gt(session));
            query = query.filter(later);
        }
        let page: Vec<SpanRow> = query.load(conn).await?;
        last = page.last().map(|(started_at, session, _, _)| (*started_at, *session));
        if last.is_none() {
            return Ok(());
        }
        for (from, _, until, tags) in page {
            tally.add_span(Span { from, until }, &tags);
        }
    }
}

#[derive(QueryableByName)]
struct Completions {
    #[diesel(sql_type = BigInt)]
    completed: i64,
}

/// Counts the completed sessions of each day, in the order of the days.
async fn completed_by_day(conn: &mut AsyncPgConnection, owner: UserId, days: &Days) -> Outcome<Vec<i64>> {
    let (from, until): (Vec<_>, Vec<_>) = days.iter().map(|day| (day.from, day.until)).unzip();
    let counted: Vec<Completions> = sql_query(
        "SELECT (SELECT count(*) FROM focus_sessions WHERE user_id = $1 AND status IN ('completed', 'reviewed') \
         AND ended_at >= day.\"from\" AND ended_at < day.until) AS completed \
         FROM unnest($2, $3) WITH ORDINALITY AS day(\"from\", until, place) ORDER BY place",
    )
    .bind::<SqlUuid, _>(owner.0)
    .bind::<Array<Timestamptz>, _>(from)
    .bind::<Array<Timestamptz>, _>(until)
    .prepared()
    .load(conn)
    .await?;
    Ok(counted.into_iter().map(|day| day.completed).collect())
}

async fn count_streak(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    tz: Tz,
    now: DateTime<Utc>,
    completed_now: Option<DateTime<Utc>>,
) -> Outcome<i64> {
    let today = now.with_timezone(&tz).date_naive();
    let mut backwards = Vec::new();
    for look in 0..STREAK_LOOKS {
        let end = before(today, look * STREAK_DAYS);
        let days = Days::of(before(end, STREAK_DAYS - 1), end, tz);
        let completed = completed_by_day(conn, owner, &days).await?;
        let has_one = days
            .iter()
            .zip(completed)
            .map(|(day, completed)| completed > 0 || completed_now.is_some_and(|at| day.from <= at && at < day.until));
        let has_one: Vec<bool> = has_one.collect();
        backwards.extend(has_one.into_iter().rev());
        if let Some(days) = streak(&backwards) {
            return Ok(days);
        }
    }
    Ok(i64::try_from(backwards.iter().filter(|has_one| **has_one).count()).unwrap_or(i64::MAX))
}

fn before(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_sub_days(Later::new(days)).unwrap_or(date)
}
