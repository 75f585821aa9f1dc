//! The waiting room: people who come in at once, and what a long line costs while everybody only waits.
//!
//! A join is one call of a script in Redis. Its rate over HTTP, with a token of each person, stands beside that of the
//! bare script by Redis' own load generator; rounds alternate, each with a line of its own, equally long. What waiting
//! costs is counted by Redis: the commands of the services' ticks, with few and with many who wait.

mod lines;
mod ticks;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use self::{lines::Stage, ticks::Ticks};
use super::Verdict;
use crate::{
    figures::{Spread, milliseconds, thousands},
    own_database::OwnDatabase,
    platform::Platform,
    process::Processes,
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
};

/// Share of the bare script's rate that joins are to reach.
const SHARE: f64 = 0.5;
/// How many times as many commands a tick may cost with many who wait.
const MORE_FOR_MANY: f64 = 1.1;
/// How many times as many commands two replicas may send as one.
const MORE_FOR_TWO: f64 = 2.2;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds of joins.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// People who join in a round.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(2_000..=400_000))]
    joins: u32,
    /// Connections to the service.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=512))]
    connections: u32,
    /// Clients of the bare script.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..))]
    clients: u32,
    /// People who wait while ticks are counted.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2_000..=400_000))]
    waiting: u32,
    /// Seconds for which ticks are counted.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    seconds: u64,
    /// The service's log level; `warn` leaves out access lines and spans.
    #[arg(long, default_value = "info")]
    log_level: String,
}

/// One round.
#[derive(Debug, Serialize)]
struct Joins {
    /// Calls of the bare script per second.
    bare: f64,
    /// Joins of people the service sees for the first time.
    new: lines::Rate,
    /// Joins of people who have looked before, so that their tokens are known.
    known: lines::Rate,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let mut report = Report::open("waiting-room").await;
    let platform = Platform::ask().await?;
    let database = OwnDatabase::create(&platform, "room").await?;
    let measured = measure(options, &database, processes).await;
    processes.stop_all().await;
    database.drop().await?;
    let (ticks, joins) = measured?;
    tell_joins(&mut report, options, &joins);
    tell_ticks(&mut report, options, &ticks);
    report.figures(json!({ "joins": joins, "ticks": ticks }));
    report.publish()?;
    let faults: u64 = joins.iter().map(|joins| joins.new.faults + joins.known.faults).sum();
    Ok(if faults == 0 { Verdict::Passed } else { Verdict::Failed })
}

async fn measure(
    options: &Options,
    database: &OwnDatabase,
    processes: &Processes,
) -> Result<(Vec<Ticks>, Vec<Joins>), Trouble> {
    let ticks = ticks::measure(options, database, processes).await?;
    // With a Redis and a service that nothing is left in.
    processes.stop_all().await;
    let stage = Stage::set(database, &options.log_level, processes).await?;
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {}: the bare script, then joins", options.rounds))?;
        let bare = stage.bare(options, &stage.line(database, "false").await?).await?;
        let new = stage.join(options, &stage.line(database, "false").await?).await?;
        let known = stage.join_known(options, &stage.line(database, "false").await?).await?;
        rounds.push(Joins { bare, new, known });
    }
    Ok((ticks, rounds))
}

fn tell_joins(report: &mut Report, options: &Options, rounds: &[Joins]) {
    let title = format!(
        "Joins, {} people a line, {} connections, beside {} clients; CPU for each",
        thousands(f64::from(options.joins)),
        options.connections,
        options.clients
    );
    let columns =
        ["round and people", "script/s", "joins/s", "ratio", "p50 ms", "p99 ms", "server us", "Redis us", "not 200"];
    let mut table = Table::new(title, &columns);
    let micros = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.1}"));
    let share = |joins: &lines::Rate, bare: f64| if bare > 0.0 { joins.per_second / bare } else { 0.0 };
    for (round, joins) in (1..).zip(rounds) {
        for (name, rate) in [("new", &joins.new), ("known", &joins.known)] {
            table.row([
                format!("{} {name}", i32::to_string(&round)),
                thousands(joins.bare),
                thousands(rate.per_second),
                format!("{:.2}", share(rate, joins.bare)),
                milliseconds(rate.p50),
                milliseconds(rate.p99),
                micros(rate.server_micros),
                micros(rate.redis_micros),
                rate.others.clone(),
            ]);
        }
    }
    report.table(table);
    let median = |of: &dyn Fn(&Joins) -> &lines::Rate| {
        Spread::of(rounds.iter().map(|joins| share(of(joins), joins.bare))).map_or(0.0, |spread| spread.median)
    };
    // Whoever joins has looked at the event or at the waiting room before, with the same token.
    report.goal(Goal {
        what: "joins of people who have looked before, share of the bare script".to_owned(),
        measured: median(&|joins| &joins.known),
        bound: Bound::AtLeast(SHARE),
    });
    report.note(format!("of strangers, whose tokens are verified on the way: {:.2}", median(&|joins| &joins.new)));
}

fn tell_ticks(report: &mut Report, options: &Options, ticks: &[Ticks]) {
    let title = format!("Ticks in {} s, while everybody waits and somebody looks", options.seconds);
    let columns = ["replicas", "waiting", "script/s", "commands/s", "commands each", "Redis CPU %", "Redis us each"];
    let mut table = Table::new(title, &columns);
    for tick in ticks {
        table.row([
            tick.replicas.to_string(),
            thousands(f64::from(tick.waiting)),
            format!("{:.1}", tick.scripts_per_second),
            format!("{:.1}", tick.commands_per_second),
            format!("{:.1}", tick.commands_each()),
            tick.redis_share.map_or_else(|| "-".to_owned(), |share| format!("{:.2}", share * 100.0)),
            tick.redis_micros().map_or_else(|| "-".to_owned(), |micros| format!("{micros:.0}")),
        ]);
    }
    report.table(table);
    for tick in ticks {
        let calls: Vec<String> =
            tick.calls.iter().map(|(name, per_second)| format!("{name} {per_second:.1}")).collect();
        report.note(format!(
            "{} waiting, replicas {}, commands per second: {}",
            thousands(f64::from(tick.waiting)),
            tick.replicas,
            calls.join(", ")
        ));
    }
    let [few, many, two] = ticks else { return };
    report.goal(Goal {
        what: "commands of a tick with many who wait, times those with few".to_owned(),
        measured: many.commands_each() / few.commands_each().max(1.0),
        bound: Bound::AtMost(MORE_FOR_MANY),
    });
    report.goal(Goal {
        what: "commands per second of two replicas, times those of one".to_owned(),
        measured: two.commands_per_second / many.commands_per_second.max(1.0),
        bound: Bound::AtMost(MORE_FOR_TWO),
    });
}
