//! `GET /memo/stats`.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{
    prepared::Prepare,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Days as Later, NaiveDate, Utc};
use chrono_tz::Tz;
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    calendar::{LocalDates, LocalDays},
    focus::{Days, streak},
    ids::UserId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::private;
use crate::{app::App, attachments::store::used_bytes};

/// Tags and categories of one answer, each.
const NAMES_MAX: i64 = 50;
/// Days that are looked back at once for a streak.
const STREAK_DAYS: u64 = 366;
/// How often a streak is followed that far back: ten years of days without a gap.
const STREAK_LOOKS: u64 = 10;

/// Which days to count.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
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

/// One day of memos.
#[derive(Serialize, ToSchema)]
pub struct MemoDay {
    /// The local date.
    date: NaiveDate,
    /// Memos written on it.
    memos: i64,
}

/// How often something was given.
#[derive(QueryableByName, Serialize, ToSchema)]
pub struct NameCount {
    /// What.
    #[diesel(sql_type = Text)]
    name: String,
    /// In how many memos, or of how many files.
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How much of the storage is taken, whatever days were asked for.
#[derive(Serialize, ToSchema)]
pub struct StorageUse {
    /// Bytes of all files, those in the trash and uploads that were permitted included.
    used_bytes: i64,
    /// Bytes that there may be.
    quota_bytes: i64,
}

/// Some days of memos.
#[derive(Serialize, ToSchema)]
pub struct MemoStatistics {
    /// Each day that was asked for, in order.
    days: Vec<MemoDay>,
    /// Memos of all of them.
    total: i64,
    /// Consecutive local days with a memo, up to today, or up to yesterday while today has none yet.
    streak_days: i64,
    /// The most used tags of those days, at most 50.
    by_tag: Vec<NameCount>,
    /// The most used categories, at most 50.
    by_category: Vec<NameCount>,
    /// Files of those memos: `image`, `audio` and `file`.
    attachments: Vec<NameCount>,
    /// Of the person, now.
    storage: StorageUse,
}

/// Counts the memos of some days of a time zone, without those in the trash.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/memo/stats", tag = "memos", security(("bearer" = [])), params(StatsQuery),
    responses((status = 200, body = MemoStatistics), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn stats(app: Data<App>, person: Person, query: Query<StatsQuery>) -> Outcome<HttpResponse> {
    let StatsQuery { tz, start_date, end_date } = query.into_inner();
    let dates = LocalDates::parse(tz.as_deref(), start_date.as_deref(), end_date.as_deref())?;
    let (today, quota_bytes) = (app.ground.clock.now(), app.config.files.quota_bytes());
    let mut conn = app.ground.pg.conn().await?;
    // Of one instant: the sum is that of the days.
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    let owner = person.0.user_id;
    let statistics = snapshot.run(async |conn| count(conn, owner, dates, today, quota_bytes).await).await?;
    Ok(private(HttpResponse::Ok().json(statistics)))
}

async fn count(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    dates: LocalDates,
    now: DateTime<Utc>,
    quota_bytes: i64,
) -> Outcome<MemoStatistics> {
    let counts = by_day(conn, owner, &Days::of(dates.start, dates.end, dates.tz)).await?;
    let days: Vec<MemoDay> = dates.start.iter_days().zip(counts).map(|(date, memos)| MemoDay { date, memos }).collect();
    let span = LocalDays::of(dates.start, dates.end, dates.tz);
    Ok(MemoStatistics {
        total: days.iter().map(|day| day.memos).sum(),
        days,
        streak_days: count_streak(conn, owner, dates.tz, now).await?,
        by_tag: names(conn, owner, span, BY_TAG).await?,
        by_category: names(conn, owner, span, BY_CATEGORY).await?,
        attachments: names(conn, owner, span, BY_KIND).await?,
        storage: StorageUse { used_bytes: used_bytes(conn, owner).await?, quota_bytes },
    })
}

const BY_TAG: &str = "SELECT tag AS name, count(*) AS count FROM memos, unnest(tags) AS tag \
     WHERE user_id = $1 AND deleted_at IS NULL AND created_at >= $2 AND created_at < $3 \
     GROUP BY tag ORDER BY count(*) DESC, tag LIMIT $4";
const BY_CATEGORY: &str = "SELECT category AS name, count(*) AS count FROM memos \
     WHERE user_id = $1 AND deleted_at IS NULL AND created_at >= $2 AND created_at < $3 AND category IS NOT NULL \
     GROUP BY category ORDER BY count(*) DESC, category LIMIT $4";
const BY_KIND: &str = "SELECT kind AS name, count(*) AS count FROM memos JOIN attachments ON memo_id = memos.id \
     WHERE memos.user_id = $1 AND deleted_at IS NULL AND memos.created_at >= $2 AND memos.created_at < $3 \
     AND state = 'ready' AND missing_since IS NULL GROUP BY kind ORDER BY count(*) DESC, kind LIMIT $4";

async fn names(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    span: LocalDays,
    statement: &'static str,
) -> Outcome<Vec<NameCount>> {
    let counted = sql_query(statement)
        .bind::<SqlUuid, _>(owner.0)
        .bind::<Timestamptz, _>(span.from)
        .bind::<Timestamptz, _>(span.until)
        .bind::<BigInt, _>(NAMES_MAX);
    Ok(counted.prepared().load(conn).await?)
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = BigInt)]
    memos: i64,
}

/// Counts the memos of each day, in the order of the days.
async fn by_day(conn: &mut AsyncPgConnection, owner: UserId, days: &Days) -> Outcome<Vec<i64>> {
    let (from, until): (Vec<_>, Vec<_>) = days.iter().map(|day| (day.from, day.until)).unzip();
    let counted: Vec<Written> = sql_query(
        "SELECT (SELECT count(*) FROM memos WHERE user_id = $1 AND deleted_at IS NULL \
         AND created_at >= day.\"from\" AND created_at < day.until) AS memos \
         FROM unnest($2, $3) WITH ORDINALITY AS day(\"from\", until, place) ORDER BY place",
    )
    .bind::<SqlUuid, _>(owner.0)
    .bind::<Array<Timestamptz>, _>(from)
    .bind::<Array<Timestamptz>, _>(until)
    .prepared()
    .load(conn)
    .await?;
    Ok(counted.into_iter().map(|day| day.memos).collect())
}

async fn count_streak(conn: &mut AsyncPgConnection, owner: UserId, tz: Tz, now: DateTime<Utc>) -> Outcome<i64> {
    let today = now.with_timezone(&tz).date_naive();
    let mut backwards = Vec::new();
    for look in 0..STREAK_LOOKS {
        let end = before(today, look * STREAK_DAYS);
        let written = by_day(conn, owner, &Days::of(before(end, STREAK_DAYS - 1), end, tz)).await?;
        backwards.extend(written.into_iter().rev().map(|memos| memos > 0));
        if let Some(days) = streak(&backwards) {
            return Ok(days);
        }
    }
    Ok(i64::try_from(backwards.iter().filter(|has_one| **has_one).count()).unwrap_or(i64::MAX))
}

fn before(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_sub_days(Later::new(days)).unwrap_or(date)
}
