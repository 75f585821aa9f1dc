//! Whether any client of the gateway's WebSocket tunnel loses its first message.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use super::Verdict;
use crate::{
    figures::{float, milliseconds, percentile},
    gateway_process::{Gateway, GatewayOptions},
    probe::Probe,
    process::{Processes, free_port},
    report::{Bound, Goal, Report, Table, progress},
    token,
    trouble::Trouble,
    tunnel::{
        client::{Client, Outcome, Speaks},
        echo::EchoUpstream,
    },
};

/// A path that the gateway tunnels.
const PATH: &str = "/ws/emotion";

/// The sizes of first messages: from one that fits beside a head to one of many segments.
const SIZES: (u64, u64) = (64, 30_000);

/// Kinds of failure that the report spells out.
const EXAMPLES: usize = 8;

/// Files a process has open beside its connections.
const OTHER_FILES: u64 = 200;

/// Addresses of the loopback network that clients come from, in turns.
const SOURCES: u32 = 200;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Clients in each run.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clients: u32,
    /// Runs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Clients at work at the same time [default: all].
    #[arg(long)]
    pub(crate) at_once: Option<u32>,
    /// Seconds after which a client counts as hung.
    #[arg(long, default_value_t = 30)]
    pub(crate) patience: u64,
    #[command(flatten)]
    pub(crate) gateway: GatewayOptions,
}

/// What became of the clients of one or several runs.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
    exact: u64,
    lost: u64,
    hung: u64,
    different: u64,
    refused: u64,
    #[serde(skip)]
    times: Vec<Duration>,
    /// What failing clients saw, each kind once.
    examples: BTreeSet<String>,
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        let (counter, example) = match outcome {
            Outcome::Exact(time) => {
                self.exact += 1;
                self.times.push(time);
                return;
            }
            Outcome::Lost(what) => (&mut self.lost, format!("lost {what}")),
            Outcome::Hung(what) => (&mut self.hung, format!("hung, awaiting {what}")),
            Outcome::Different(what) => (&mut self.different, format!("different: {what}")),
            Outcome::Refused(why) => (&mut self.refused, format!("refused: {why}")),
        };
        *counter += 1;
        self.examples.insert(example);
    }

    /// Returns how many clients did not get back exactly what they must.
    pub(crate) const fn failures(&self) -> u64 {
        self.lost + self.hung + self.different + self.refused
    }

    /// Returns how many clients there were.
    pub(crate) const fn clients(&self) -> u64 {
        self.exact + self.failures()
    }

    fn add(&mut self, other: &Self) {
        self.exact += other.exact;
        self.lost += other.lost;
        self.hung += other.hung;
        self.different += other.different;
        self.refused += other.refused;
        self.examples.extend(other.examples.iter().cloned());
    }

    fn cells(&self, first: String, second: &str) -> Vec<String> {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let at = |share| percentile(&sorted, share).map_or_else(|| "-".to_owned(), milliseconds);
        let counts = [self.exact, self.lost, self.hung, self.different, self.refused];
        let mut cells = vec![first, second.to_owned()];
        cells.extend(counts.iter().map(u64::to_string));
        cells.extend([at(0.5), at(0.99)]);
        cells
    }
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let total = measure(options, processes).await?;
    Ok(if total.failures() == 0 { Verdict::Passed } else { Verdict::Failed })
}

/// Measures, reports, and returns the sum of all runs.
pub(crate) async fn measure(options: &Options, processes: &Processes) -> Result<Tally, Trouble> {
    check_open_files(options.clients)?;
    let mut report = Report::open("tunnel").await;
    let upstream_port = free_port()?;
    let _upstream = EchoUpstream::start(upstream_port)?;
    let gateway = Gateway::start(&options.gateway, processes, &Probe::new()?, upstream_port).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.port));
    let token = token::access_token()?;

    let mut table = Table::new(
        format!("{} clients a run, first message at once, {}-{} bytes", options.clients, SIZES.0, SIZES.1),
        &["run", "first message", "exact", "lost", "hung", "different", "refused", "p50 ms", "p99 ms"],
    );
    let (mut runs, mut total) = (Vec::new(), Tally::default());
    for run in 0..options.runs {
        progress(&format!("run {} of {}", run + 1, options.runs))?;
        let tallies = one_run(options, address, &token, run).await?;
        for (tally, when) in tallies.iter().zip(["after the 101", "with the upgrade"]) {
            table.row(tally.cells((run + 1).to_string(), when));
            total.add(tally);
        }
        runs.push(tallies);
    }
    report.table(table);
    let what = format!("clients of {} without exact greeting and echo", total.clients());
    report.goal(Goal { what, measured: float(total.failures()), bound: Bound::AtMost(0.0) });
    for example in total.examples.iter().take(EXAMPLES) {
        report.note(example.clone());
    }
    report.figures(json!({ "total": total, "runs": runs }));
    report.publish()?;
    Ok(total)
}

/// Lets all clients of a run go at once; the first tally is of those that speak after the answer, the second of others.
async fn one_run(options: &Options, gateway: SocketAddr, token: &str, run: u32) -> Result<[Tally; 2], Trouble> {
    let places = Arc::new(Semaphore::new(options.at_once.unwrap_or(options.clients).max(1) as usize));
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        let speaks = if number % 2 == 0 { Speaks::AfterAnswer } else { Speaks::WithUpgrade };
        let client = Client {
            gateway,
            path: PATH,
            token: token.to_owned(),
            source: source_address(run * 7 + number),
            speaks,
            message: message(u64::from(run) << 32 | u64::from(number)),
            patience: Duration::from_secs(options.patience),
        };
        let places = Arc::clone(&places);
        clients.spawn(async move {
            // Never closed; without a place the client would only start early.
            let _place = places.acquire().await;
            (speaks, client.run().await)
        });
    }
    let [mut after, mut with] = [Tally::default(), Tally::default()];
    while let Some(ended) = clients.join_next().await {
        let (speaks, outcome) = ended.map_err(|fault| Trouble::Broken(format!("a client panicked: {fault}")))?;
        match speaks {
            Speaks::AfterAnswer => after.count(outcome),
            Speaks::WithUpgrade => with.count(outcome),
        }
    }
    Ok([after, with])
}

/// Returns one of 127.0.1.1 to 127.0.1.200; elsewhere than on Linux only 127.0.0.1 answers without being set up.
pub(crate) fn source_address(number: u32) -> Ipv4Addr {
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    Ipv4Addr::new(127, 0, 1, u8::try_from(number % SOURCES + 1).unwrap_or(1))
}

/// Returns a message of its own for every seed: a mix-up of two connections cannot look exact.
fn message(seed: u64) -> Vec<u8> {
    // splitmix64: any good mixing does, and the same run is the same bytes again.
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let (least, most) = SIZES;
    let size = usize::try_from(least + next() % (most - least + 1)).unwrap_or(64);
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        bytes.extend(next().to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Checks that this process, which has both ends of every tunnel, and the gateway may open enough files.
fn check_open_files(clients: u32) -> Result<(), Trouble> {
    let needed = u64::from(clients) * 2 + OTHER_FILES;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(Trouble::Missing(format!(
            "{clients} clients need {needed} open files and the limit is {limit}: run `ulimit -n {needed}` first, or \
             take fewer with --clients"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_differ_and_keep_their_sizes() {
        let messages: Vec<Vec<u8>> = (0..500).map(message).collect();
        assert!(messages.iter().all(|message| (64..=30_000).contains(&message.len())));
        assert_eq!(message(7), messages[7]);
        let mut beginnings: Vec<&[u8]> = messages.iter().map(|message| &message[..16]).collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        assert_eq!(beginnings.len(), 500);
    }

    #[test]
    fn every_outcome_but_exact_is_a_failure() {
        let mut tally = Tally::default();
        tally.count(Outcome::Exact(Duration::from_millis(3)));
        tally.count(Outcome::Lost("the echo: closed".to_owned()));
        tally.count(Outcome::Hung("the greeting"));
        tally.count(Outcome::Different("the echo"));
        tally.count(Outcome::Refused("status 503".to_owned()));
        assert_eq!((tally.failures(), tally.clients(), tally.examples.len()), (4, 5, 4));
    }

    #[test]
    fn too_few_open_files_are_told_with_the_number_needed() {
        let fault = check_open_files(u32::MAX).unwrap_err().to_string();
        assert!(fault.contains("ulimit -n 8589934790"), "{fault}");
    }

    #[tokio::test]
    async fn without_a_gateway_between_every_client_is_exact() {
        let port = free_port().unwrap();
        let _upstream = EchoUpstream::start(port).unwrap();
        let options =
            Options { clients: 60, runs: 1, at_once: Some(16), patience: 10, gateway: GatewayOptions::default() };
        let [after, with] = one_run(&options, (Ipv4Addr::LOCALHOST, port).into(), "t", 0).await.unwrap();
        assert_eq!((after.exact, with.exact), (30, 30), "{after:?} {with:?}");
    }
}
