//! Many streams at a fixed rate, each read to its end and compared with what the model sends.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{Ground, model::message, talk::Talk};
use crate::{figures::float, trouble::Trouble};

/// Conversations that are opened at the same time.
const AT_ONCE: usize = 50;
/// How long conversations are left alone before they are measured.
const REST: Duration = Duration::from_secs(2);
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Over how long the streams begin: nobody comes at the same instant, and the model's ticks are spread.
const BEGIN_OVER: Duration = Duration::from_secs(1);
/// Kinds of failure that the report spells out.
const EXAMPLES: usize = 4;

/// How much is streamed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) streams: u32,
    pub(super) seconds: u32,
    pub(super) rate: u32,
}

impl Load {
    /// Returns how many tokens a stream has.
    pub(super) const fn tokens(self) -> u32 {
        self.seconds * self.rate
    }

    /// Returns what the model is told.
    pub(super) fn script(self) -> String {
        format!("itl={},n={}", 1_000 / self.rate.max(1), self.tokens())
    }

    /// Returns when the stream with a number begins.
    pub(super) fn begins_after(self, number: u32) -> Duration {
        BEGIN_OVER * number / self.streams.max(1)
    }
}

/// What one part of the platform took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) cpu: Duration,
    pub(super) before_kb: u64,
    pub(super) most_kb: u64,
}

impl Part {
    pub(super) fn grown_kb(self) -> f64 {
        float(self.most_kb.saturating_sub(self.before_kb))
    }

    fn figures(self) -> Value {
        json!({ "cpu_seconds": self.cpu.as_secs_f64(), "before_kb": self.before_kb, "most_kb": self.most_kb })
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) pieces: u64,
    pub(super) whole: u64,
    pub(super) broken: u64,
    pub(super) examples: BTreeSet<String>,
    pub(super) took: Duration,
    /// The service between model and person.
    pub(super) emotion: Part,
    pub(super) gateway: Part,
}

impl Flow {
    pub(super) const fn faults(&self) -> u64 {
        self.broken
    }

    pub(super) fn each_cpu_second(&self, cpu: Duration) -> f64 {
        if cpu.is_zero() { 0.0 } else { float(self.pieces) / cpu.as_secs_f64() }
    }

    pub(super) fn add(&mut self, heard: Result<u64, String>) {
        match heard {
            Ok(pieces) => {
                self.whole += 1;
                self.pieces += pieces;
            }
            Err(why) => {
                self.broken += 1;
                if self.examples.len() < EXAMPLES {
                    self.examples.insert(why);
                }
            }
        }
    }

    pub(super) fn figures(&self) -> Value {
        json!({
            "pieces": self.pieces, "whole": self.whole, "broken": self.broken, "seconds": self.took.as_secs_f64(),
            "emotion": self.emotion.figures(), "gateway": self.gateway.figures(),
        })
    }
}

/// Opens the conversations, lets all of them talk, and looks at what it takes.
pub(super) async fn measure(ground: &Ground<'_>, load: Load) -> Result<Flow, Trouble> {
    ground.model.follow(&load.script()).await?;
    let replies = Arc::new(ground.model.replies(load.tokens()).await?);
    let before = [ground.resident_kb_of("emotion"), ground.resident_kb_of("gateway")];
    let talks = open(ground, load.streams).await?;
    let cpu_before = [ground.cpu_of("emotion"), ground.cpu_of("gateway")];
    let begun = Instant::now();
    let mut talking: JoinSet<(Talk, Result<u64, String>)> = JoinSet::new();
    for (number, mut talk) in (0..).zip(talks) {
        let replies = Arc::clone(&replies);
        talking.spawn(async move {
            sleep(load.begins_after(number)).await;
            let expected = replies.get(number as usize % replies.len().max(1)).map_or("", String::as_str);
            let heard = talk.say(&message(number), expected).await.map(|reply| reply.pieces);
            (talk, heard)
        });
    }
    let (mut flow, mut most, mut over) = (Flow::default(), before, Vec::new());
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = talking.join_next() => match ended {
                Some(ended) => {
                    let (talk, heard) = ended.map_err(|fault| Trouble::Broken(fault.to_string()))?;
                    flow.add(heard);
                    over.push(talk);
                }
                None => break,
            },
            _ = looks.tick() => {
                let now = [ground.resident_kb_of("emotion"), ground.resident_kb_of("gateway")];
                most = [most[0].max(now[0]), most[1].max(now[1])];
            }
        }
    }
    flow.took = begun.elapsed();
    let cpu = [ground.cpu_of("emotion"), ground.cpu_of("gateway")];
    let part = |at: usize| -> Option<Part> {
        let cpu = cpu.get(at)?.saturating_sub(*cpu_before.get(at)?);
        Some(Part { cpu, before_kb: *before.get(at)?, most_kb: *most.get(at)? })
    };
    (flow.emotion, flow.gateway) = (part(0).unwrap_or_default(), part(1).unwrap_or_default());
    for talk in over {
        talk.close().await;
    }
    sleep(REST).await;
    Ok(flow)
}

async fn open(ground: &Ground<'_>, streams: u32) -> Result<Vec<Talk>, Trouble> {
    let (numbers, mut talks): (Vec<u32>, _) = ((0..streams).collect(), Vec::new());
    for some in numbers.chunks(AT_ONCE) {
        let opening = some.iter().filter_map(|number| {
            let person = ground.people.get(*number as usize % ground.people.len().max(1))?;
            Some(Talk::open(&ground.door, person, *number))
        });
        talks.extend(try_join_all(opening).await?);
    }
    sleep(REST).await;
    Ok(talks)
}
