//! What a way adds to the time of a request when it is not saturated.
//!
//! Requests leave at a fixed rate, whatever the answers take: a queue that grows is waited for and shows. A request whose
//! connection is still busy when it is due counts from then on; any other from the moment it is written, because timers
//! of this kind are exact to a millisecond, which is more than what is measured.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    Verdict,
    gateway::{Route, Way, set_up},
};
use crate::{
    figures::{milliseconds, percentile, thousands},
    gateway_process::GatewayOptions,
    process::Processes,
    raw::{Asking, Request},
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
};

/// What the gateway may add to the p99 of nginx's way, milliseconds.
const GOAL_MS: f64 = 1.0;
/// The ways that are compared.
const WAYS: [Way; 3] = [Way::Direct, Way::Nginx, Way::GatewaySignedIn];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Requests per second; half of what the gateway reaches at most is what the goal is meant for.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Seconds on each way in each round.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    gateway: GatewayOptions,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let mut report = Report::open("latency").await;
    let (routes, _with_redis) = set_up(&options.gateway, processes).await?;
    let mut table = Table::new(
        format!("{} requests/s on {} connections", thousands(options.rate.into()), options.connections),
        &["round", "way", "answered/s", "p50 ms", "p99 ms"],
    );
    let (mut added, mut figures) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut p99 = Vec::new();
        for way in WAYS {
            let Some(route) = routes.iter().find(|route| route.way == way) else { continue };
            progress(&format!("round {round} of {}: {}", options.rounds, way.name()))?;
            let times = load(options, route).await?;
            let [half, most] = [0.5, 0.99].map(|share| percentile(&times, share).unwrap_or_default());
            let per_second = times.len() as u64 / options.seconds;
            table.row([
                round.to_string(),
                way.name().to_owned(),
                per_second.to_string(),
                milliseconds(half),
                milliseconds(most),
            ]);
            figures.push(json!({ "round": round, "way": way, "p50_ms": half.as_secs_f64() * 1e3,
                "p99_ms": most.as_secs_f64() * 1e3, "answered_per_second": per_second }));
            p99.push(most.as_secs_f64() * 1e3);
        }
        if let [_direct, nginx, gateway] = p99[..] {
            added.push(gateway - nginx);
        }
    }
    added.sort_by(f64::total_cmp);
    let median = added.get(added.len() / 2).copied().unwrap_or_default();
    let what = "p99 the gateway adds to nginx's, ms, median of rounds".to_owned();
    report.goal(Goal { what, measured: median, bound: Bound::AtMost(GOAL_MS) });
    report.table(table);
    report.figures(json!({ "samples": figures, "added_p99_ms": added }));
    report.publish()?;
    Ok(Verdict::Passed)
}

async fn load(options: &Options, route: &Route) -> Result<Vec<Duration>, Trouble> {
    let request = Request::new(&route.url, route.token.as_deref())?;
    let period = Duration::from_secs(1) * options.connections / options.rate;
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut connections = JoinSet::new();
    for number in 0..options.connections {
        let request = request.clone();
        // Spread over the period, so that they do not all leave at once.
        let begin = Instant::now() + period * number / options.connections;
        connections.spawn(async move { ask_at(request.connect().await?, begin, period, until).await });
    }
    let mut times = Vec::new();
    for asked in connections.join_all().await {
        times.extend(asked?);
    }
    times.sort_unstable();
    Ok(times)
}

async fn ask_at(
    mut connection: Asking<'_>,
    begin: Instant,
    period: Duration,
    until: Instant,
) -> Result<Vec<Duration>, Trouble> {
    let mut due = interval_at(begin, period);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut times, mut free_since) = (Vec::new(), begin);
    loop {
        let due_at = due.tick().await;
        if due_at > until {
            return Ok(times);
        }
        let from = if due_at < free_since { due_at } else { Instant::now() };
        connection.ask().await?;
        free_since = Instant::now();
        times.push(free_since - from);
    }
}
