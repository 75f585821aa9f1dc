//! Maru's rooms over Socket.IO beside the original server: what it costs to tell a room, how fast it can be told, what an
//! idle connection keeps, and how everybody is sent away in the end.
//!
//! Maru is a replica of the ticketing service on the running platform's database and Redis that only this scenario knows
//! of; what it tells comes from its stream of notices, as in life. The peer is told the same over HTTP, which costs it
//! less. Clients reach both without a gateway in between.

mod audience;
mod auth;
mod broadcast;
mod client;
mod farewell;
mod frames;
pub(crate) mod joins;
mod server;
mod stream;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde_json::json;
use tokio::time::sleep;
use tokio_postgres::NoTls;

use self::{
    audience::Audience,
    auth::ScriptedAuth,
    broadcast::{Measured, flood, steady},
    farewell::Farewell,
    server::{Ground, Kind, database_url},
};
use super::Verdict;
use crate::{
    cpu,
    figures::{Spread, float, thousands},
    platform::Platform,
    process::{Processes, free_port},
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
};

/// Most CPU time of a delivery, as a share of the peer's.
const CPU_SHARE: f64 = 0.6;
/// Least deliveries per second, as a multiple of the peer's.
const RATE_SHARE: f64 = 1.0;
/// Most kilobytes of an idle connection that is in a room.
const IDLE_KB: f64 = 30.0;
/// How long connections are left alone before memory is read.
const REST: Duration = Duration::from_secs(3);
/// Notices before anything is counted.
const WARM_UP: u64 = 20;
/// Files a process has open beside its connections.
const OTHER_FILES: u64 = 200;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Clients of the room that is told.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    clients: u32,
    /// Seats that change hands each second, each told under two names.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Seconds of each measure.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Rounds, in each of which both servers take their turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Idle connections whose memory is measured; 0 leaves it out.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(..=19_999))]
    idle: u32,
    /// The ticketing service's program [default: target/release/maru-ticketing].
    #[arg(long)]
    ticketing: Option<PathBuf>,
}

/// What the rounds of one server have shown.
#[derive(Default)]
struct Rounds {
    steady: Vec<Measured>,
    flood: Vec<Measured>,
}

impl Rounds {
    fn cpu(&self) -> f64 {
        median(self.steady.iter().map(Measured::cpu_micros))
    }

    fn rate(&self) -> f64 {
        median(self.flood.iter().map(Measured::rate))
    }

    fn missing(&self) -> u64 {
        self.steady.iter().chain(&self.flood).map(|measured| measured.missing).sum()
    }
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    // Here are the clients of both rooms at once.
    check_open_files(options.idle.max(options.clients * 2))?;
    let platform = Platform::ask().await?;
    let mut report = Report::open("sockets").await;
    let (database, connection) =
        tokio_postgres::connect(&database_url(&platform)?, NoTls).await.map_err(|fault| broken(&fault))?;
    let auth_port = free_port()?;
    let _auth = ScriptedAuth::start(auth_port)?;
    let measuring = async {
        database.batch_execute(FORGET_EVENT).await.map_err(|fault| broken(&fault))?;
        let event = database.query_one(MAKE_EVENT, &[]).await.map_err(|fault| broken(&fault))?;
        let event_id = event.try_get(0).map_err(|fault| broken(&fault))?;
        let program = options.ticketing.clone();
        let ground = Ground { platform: &platform, processes, program, auth_port, event_id };
        let measured = measure(options, &ground, &mut report).await;
        processes.stop_all().await;
        database.batch_execute(FORGET_EVENT).await.map_err(|fault| broken(&fault))?;
        measured
    };
    let missing = tokio::select! {
        measured = measuring => measured?,
        ended = connection => return Err(Trouble::Broken(format!("the database ended the connection: {ended:?}"))),
    };
    report.publish()?;
    Ok(if missing == 0 { Verdict::Passed } else { Verdict::Failed })
}

/// Measures all there is, and returns how many deliveries were lost.
async fn measure(options: &Options, ground: &Ground<'_>, report: &mut Report) -> Result<u64, Trouble> {
    let (mut idle, mut farewell) = (Vec::new(), None);
    if options.idle > 0 {
        for kind in Kind::BOTH {
            let (kb, end) = idle_connections(kind, options.idle, ground).await?;
            idle.push(kb);
            farewell = farewell.or(end);
        }
    }
    let [maru, peer] = rounds(options, ground).await?;
    tell_rounds(options, [&maru, &peer], report);
    let ratio = |maru: f64, peer: f64| if peer > 0.0 { maru / peer } else { 0.0 };
    let (cpu, rate) = (ratio(maru.cpu(), peer.cpu()), ratio(maru.rate(), peer.rate()));
    let missing = maru.missing() + peer.missing();
    let mut goal = |what: &str, measured, bound| report.goal(Goal { what: what.to_owned(), measured, bound });
    goal("CPU time of a delivery, Maru / socket.io", cpu, Bound::AtMost(CPU_SHARE));
    goal("deliveries/s as fast as they go, Maru / socket.io", rate, Bound::AtLeast(RATE_SHARE));
    if let [maru_kb, peer_kb] = idle[..] {
        goal("KB an idle connection in a room", maru_kb, Bound::AtMost(IDLE_KB));
        report.note(format!("an idle connection of socket.io in a room keeps {peer_kb:.1} KB in the same run"));
    }
    goal_of_losses(missing, report);
    if let Some(farewell) = &farewell {
        farewell.tell(report);
    }
    report.note(format!("the peer is socket.io {} on Node.js", server::peer_version()));
    report.figures(json!({
        "clients": options.clients, "rate": options.rate, "cpu_ratio": cpu, "rate_ratio": rate,
        "idle_connections": options.idle, "idle_kb": idle, "farewell": farewell,
        "maru": { "cpu_us": maru.cpu(), "per_second": maru.rate(), "steady": maru.steady, "flood": maru.flood },
        "socket_io": { "cpu_us": peer.cpu(), "per_second": peer.rate(), "steady": peer.steady, "flood": peer.flood },
    }));
    Ok(missing)
}

fn goal_of_losses(missing: u64, report: &mut Report) {
    let what = "deliveries that did not arrive".to_owned();
    report.goal(Goal { what, measured: float(missing), bound: Bound::AtMost(0.0) });
}

/// Measures what a connection keeps that is in a room where nothing happens, kilobytes; and how Maru sends them all away.
async fn idle_connections(
    kind: Kind,
    connections: u32,
    ground: &Ground<'_>,
) -> Result<(f64, Option<Farewell>), Trouble> {
    progress(&format!("{}: {connections} idle connections", kind.name()))?;
    let server = ground.start(kind).await?;
    let resident = || cpu::resident_kb(server.pid).unwrap_or_default();
    let mut audience = Audience::new();
    // One first, so that what a room costs is not counted.
    audience.admit(&server, 0..1).await?;
    sleep(REST).await;
    let before = resident();
    audience.admit(&server, 1..connections + 1).await?;
    sleep(REST).await;
    let after = resident();
    let ended = audience.ended();
    if ended > 0 {
        return Err(Trouble::Broken(format!("{} ended {ended} idle connections", kind.name())));
    }
    let farewell = match kind {
        Kind::Maru => Some(farewell::measure(&server, &audience).await?),
        Kind::Peer => None,
    };
    drop(audience);
    ground.processes.stop_all().await;
    Ok((float(after.saturating_sub(before)) / f64::from(connections), farewell))
}

/// Has both servers tell their rooms in turns, and returns what Maru's rounds and the peer's have shown.
async fn rounds(options: &Options, ground: &Ground<'_>) -> Result<[Rounds; 2], Trouble> {
    let duration = Duration::from_secs(options.seconds);
    let mut both = Vec::new();
    for kind in Kind::BOTH {
        progress(&format!("{}: {} clients come in", kind.name(), options.clients))?;
        let (mut server, mut audience) = (ground.start(kind).await?, Audience::new());
        audience.admit(&server, 0..options.clients).await?;
        for _ in 0..WARM_UP {
            audience.tell(&mut server, 1).await?;
            if audience.settle(0).await > 0 {
                return Err(Trouble::Broken(format!("{} does not tell its room", kind.name())));
            }
        }
        both.push((kind, server, audience, Rounds::default()));
    }
    for round in 0..options.rounds {
        for (kind, server, audience, rounds) in &mut both {
            progress(&format!("round {} of {}: {}", round + 1, options.rounds, kind.name()))?;
            rounds.steady.push(steady(server, audience, options.rate, duration).await?);
            rounds.flood.push(flood(server, audience, duration).await?);
            if audience.ended() > 0 {
                return Err(Trouble::Broken(format!("{} ended {} connections", kind.name(), audience.ended())));
            }
        }
    }
    let mut rounds = both.into_iter().map(|(_, _, _, rounds)| rounds);
    Ok([rounds.next().unwrap_or_default(), rounds.next().unwrap_or_default()])
}

fn tell_rounds(options: &Options, both: [&Rounds; 2], report: &mut Report) {
    let title = format!("{} clients of one room, each seat told under two names", options.clients);
    let columns = ["server and load", "round", "deliveries/s", "lost", "CPU us each", "server's cores"];
    let mut table = Table::new(title, &columns);
    for (kind, rounds) in Kind::BOTH.into_iter().zip(both) {
        let loads = [(format!("{} seats/s", options.rate), &rounds.steady), ("flood".to_owned(), &rounds.flood)];
        for (load, measured) in loads {
            for (round, measured) in measured.iter().enumerate() {
                table.row([
                    format!("{}, {load}", kind.name()),
                    (round + 1).to_string(),
                    thousands(measured.rate()),
                    measured.missing.to_string(),
                    format!("{:.2}", measured.cpu_micros()),
                    format!("{:.2}", measured.cores()),
                ]);
            }
        }
    }
    report.table(table);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    Spread::of(values).map_or(0.0, |spread| spread.median)
}

/// Checks that this process and each server may open enough files.
pub(crate) fn check_open_files(clients: u32) -> Result<(), Trouble> {
    let needed = u64::from(clients) + OTHER_FILES;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(Trouble::Missing(format!(
            "{clients} clients need {needed} open files and the limit is {limit}: run `ulimit -n {needed}` first, or \
             take fewer"
        ))),
        _ => Ok(()),
    }
}

fn broken(fault: &tokio_postgres::Error) -> Trouble {
    Trouble::Broken(format!("the ticketing database: {fault:?}"))
}

const MAKE_EVENT: &str = "
    INSERT INTO events (id, organizer_id, title, venue, event_date, sale_start_date, sale_end_date)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'maru-bench sockets', 'loopback',
            now() + interval '30 days', now() - interval '1 day', now() + interval '29 days')
    RETURNING id::text
";
/// Also what an interrupted run has left.
const FORGET_EVENT: &str = "DELETE FROM events WHERE title = 'maru-bench sockets'";
