//! Whether any of many who come at once is left standing, through the gateway of the running platform.
//!
//! An event that arrives before anybody listens for it is dropped without a word, and its client waits for ever: it takes
//! many clients and many runs to see that this does not happen.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use reqwest::Client as Http;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_postgres::NoTls;

use super::{
    super::{Verdict, tunnel::source_address},
    client::{Client, Door, Failure},
    server::database_url,
};
use crate::{
    figures::{float, milliseconds, percentile},
    platform::Platform,
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
};

/// What a page says that has just opened; everybody in the room is told how many they are.
const JOIN: &str = "join-event";
/// Clients of one person: a platform lets one have 32.
const SOCKETS_OF_ONE: u32 = 20;
/// How long sockets that were closed may take to be gone: a person may only have so many.
const REST: Duration = Duration::from_secs(2);
/// Longest wait for an account.
const PATIENCE: Duration = Duration::from_secs(20);
/// Kinds of failure that the report spells out.
const EXAMPLES: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Clients in each run.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=3_000))]
    clients: u32,
    /// Runs.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Clients on their way in at the same time [default: all].
    #[arg(long)]
    at_once: Option<u32>,
    /// Seconds after which a client counts as hung.
    #[arg(long, default_value_t = 30)]
    patience: u64,
}

/// What became of the clients of one or several runs.
#[derive(Clone, Debug, Default, Serialize)]
struct Tally {
    joined: u64,
    hung: u64,
    lost: u64,
    refused: u64,
    /// What failing clients saw, each kind once.
    examples: BTreeSet<String>,
    #[serde(skip)]
    times: Vec<Duration>,
}

impl Tally {
    fn fail(&mut self, failure: &Failure) {
        *match failure {
            Failure::Hung(_) => &mut self.hung,
            Failure::Lost(_) => &mut self.lost,
            Failure::Refused(_) => &mut self.refused,
        } += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.insert(failure.to_string());
        }
    }

    fn add(&mut self, other: &Self) {
        self.joined += other.joined;
        self.hung += other.hung;
        self.lost += other.lost;
        self.refused += other.refused;
        self.examples.extend(other.examples.iter().cloned());
    }

    const fn failures(&self) -> u64 {
        self.hung + self.lost + self.refused
    }

    fn cells(&self, run: u32) -> [String; 7] {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let at = |share| percentile(&sorted, share).map_or_else(|| "-".to_owned(), milliseconds);
        let [joined, hung, lost, refused] = [self.joined, self.hung, self.lost, self.refused].map(|n| n.to_string());
        [run.to_string(), joined, hung, lost, refused, at(0.5), at(1.0)]
    }
}

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<Verdict, Trouble> {
    super::check_open_files(options.clients)?;
    let platform = Platform::ask().await?;
    let authority = platform.gateway_url.trim_start_matches("http://");
    let address: SocketAddr =
        authority.parse().map_err(|fault| Trouble::Broken(format!("the gateway's address {authority}: {fault}")))?;
    let mut report = Report::open("joins").await;
    let (database, connection) =
        tokio_postgres::connect(&database_url(&platform)?, NoTls).await.map_err(|fault| super::broken(&fault))?;
    let measuring = async {
        database.batch_execute(super::FORGET_EVENT).await.map_err(|fault| super::broken(&fault))?;
        let event = database.query_one(super::MAKE_EVENT, &[]).await.map_err(|fault| super::broken(&fault))?;
        let event_id = event.try_get(0).map_err(|fault| super::broken(&fault))?;
        let door = Door { address, bearer: None, join: JOIN, event_id };
        let measured = measure(options, &platform.gateway_url, door, &mut report).await;
        database.batch_execute(super::FORGET_EVENT).await.map_err(|fault| super::broken(&fault))?;
        measured
    };
    let failures = tokio::select! {
        measured = measuring => measured?,
        ended = connection => return Err(Trouble::Broken(format!("the database ended the connection: {ended:?}"))),
    };
    report.publish()?;
    Ok(if failures == 0 { Verdict::Passed } else { Verdict::Failed })
}

async fn measure(options: &Options, gateway: &str, door: Door, report: &mut Report) -> Result<u64, Trouble> {
    let people = options.clients.div_ceil(SOCKETS_OF_ONE);
    progress(&format!("{people} people register"))?;
    let tokens = Arc::new(register(gateway, people).await?);
    let title = format!("{} clients a run, which come in and join through the gateway", options.clients);
    let columns = ["run", "joined", "hung", "lost", "refused", "p50 ms", "last ms"];
    let (mut table, mut total, door) = (Table::new(title, &columns), Tally::default(), Arc::new(door));
    for run in 1..=options.runs {
        progress(&format!("run {run} of {}", options.runs))?;
        let tally = one_run(options, &door, &tokens, run).await?;
        table.row(tally.cells(run));
        total.add(&tally);
        sleep(REST).await;
    }
    report.table(table);
    let mut goal = |what: &str, measured| {
        report.goal(Goal { what: what.to_owned(), measured: float(measured), bound: Bound::AtMost(0.0) });
    };
    goal("clients that hang", total.hung);
    goal("clients that are lost or refused", total.lost + total.refused);
    for example in total.examples.iter().take(EXAMPLES) {
        report.note(example.clone());
    }
    report.figures(json!({ "clients": options.clients, "runs": options.runs, "total": total }));
    Ok(total.failures())
}

/// Lets all clients of a run go at once, and keeps them until the last one is in.
async fn one_run(options: &Options, door: &Arc<Door>, tokens: &Arc<Vec<String>>, run: u32) -> Result<Tally, Trouble> {
    let patience = Duration::from_secs(options.patience);
    let places = Arc::new(Semaphore::new(options.at_once.unwrap_or(options.clients).max(1) as usize));
    let mut entering: JoinSet<(Result<Client, Failure>, Duration)> = JoinSet::new();
    for number in 0..options.clients {
        let (door, tokens, places) = (Arc::clone(door), Arc::clone(tokens), Arc::clone(&places));
        entering.spawn(async move {
            // Never closed; without a place the client would only start early.
            let _place = places.acquire().await;
            let token = tokens.get(number as usize % tokens.len().max(1)).map_or("", String::as_str);
            let begun = Instant::now();
            (door.enter(source_address(run * 7 + number), token, patience).await, begun.elapsed())
        });
    }
    let (mut tally, mut listening, heard) = (Tally::default(), JoinSet::new(), Arc::default());
    while let Some(ended) = entering.join_next().await {
        let (entered, took) = ended.map_err(|fault| Trouble::Broken(format!("a client panicked: {fault}")))?;
        match entered {
            Ok(client) => {
                tally.joined += 1;
                tally.times.push(took);
                listening.spawn(client.listen(Arc::clone(&heard)));
            }
            Err(failure) => tally.fail(&failure),
        }
    }
    Ok(tally)
}

#[derive(Deserialize)]
struct Registered {
    access_token: String,
}

/// Registers so many people, and returns their tokens.
async fn register(gateway: &str, people: u32) -> Result<Vec<String>, Trouble> {
    let broken = |fault: reqwest::Error| Trouble::Broken(format!("the gateway: {fault}"));
    let mut tokens = Vec::new();
    for number in 0..people {
        // One address may only register so many a minute.
        let http =
            Http::builder().no_proxy().timeout(PATIENCE).local_address(std::net::IpAddr::V4(source_address(number)));
        let http = http.build().map_err(broken)?;
        let email = format!("bench-joins-{}-{number}@example.com", std::process::id());
        let person = json!({ "name": "maru-bench", "email": email, "password": "maru-bench 마루 4127" });
        let sent = http.post(format!("{gateway}/register")).json(&person).send().await;
        let answered = sent.and_then(reqwest::Response::error_for_status).map_err(broken)?;
        let Registered { access_token } = answered.json().await.map_err(broken)?;
        tokens.push(access_token);
    }
    Ok(tokens)
}
