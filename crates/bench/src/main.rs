//! Load scenarios and their reports.
//!
//! Every scenario prints its figures beside a limit of the machine or a peer measured in the same run: absolute figures
//! of one machine say little on another, ratios travel. Whatever a scenario starts, it ends, also when interrupted.

mod cpu;
mod figures;
mod gateway_process;
mod load;
mod memo_process;
mod nginx;
mod own_database;
mod peer;
mod people;
mod pgbench;
mod platform;
mod probe;
mod process;
mod raw;
mod redis_wire;
mod report;
mod scenario;
mod session_process;
mod ticketing_process;
mod token;
mod trouble;
mod tunnel;
mod upstream;
mod wrk;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{process::Processes, scenario::Verdict, trouble::Trouble};

/// Measures Maru beside the limits of this machine.
#[derive(Debug, Parser)]
#[command(name = "maru-bench", version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// The machine's own limits: HTTP on loopback, durable writes, TCP round trips, password hashes.
    Limits(scenario::limits::Options),
    /// The gateway beside nginx as reverse proxy before the same upstream.
    Gateway(scenario::gateway::Options),
    /// What the gateway adds to the time of a request at a fixed rate, beside nginx.
    Latency(scenario::latency::Options),
    /// First messages of WebSocket clients through the gateway's tunnel.
    Tunnel(scenario::tunnel::Options),
    /// Logins beside the bare password hash, other requests meanwhile, and refreshes, on the running platform.
    Accounts(scenario::accounts::Options),
    /// Memory of a session's viewers, idle and not reading, on the running platform.
    Viewers(scenario::viewers::Options),
    /// How late focus sessions are completed, on the running platform.
    Focus(scenario::focus::Options),
    /// Reading a session beside the bare select, and timers at a fixed rate, on the running platform's database.
    Sessions(scenario::sessions::Options),
    /// Telling a room over Socket.IO beside the npm package, and memory of idle connections, on the running platform's
    /// database and Redis.
    Sockets(scenario::sockets::Options),
    /// Socket.IO clients that come at once and join, through the gateway of the running platform.
    Joins(scenario::sockets::joins::Options),
    /// Orders of one hot ticket type beside the bare database function and Fastify, on the running platform's database.
    HotSale(scenario::hot_sale::Options),
    /// Holding numbered seats beside the bare change of a seat's row, on the running platform's database.
    HotSeats(scenario::hot_seats::Options),
    /// Joining a line beside the bare script in Redis, and what waiting costs, on the running platform's database.
    WaitingRoom(scenario::waiting_room::Options),
    /// Time to the first token, many streams, and LiteLLM's proxy beside it, on the running platform.
    Emotion(scenario::emotion::Options),
    /// A month's list, a search among many and writing, beside the bare statements, on the running platform's database.
    Memos(scenario::memos::Options),
    /// Resident memory of every service of the running platform.
    Memory,
    /// Limits, gateway and tunnel with short settings, and their ratios.
    All(scenario::all::Options),
    /// The upstream that the gateway and nginx are measured with.
    #[command(hide = true)]
    Upstream {
        /// Port of 127.0.0.1 to listen on.
        #[arg(long)]
        port: u16,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let processes = Processes::default();
    let outcome = tokio::select! {
        outcome = run(cli.scenario, &processes) => outcome,
        interrupted = interruption() => interrupted,
    };
    processes.stop_all().await;
    match outcome {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(1),
        Err(trouble) => {
            // Nothing is left to be told if standard error is closed.
            let _ = writeln!(std::io::stderr(), "maru-bench: {trouble}");
            ExitCode::from(trouble.exit_code())
        }
    }
}

async fn run(scenario: Scenario, processes: &Processes) -> Result<Verdict, Trouble> {
    match scenario {
        Scenario::Limits(options) => scenario::limits::run(&options, processes).await,
        Scenario::Gateway(options) => scenario::gateway::run(&options, processes).await,
        Scenario::Latency(options) => scenario::latency::run(&options, processes).await,
        Scenario::Tunnel(options) => scenario::tunnel::run(&options, processes).await,
        Scenario::Accounts(options) => scenario::accounts::run(&options).await,
        Scenario::Viewers(options) => scenario::viewers::run(&options, processes).await,
        Scenario::Focus(options) => scenario::focus::run(&options).await,
        Scenario::Sessions(options) => scenario::sessions::run(&options, processes).await,
        Scenario::Sockets(options) => Box::pin(scenario::sockets::run(&options, processes)).await,
        Scenario::Joins(options) => scenario::sockets::joins::run(&options).await,
        Scenario::HotSale(options) => Box::pin(scenario::hot_sale::run(&options, processes)).await,
        Scenario::HotSeats(options) => Box::pin(scenario::hot_seats::run(&options, processes)).await,
        Scenario::WaitingRoom(options) => Box::pin(scenario::waiting_room::run(&options, processes)).await,
        Scenario::Emotion(options) => Box::pin(scenario::emotion::run(&options, processes)).await,
        Scenario::Memos(options) => Box::pin(scenario::memos::run(&options, processes)).await,
        Scenario::Memory => scenario::memory::run().await,
        Scenario::All(options) => Box::pin(scenario::all::run(&options, processes)).await,
        Scenario::Upstream { port } => upstream::serve(port).await.map(|()| Verdict::Passed),
    }
}

/// Returns when the process is told to end.
async fn interruption() -> Result<Verdict, Trouble> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Err(Trouble::Interrupted),
        _ = terminate.recv() => Err(Trouble::Interrupted),
    }
}
