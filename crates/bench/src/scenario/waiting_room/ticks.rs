//! What Redis does while people wait and nobody comes or goes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::time::sleep;

use super::{
    Options,
    lines::{self, Stage},
};
use crate::{
    cpu,
    figures::float,
    load::{self, Pace},
    own_database::OwnDatabase,
    process::Processes,
    redis_wire::Redis,
    report::progress,
    ticketing_process::Server,
    trouble::Trouble,
};

/// Few people who wait; more than the first of a line, about whom a tick tells each by name.
const FEW: u32 = 1_000;
/// How many of the rest join before tokens are too old, in one go.
const AT_ONCE: u32 = 50_000;
/// Until replicas have found the line and written down what happened before.
const SETTLING: Duration = Duration::from_secs(4);
/// How often somebody looks, so that the services keep the whole line in view.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Commands of the count itself.
const OWN: [&str; 1] = ["info"];

/// One count.
#[derive(Debug, Serialize)]
pub(super) struct Ticks {
    pub(super) replicas: u32,
    pub(super) waiting: u32,
    pub(super) scripts_per_second: f64,
    /// All commands, with those that the script sends.
    pub(super) commands_per_second: f64,
    pub(super) calls: BTreeMap<String, f64>,
    /// Share of a core that Redis used.
    pub(super) redis_share: Option<f64>,
}

impl Ticks {
    /// Returns the commands for each call of the script.
    pub(super) fn commands_each(&self) -> f64 {
        if self.scripts_per_second > 0.0 { self.commands_per_second / self.scripts_per_second } else { 0.0 }
    }

    /// Returns Redis' CPU time for each call of the script, microseconds.
    pub(super) fn redis_micros(&self) -> Option<f64> {
        (self.scripts_per_second > 0.0).then_some(self.redis_share? * 1e6 / self.scripts_per_second)
    }
}

/// Counts with few who wait, with many, and with many and two replicas.
pub(super) async fn measure(
    options: &Options,
    database: &OwnDatabase,
    processes: &Processes,
) -> Result<Vec<Ticks>, Trouble> {
    let stage = Stage::set(database, &options.log_level, processes).await?;
    // Nobody is let in, so that everybody waits.
    let line = stage.line(database, "true").await?;
    let mut ticks = Vec::new();
    let mut replicas = vec![stage.service];
    fill(&stage, options, &line, FEW).await?;
    ticks.push(count(&stage, options, &line, &replicas, FEW).await?);
    fill(&stage, options, &line, options.waiting.saturating_sub(FEW)).await?;
    ticks.push(count(&stage, options, &line, &replicas, options.waiting).await?);
    let (port, level) = (stage.redis_port, &options.log_level);
    replicas.push(lines::start(2, database, port, &stage.keys, level, processes).await?);
    ticks.push(count(&stage, options, &line, &replicas, options.waiting).await?);
    Ok(ticks)
}

/// Lets more people wait.
async fn fill(stage: &Stage, options: &Options, line: &str, mut more: u32) -> Result<(), Trouble> {
    progress(&format!("{more} people join"))?;
    while more > 0 {
        let now = more.min(AT_ONCE);
        let tokens = stage.tokens(usize::try_from(now).unwrap_or(usize::MAX))?;
        let joined = stage.join_with(options, line, tokens).await?;
        // Who was told to come again later is left out; so many others come.
        more -= u32::try_from(u64::from(now).saturating_sub(joined.faults)).unwrap_or(now);
        if joined.faults == u64::from(now) {
            return Err(Trouble::Broken(format!("nobody could join: {}", joined.others)));
        }
    }
    Ok(())
}

async fn count(
    stage: &Stage,
    options: &Options,
    line: &str,
    replicas: &[Server],
    waiting: u32,
) -> Result<Ticks, Trouble> {
    progress(&format!("ticks of {} with {waiting} who wait", replicas.len()))?;
    let mut redis = Redis::connect(stage.redis_port).await?;
    watch(stage, line, replicas, SETTLING).await?;
    let (before, cpu_before, begun) = (redis.calls().await?, cpu::used_by(stage.redis_pid), Instant::now());
    watch(stage, line, replicas, Duration::from_secs(options.seconds)).await?;
    let (after, cpu_after, seconds) =
        (redis.calls().await?, cpu::used_by(stage.redis_pid), begun.elapsed().as_secs_f64());
    let calls: BTreeMap<String, f64> = after
        .into_iter()
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .map(|(name, calls)| {
            let more = calls.saturating_sub(before.get(&name).copied().unwrap_or_default());
            (name, float(more) / seconds)
        })
        .filter(|(_, calls)| *calls > 0.0)
        .collect();
    let used = cpu_before.zip(cpu_after).and_then(|(before, after)| after.checked_sub(before));
    Ok(Ticks {
        replicas: u32::try_from(replicas.len()).unwrap_or_default(),
        waiting,
        scripts_per_second: calls.get("evalsha").copied().unwrap_or_default(),
        commands_per_second: calls.values().sum(),
        calls,
        redis_share: used.map(|used| used.as_secs_f64() / seconds),
    })
}

/// Has somebody look at every replica from time to time.
async fn watch(stage: &Stage, line: &str, replicas: &[Server], duration: Duration) -> Result<(), Trouble> {
    let (tokens, until) = (stage.tokens(1)?, Instant::now() + duration);
    while Instant::now() < until {
        for replica in replicas {
            let look = lines::request("GET", "status", line, *replica, tokens.clone());
            load::send(replica.address, 1, Pace::Count(1), 0, look).await?;
        }
        sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
    }
    Ok(())
}
