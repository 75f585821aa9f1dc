//! The session service by itself, on the running platform's database.
//!
//! Reading one session costs a token, a point select and an answer: its rate stands beside that of the same select by
//! PostgreSQL's own load generator, which has neither. Then timers of many sessions are started, paused, resumed and reset
//! at a fixed rate, whatever the answers take: a queue that grows is waited for and shows.

use std::{sync::Arc, time::Duration};

use clap::Args;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::Verdict;
use crate::{
    cpu,
    figures::{Spread, float, milliseconds, percentile, thousands},
    pgbench::Pgbench,
    platform::Platform,
    process::Processes,
    raw::Request,
    report::{Bound, Goal, Report, Table, progress},
    session_process::SessionService,
    trouble::Trouble,
    wrk::cpu_per_request,
};

/// Share of the bare select's rate that reading a session is to reach.
const READ_SHARE: f64 = 0.45;
/// Longest that the p99 of a change of a timer may be, milliseconds.
const CONTROL_P99_MS: f64 = 15.0;
/// What is done to one timer after the other; afterwards it is as it was.
const CONTROLS: [&str; 4] = ["start", "pause", "resume", "reset"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds for each measure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..50))]
    seconds: u64,
    /// Rounds of reading.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Connections to the service.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..))]
    connections: u32,
    /// Clients of the bare select.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..))]
    clients: u32,
    /// Changes of timers per second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    controls: u32,
    /// Sessions whose timers are changed in turn.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let mut report = Report::open("sessions").await;
    let service = Arc::new(SessionService::start(&Platform::ask().await?, processes).await?);
    let pgbench = Pgbench::find(&service.database_url).await?;
    progress("making the sessions")?;
    let mut sessions = Vec::new();
    for _ in 0..options.sessions {
        sessions.push(service.make_session().await?);
    }
    let measured = measure(options, &service, &pgbench, &sessions, &mut report).await;
    pgbench.once("DELETE FROM sessions WHERE user_id = :id", SessionService::person()).await?;
    measured?;
    report.publish()?;
    Ok(Verdict::Passed)
}

async fn measure(
    options: &Options,
    service: &Arc<SessionService>,
    pgbench: &Pgbench,
    sessions: &[String],
    report: &mut Report,
) -> Result<(), Trouble> {
    let read = read(options, service, pgbench, sessions.first().map_or("", String::as_str), report).await?;
    progress(&format!("timers at {} changes/s", options.controls))?;
    let changes = u64::from(options.controls) * options.seconds;
    let cycles = changes.div_ceil((sessions.len() * CONTROLS.len()).max(1) as u64);
    // Once before the clock runs: the service has made no more connections than reading needs.
    control(options, service, sessions, 1).await?;
    let cpu_before = cpu::used_by(service.pid).unwrap_or_default();
    let times = control(options, service, sessions, cycles).await?;
    let cpu = cpu::used_by(service.pid).unwrap_or_default().saturating_sub(cpu_before);
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&times, share).unwrap_or_default());
    let mut table = Table::new("Changes of timers", &["changes", "p50 ms", "p99 ms", "CPU us each"]);
    let count = times.len() as u64;
    let cpu = cpu_per_request(cpu, count).map_or_else(String::new, |micros| format!("{micros:.0}"));
    table.row([count.to_string(), milliseconds(p50), milliseconds(p99), cpu]);
    report.table(table);
    let p99 = p99.as_secs_f64() * 1e3;
    report.goal(Goal {
        what: format!("p99 of a timer's change at {}/s, ms", options.controls),
        measured: p99,
        bound: Bound::AtMost(CONTROL_P99_MS),
    });
    report.figures(json!({ "read": read, "controls": { "p50_ms": p50.as_secs_f64() * 1e3, "p99_ms": p99 } }));
    Ok(())
}

/// Reads one session again and again, in turns with the bare select.
async fn read(
    options: &Options,
    service: &SessionService,
    pgbench: &Pgbench,
    id: &str,
    report: &mut Report,
) -> Result<serde_json::Value, Trouble> {
    let url = format!("{}/api/v1/sessions/{id}", service.url);
    let duration = Duration::from_secs(options.seconds);
    let title = format!("One session, {} connections, beside {} clients", options.connections, options.clients);
    let mut table = Table::new(title, &["round", "select/s", "read/s", "ratio", "p50 ms", "p99 ms", "CPU us each"]);
    let mut ratios = Vec::new();
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {}: the bare select, then the service", options.rounds))?;
        let sql = "SELECT * FROM sessions WHERE id = :id";
        let bare = pgbench.rate(sql, id, options.clients, options.seconds).await?;
        let cpu_before = cpu::used_by(service.pid).unwrap_or_default();
        let times = Request::new(&url, Some(&service.token()?))?.flood(options.connections, duration).await?;
        let cpu = cpu::used_by(service.pid).unwrap_or_default().saturating_sub(cpu_before);
        let count = times.len() as u64;
        let per_second = float(count) / duration.as_secs_f64();
        let ratio = per_second / bare;
        let cpu = cpu_per_request(cpu, count).map_or_else(String::new, |micros| format!("{micros:.0}"));
        let [p50, p99] = [0.5, 0.99].map(|share| percentile(&times, share).unwrap_or_default());
        table.row([
            round.to_string(),
            thousands(bare),
            thousands(per_second),
            format!("{ratio:.2}"),
            milliseconds(p50),
            milliseconds(p99),
            cpu,
        ]);
        ratios.push(ratio);
    }
    report.table(table);
    let median = Spread::of(ratios.iter().copied()).map_or(0.0, |spread| spread.median);
    report.goal(Goal {
        what: "reading a session, share of the bare select".to_owned(),
        measured: median,
        bound: Bound::AtLeast(READ_SHARE),
    });
    Ok(json!({ "ratios": ratios, "median": median }))
}

/// Changes one timer after the other at a fixed rate, and each so often through everything that can be done to it; returns
/// the sorted times.
async fn control(
    options: &Options,
    service: &Arc<SessionService>,
    sessions: &[String],
    cycles: u64,
) -> Result<Vec<Duration>, Trouble> {
    let token: Arc<str> = service.token()?.into();
    let mut tick = interval(Duration::from_secs(1) / options.controls);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = JoinSet::new();
    let controls = (0..cycles).flat_map(|_| CONTROLS);
    for (control, id) in controls.flat_map(|control| sessions.iter().map(move |id| (control, id))) {
        let due = tick.tick().await.into_std();
        let (service, token) = (service.clone(), token.clone());
        let path = format!("/api/v1/sessions/{id}/timer/{control}");
        asked.spawn(async move {
            service.send(&token, &path, &json!({})).await?;
            // From when it was due, so that a queue counts.
            Ok::<_, Trouble>(due.elapsed())
        });
    }
    let mut times = asked.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    Ok(times)
}
