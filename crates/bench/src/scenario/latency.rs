//! What a way adds to the time of a request when it is not saturated.
//!
//! Requests leave at a fixed rate, whatever the answers take: a queue that grows is waited for and shows. A request whose
//! connection is still busy when it is due counts from then on; any other from the moment it is written, because timers
//! of this kind are exact to a millisecond, which is more than what is measured.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};
use url::Url;

use super::{
    Verdict,
    gateway::{Route, Way, set_up},
};
use crate::{
    figures::{milliseconds, percentile, thousands},
    gateway_process::GatewayOptions,
    process::Processes,
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
    let url = Url::parse(&route.url).map_err(|fault| Trouble::Broken(fault.to_string()))?;
    let (host, port) = (url.host_str().unwrap_or_default().to_owned(), url.port().unwrap_or(80));
    let bearer = route.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {} HTTP/1.1\r\nhost: {host}:{port}\r\n{bearer}\r\n", url.path());
    let period = Duration::from_secs(1) * options.connections / options.rate;
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut connections = JoinSet::new();
    for number in 0..options.connections {
        let (request, host) = (request.clone(), host.clone());
        // Spread over the period, so that they do not all leave at once.
        let begin = Instant::now() + period * number / options.connections;
        connections.spawn(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            ask_at(stream, request.as_bytes(), begin, period, until).await
        });
    }
    let mut times = Vec::new();
    for asked in connections.join_all().await {
        times.extend(asked?);
    }
    times.sort_unstable();
    Ok(times)
}

async fn ask_at(
    mut stream: TcpStream,
    request: &[u8],
    begin: Instant,
    period: Duration,
    until: Instant,
) -> Result<Vec<Duration>, Trouble> {
    let mut due = interval_at(begin, period);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut times, mut read) = (Vec::new(), Vec::with_capacity(4_096));
    let mut free_since = begin;
    loop {
        let due_at = due.tick().await;
        if due_at > until {
            return Ok(times);
        }
        let from = if due_at < free_since { due_at } else { Instant::now() };
        stream.write_all(request).await?;
        read_answer(&mut stream, &mut read).await?;
        free_since = Instant::now();
        times.push(free_since - from);
    }
}

/// Reads one answer with a stated length, which must be 200.
async fn read_answer(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<(), Trouble> {
    read.clear();
    loop {
        if stream.read_buf(read).await? == 0 {
            return Err(Trouble::Broken("the connection was closed".to_owned()));
        }
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(Trouble::Broken(head.lines().next().unwrap_or_default().to_owned()));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let length = length.ok_or_else(|| Trouble::Broken("an answer without a length".to_owned()))?;
        if read.len() >= end + 4 + length {
            return Ok(());
        }
    }
}
