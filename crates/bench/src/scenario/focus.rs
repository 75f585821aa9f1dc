//! How late focus sessions are completed, on the running platform.
//!
//! The sessions are written into the session service's database, each of another person, and its agenda in Redis is
//! marked as lost, so that the service builds it from them. Two measures: so many due each second for a while, which
//! tells how late one is, and all due at one instant, which tells how long the last of a burst waits. Lateness is read by
//! the database's clock in the statement that completes a session; that the burst is over is seen from outside, after
//! the last commit.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use tokio_postgres::{Client, NoTls};

use super::Verdict;
use crate::{
    figures::{float, milliseconds, percentile, thousands},
    platform::Platform,
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
};

/// Longest that one of many may be late, p99, milliseconds.
const STEADY_P99_MS: f64 = 250.0;
/// Longest until the last of a burst is completed, milliseconds.
const BURST_MS: f64 = 1_000.0;
/// From writing the sessions to the first of them that is due: the agenda is built meanwhile.
const LEAD_SECONDS: f64 = 4.0;
/// How often the end of a burst is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Longest wait for the end.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sessions due each second.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Seconds for which they are.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Sessions due at one instant.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    burst: u32,
}

/// What became of some sessions.
struct Measured {
    /// Sorted.
    lateness: Vec<Duration>,
    /// Completions that were early or repeated.
    faults: u64,
    /// From the last due time until nothing was left to be seen running.
    seen_over_after: Duration,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<Verdict, Trouble> {
    let platform = Platform::ask().await?;
    let url =
        platform.database_urls.get("session").ok_or_else(|| Trouble::Missing("no session database".to_owned()))?;
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(|fault| broken(&fault))?;
    let mut report = Report::open("focus").await;
    let measuring = async {
        client.batch_execute(SET_UP).await.map_err(|fault| broken(&fault))?;
        let measured = both(&client, &platform, options).await;
        client.batch_execute(TAKE_DOWN).await.map_err(|fault| broken(&fault))?;
        measured
    };
    let (steady, burst) = tokio::select! {
        measured = measuring => measured?,
        ended = connection => return Err(Trouble::Broken(format!("the database ended the connection: {ended:?}"))),
    };
    tell(&mut report, options, &steady, &burst);
    report.publish()?;
    Ok(if steady.faults + burst.faults == 0 { Verdict::Passed } else { Verdict::Failed })
}

async fn both(client: &Client, platform: &Platform, options: &Options) -> Result<(Measured, Measured), Trouble> {
    progress("sessions that are due one after the other")?;
    let steady = measure(client, platform, options.rate * options.seconds, f64::from(options.rate).recip()).await?;
    progress("sessions that are due at one instant")?;
    let burst = measure(client, platform, options.burst, 0.0).await?;
    Ok((steady, burst))
}

fn tell(report: &mut Report, options: &Options, steady: &Measured, burst: &Measured) {
    let mut table =
        Table::new("Lateness", &["measure", "sessions", "p50 ms", "p99 ms", "max ms", "seen over after ms"]);
    let at = |measured: &Measured, share| percentile(&measured.lateness, share).unwrap_or_default();
    let mut row = |name: String, measured: &Measured| {
        let count = thousands(float(measured.lateness.len() as u64));
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| milliseconds(at(measured, share)));
        table.row([name, count, p50, p99, max, milliseconds(measured.seen_over_after)]);
    };
    row(format!("{} due each second", options.rate), steady);
    row("all due at one instant".to_owned(), burst);
    report.table(table);
    let (p99_ms, burst_ms) = (at(steady, 0.99).as_secs_f64() * 1e3, burst.seen_over_after.as_secs_f64() * 1e3);
    report.goal(Goal { what: "p99, ms".to_owned(), measured: p99_ms, bound: Bound::AtMost(STEADY_P99_MS) });
    report.goal(Goal { what: "burst over, ms".to_owned(), measured: burst_ms, bound: Bound::AtMost(BURST_MS) });
    report.figures(json!({
        "steady_p50_ms": at(steady, 0.5).as_secs_f64() * 1e3, "steady_p99_ms": p99_ms,
        "burst_p50_ms": at(burst, 0.5).as_secs_f64() * 1e3, "burst_p99_ms": at(burst, 0.99).as_secs_f64() * 1e3,
        "burst_over_ms": burst_ms, "faults": steady.faults + burst.faults,
    }));
}

/// Has `count` sessions be due, `apart` seconds one after the other, and waits for them.
async fn measure(client: &Client, platform: &Platform, count: u32, apart: f64) -> Result<Measured, Trouble> {
    client.batch_execute(CLEAR).await.map_err(|fault| broken(&fault))?;
    let make = [&f64::from(count) as &(dyn tokio_postgres::types::ToSql + Sync), &apart, &LEAD_SECONDS];
    client.execute(MAKE, &make).await.map_err(|fault| broken(&fault))?;
    lose_agenda(&platform.redis_url).await?;
    let begun = Instant::now();
    loop {
        let row = client.query_one(RUNNING, &[]).await.map_err(|fault| broken(&fault))?;
        if row.get::<_, i64>(0) == 0 {
            break;
        }
        let due_in: f64 = row.get(1);
        if begun.elapsed() > PATIENCE + Duration::from_secs_f64(LEAD_SECONDS + f64::from(count) * apart) {
            return Err(Trouble::Broken(format!("{} sessions were not completed", row.get::<_, i64>(0))));
        }
        // Looking costs the database something too: the look begins when the end is near.
        sleep(Duration::try_from_secs_f64(due_in - 0.05).unwrap_or_default().max(LOOK_EVERY)).await;
    }
    let row = client.query_one(OVER, &[]).await.map_err(|fault| broken(&fault))?;
    let lateness: Vec<f64> = row.get(0);
    let mut lateness: Vec<Duration> =
        lateness.into_iter().map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()).collect();
    lateness.sort_unstable();
    let faults =
        u64::try_from(row.get::<_, i64>(1)).unwrap_or(u64::MAX) + u64::from(lateness.len() as u64 != u64::from(count));
    Ok(Measured { lateness, faults, seen_over_after: Duration::try_from_secs_f64(row.get(2)).unwrap_or_default() })
}

/// Has the service believe that Redis was emptied, so that it builds its agenda again.
async fn lose_agenda(redis_url: &str) -> Result<(), Trouble> {
    let address = redis_url.trim_start_matches("redis://").split('/').next().unwrap_or_default();
    let mut redis = TcpStream::connect(address).await?;
    redis.write_all(b"DEL maru:{focus}:whole\r\n").await?;
    let mut answer = [0; 4];
    redis.read_exact(&mut answer).await?;
    if answer.starts_with(b":") { Ok(()) } else { Err(Trouble::Broken("Redis refuses to forget a key".to_owned())) }
}

fn broken(fault: &tokio_postgres::Error) -> Trouble {
    Trouble::Broken(format!("the session database: {fault:?}"))
}

const SET_UP: &str = "
    DROP TABLE IF EXISTS bench_fired;
    CREATE TABLE bench_fired (session_id uuid NOT NULL, due_at timestamptz NOT NULL, at timestamptz NOT NULL);
    CREATE OR REPLACE FUNCTION bench_fired() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO bench_fired VALUES (NEW.id, OLD.due_at, clock_timestamp()); RETURN NEW; END';
    CREATE OR REPLACE TRIGGER bench_fired AFTER UPDATE ON focus_sessions FOR EACH ROW
        WHEN (OLD.status = 'started' AND NEW.status = 'completed' AND NEW.subject = 'maru-bench')
        EXECUTE FUNCTION bench_fired();
";
const TAKE_DOWN: &str = "
    DROP TRIGGER bench_fired ON focus_sessions;
    DROP FUNCTION bench_fired();
    DROP TABLE bench_fired;
    DELETE FROM focus_sessions WHERE subject = 'maru-bench';
";
const CLEAR: &str = "
    DELETE FROM focus_sessions WHERE subject = 'maru-bench';
    TRUNCATE bench_fired;
";
/// The last of the bound values is how far ahead the first one is due.
const MAKE: &str = "
    INSERT INTO focus_sessions (id, user_id, subject, duration_minutes, break_minutes, status, anchor_at, due_at,
        created_at, updated_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'maru-bench', 1, 0, 'started', due - interval '1 minute', due, now(),
        now()
    FROM (SELECT date_trunc('milliseconds', now() + make_interval(secs => $3::float8 + n * $2::float8)) AS due
          FROM generate_series(1, $1::float8::int) n) AS times
";
/// How many run, and in how many seconds the last of them is due.
const RUNNING: &str = "
    SELECT count(*), coalesce(extract(epoch FROM max(due_at) - clock_timestamp()), 0)::float8
    FROM focus_sessions WHERE status = 'started' AND subject = 'maru-bench'
";
/// How late each was, how many completions there should not have been, and how long ago the last was due.
const OVER: &str = "
    SELECT array_agg(extract(epoch FROM at - due_at)::float8),
        count(*) FILTER (WHERE at < due_at) + count(*) - count(DISTINCT session_id),
        extract(epoch FROM clock_timestamp() - max(due_at))::float8
    FROM bench_fired
";
