//! A hot sale: everybody orders the same ticket type, which there is enough of.
//!
//! In each round, one after the other: the service's own batch function by PostgreSQL's load generator, which is the limit;
//! orders in Node.js as a transaction each, of which the best of several pools counts; orders in Node.js with Maru's own
//! combiner and SQL, which tells how much is the algorithm and how much the language; and Maru, straight and through the
//! gateway. Every order has a key and a buyer that has at most ten. Counted are rows on disk, not answers. Afterwards
//! orders come at half of the peak rate, whatever the answers take.

mod contender;
mod orders;
mod tell;

use clap::Args;

use self::{
    contender::{Contender, Stage},
    orders::Sample,
};
use super::Verdict;
use crate::{
    figures::Spread,
    platform::Platform,
    process::Processes,
    report::{Report, progress},
    trouble::Trouble,
};

/// The share of the peak at which waiting is measured.
const STEADY_SHARE: f64 = 0.5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds for each contender in each round.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..40))]
    seconds: u64,
    /// Connections that orders come by.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=512))]
    connections: u32,
    /// Orders of one buyer, one at a time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10))]
    orders_per_buyer: u64,
    /// Most orders a second for which there are buyers.
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    most: u64,
    /// Whether buyers come in through the waiting room, which has room for all of them; else there is none.
    #[arg(long)]
    waiting_room: bool,
    /// The log level of service and gateway; `warn` leaves out access lines and spans.
    #[arg(long, default_value = "info")]
    log_level: String,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let mut report = Report::open("hot-sale").await;
    let platform = Platform::ask().await?;
    progress("setting the stage")?;
    let stage = Stage::set(&platform, options, processes).await?;
    let measured = measure(&stage, options).await;
    stage.clear(processes).await?;
    let (samples, steady) = measured?;
    let sound = samples.iter().chain([&steady]).all(Sample::is_sound);
    tell::write(&mut report, options, &samples, &steady);
    report.publish()?;
    Ok(if sound { Verdict::Passed } else { Verdict::Failed })
}

/// Returns the samples of all rounds, and the one at a steady rate.
async fn measure(stage: &Stage, options: &Options) -> Result<(Vec<Sample>, Sample), Trouble> {
    let mut samples = Vec::new();
    for round in 1..=options.rounds {
        // Backwards in every second round, so that no contender always follows the same one.
        let mut order = Contender::ALL.to_vec();
        if round % 2 == 0 {
            order.reverse();
        }
        for contender in order {
            progress(&format!("round {round} of {}: {}", options.rounds, contender.name()))?;
            samples.push(stage.measure(contender, round, None).await?);
        }
    }
    let peak = tell::of(&samples, Contender::Straight).map(|sample| sample.per_second);
    let peak = Spread::of(peak).map_or(0.0, |spread| spread.median);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and small")]
    let rate = ((peak * STEADY_SHARE) as u32).max(1);
    progress(&format!("orders at {rate}/s"))?;
    let steady = stage.measure(Contender::Straight, 0, Some(rate)).await?;
    Ok((samples, steady))
}
