//! What a hot sale came to.

use serde_json::json;

use super::{Options, contender::Contender, orders::Sample};
use crate::{
    figures::{Spread, milliseconds, thousands},
    report::{Bound, Goal, Report, Table},
};

/// Maru as a multiple of a transaction for each order.
const TIMES_NODE: f64 = 10.0;
/// The same through the gateway.
const TIMES_NODE_THROUGH_GATEWAY: f64 = 5.0;
/// Orders a second.
const RATE: f64 = 20_000.0;
/// Longest that one of a hundred waits at half of the peak, milliseconds.
const STEADY_P99_MS: f64 = 25.0;

/// Returns the samples of one contender.
pub(super) fn of(samples: &[Sample], contender: Contender) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(move |sample| sample.contender == contender)
}

/// Writes everything into the report.
pub(super) fn write(report: &mut Report, options: &Options, samples: &[Sample], steady: &Sample) {
    tables(report, options, samples, steady);
    let goal = |what: &str, measured: f64, bound| Goal { what: what.to_owned(), measured, bound };
    let rounds = 1..=options.rounds;
    let best_node = |round| {
        let rates = Contender::POOLS.iter().flat_map(|pool| in_round(samples, *pool, round));
        rates.fold(0.0, f64::max)
    };
    // Round by round: what disturbs a round disturbs both.
    let median = |ratios: Vec<f64>| Spread::of(ratios).map_or(0.0, |spread| spread.median);
    let ratio = |contender, beside: &dyn Fn(u32) -> f64| {
        let rate = |round| in_round(samples, contender, round).next().unwrap_or_default();
        median(rounds.clone().map(|round| divide(rate(round), beside(round))).collect())
    };
    let beside = |contender| move |round| in_round(samples, contender, round).next().unwrap_or_default();
    let to_node = ratio(Contender::Straight, &best_node);
    let through_gateway = ratio(Contender::Gateway, &best_node);
    let to_combiner = ratio(Contender::Straight, &beside(Contender::NodeCombiner));
    let [to_one, to_two] = [1, 2].map(|clients| ratio(Contender::Straight, &beside(Contender::Batches(clients))));
    let rate = median(of(samples, Contender::Straight).map(|sample| sample.per_second).collect());
    let p99 = steady.p99.as_secs_f64() * 1e3;
    report.goal(goal("Maru, times a transaction each in Fastify", to_node, Bound::AtLeast(TIMES_NODE)));
    report.goal(goal("Maru, orders/s", rate, Bound::AtLeast(RATE)));
    let what = "through the gateway, times a transaction each in Fastify";
    report.goal(goal(what, through_gateway, Bound::AtLeast(TIMES_NODE_THROUGH_GATEWAY)));
    report.goal(goal("p99 at half of the peak, ms", p99, Bound::AtMost(STEADY_P99_MS)));
    report
        .note(format!("Maru is {to_combiner:.2} times its own combiner and SQL in Fastify: the rest is the algorithm"));
    report.note(format!("Maru is {to_one:.2} of the bare function on one connection, {to_two:.2} of that on two"));
    report.note("Fastify checks no token and logs nothing; Maru does both".to_owned());
    report.figures(json!({
        "samples": samples, "steady": steady, "times_transaction": to_node,
        "times_transaction_through_gateway": through_gateway, "times_combiner": to_combiner,
        "share_of_one_connection": to_one, "share_of_two_connections": to_two, "orders_per_second": rate,
    }));
}

/// Returns the rate of a contender in a round.
fn in_round(samples: &[Sample], contender: Contender, round: u32) -> impl Iterator<Item = f64> {
    of(samples, contender).filter(move |sample| sample.round == round).map(|sample| sample.per_second)
}

fn divide(measured: f64, beside: f64) -> f64 {
    if beside > 0.0 { measured / beside } else { 0.0 }
}

fn tables(report: &mut Report, options: &Options, samples: &[Sample], steady: &Sample) {
    const COLUMNS: [&str; 9] =
        ["contender", "orders/s", "min-max", "p50 ms", "p99 ms", "server us", "gateway us", "PostgreSQL us", "not 201"];
    let title = format!(
        "Orders on disk, {} connections, {} s, medians of {} rounds; CPU for each order",
        options.connections, options.seconds, options.rounds
    );
    let mut table = Table::new(title, &COLUMNS);
    for contender in Contender::ALL {
        row(&mut table, contender.name(), &of(samples, contender).collect::<Vec<_>>());
    }
    row(&mut table, format!("Maru at a steady {}/s", thousands(steady.per_second)), &[steady]);
    report.table(table);
}

fn row(table: &mut Table, name: String, samples: &[&Sample]) {
    let spread = |value: &dyn Fn(&Sample) -> Option<f64>| Spread::of(samples.iter().filter_map(|sample| value(sample)));
    let micros = |value: &dyn Fn(&Sample) -> Option<f64>| {
        spread(value).map_or_else(|| "-".to_owned(), |spread| format!("{:.1}", spread.median))
    };
    let Some(rate) = spread(&|sample| Some(sample.per_second)) else { return };
    let middle = |value: &dyn Fn(&Sample) -> f64| {
        let median = spread(&|sample| Some(value(sample))).map_or(0.0, |spread| spread.median);
        milliseconds(std::time::Duration::try_from_secs_f64(median).unwrap_or_default())
    };
    let others: Vec<_> = samples.iter().filter(|sample| sample.others != "none").map(|s| s.others.as_str()).collect();
    table.row([
        name,
        thousands(rate.median),
        format!("{}-{}", thousands(rate.min), thousands(rate.max)),
        middle(&|sample| sample.p50.as_secs_f64()),
        middle(&|sample| sample.p99.as_secs_f64()),
        micros(&|sample| sample.server_micros),
        micros(&|sample| sample.gateway_micros),
        micros(&|sample| sample.postgres_micros),
        if others.is_empty() { "none".to_owned() } else { others.join("; ") },
    ]);
}
