//! The time to the first token, with a number of streams at once at every moment.
//!
//! Everybody talks without pause, each beginning at a moment of its own, so that the streams are spread over a reply's
//! length as they are in life. The model itself is asked in the same way, in turns with us.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Ground,
    model::{Model, message},
    talk::Talk,
};
use crate::{figures::percentile, report::progress, trouble::Trouble};

/// Tokens of a reply, and the pause between two, milliseconds: two seconds of reading at 50 a second.
const TOKENS: u32 = 100;
const PAUSE_MS: u32 = 20;
/// Kinds of failure that the report spells out.
const EXAMPLES: usize = 4;

/// What was measured; the times are sorted.
#[derive(Debug, Default)]
pub(super) struct FirstTokens {
    pub(super) direct: Vec<Duration>,
    pub(super) ours: Vec<Duration>,
    pub(super) faults: u64,
    pub(super) examples: BTreeSet<String>,
}

impl FirstTokens {
    /// Returns by how much our time is longer than the model's own, at a share of each, milliseconds.
    pub(super) fn added_ms(&self, share: f64) -> f64 {
        let at = |times: &[Duration]| percentile(times, share).unwrap_or_default().as_secs_f64();
        (at(&self.ours) - at(&self.direct)) * 1e3
    }

    pub(super) fn figures(&self) -> Value {
        let of = |times: &[Duration]| {
            let ms = |share| percentile(times, share).map(|time| time.as_secs_f64() * 1e3);
            json!({ "count": times.len(), "p50_ms": ms(0.5), "p90_ms": ms(0.9), "p99_ms": ms(0.99) })
        };
        json!({ "direct": of(&self.direct), "ours": of(&self.ours), "faults": self.faults })
    }

    fn add(&mut self, heard: Result<Vec<Duration>, String>, is_ours: bool) {
        match heard {
            Ok(times) if is_ours => self.ours.extend(times),
            Ok(times) => self.direct.extend(times),
            Err(why) => {
                self.faults += 1;
                if self.examples.len() < EXAMPLES {
                    self.examples.insert(why);
                }
            }
        }
    }
}

/// Measures in turns.
pub(super) async fn measure(
    ground: &Ground<'_>,
    at_once: u32,
    rounds: u32,
    seconds: u32,
    model_ms: u32,
) -> Result<FirstTokens, Trouble> {
    ground.model.follow(&format!("ttft={model_ms},itl={PAUSE_MS},n={TOKENS}")).await?;
    let replies = Arc::new(ground.model.replies(TOKENS).await?);
    let mut talks = Vec::new();
    for number in 0..at_once {
        let person = ground.people.get(number as usize % ground.people.len().max(1));
        let person = person.ok_or_else(|| Trouble::Broken("nobody is there to talk".to_owned()))?;
        talks.push((number, Talk::open(&ground.door, person, number).await?));
    }
    let (mut found, duration) = (FirstTokens::default(), Duration::from_secs(seconds.into()));
    for round in 1..=rounds {
        progress(&format!("first tokens, round {round} of {rounds}"))?;
        let until = Instant::now() + duration;
        let mut asking = JoinSet::new();
        for number in 0..at_once {
            let model = ground.model.clone();
            asking.spawn(ask(model, number, stagger(number, at_once), until));
        }
        while let Some(ended) = asking.join_next().await {
            found.add(ended.unwrap_or_else(|fault| Err(fault.to_string())), false);
        }
        let until = Instant::now() + duration;
        let mut talking = JoinSet::new();
        for (number, talk) in talks.drain(..) {
            talking.spawn(converse(talk, number, Arc::clone(&replies), stagger(number, at_once), until));
        }
        while let Some(ended) = talking.join_next().await {
            let (number, talk, times) = ended.map_err(|fault| Trouble::Broken(fault.to_string()))?;
            // Who was told something else than the model said is not asked again.
            if times.is_ok() {
                talks.push((number, talk));
            }
            found.add(times, true);
        }
    }
    for (_, talk) in talks {
        talk.close().await;
    }
    found.direct.sort_unstable();
    found.ours.sort_unstable();
    Ok(found)
}

/// Returns when somebody begins: all of them, over the length of one reply.
fn stagger(number: u32, of: u32) -> Duration {
    Duration::from_millis(u64::from(TOKENS * PAUSE_MS)) * number / of.max(1)
}

async fn ask(model: Model, number: u32, after: Duration, until: Instant) -> Result<Vec<Duration>, String> {
    sleep(after).await;
    let mut times = Vec::new();
    while Instant::now() < until {
        let heard = model.ask("scripted", &message(number), "").await.map_err(|trouble| trouble.to_string())?;
        times.push(heard.first);
    }
    Ok(times)
}

async fn converse(
    mut talk: Talk,
    number: u32,
    replies: Arc<Vec<String>>,
    after: Duration,
    until: Instant,
) -> (u32, Talk, Result<Vec<Duration>, String>) {
    sleep(after).await;
    let expected = replies.get(number as usize % replies.len().max(1)).map_or("", String::as_str);
    let (mut times, text) = (Vec::new(), message(number));
    while Instant::now() < until {
        match talk.say(&text, expected).await {
            Ok(reply) => times.push(reply.first),
            Err(why) => return (number, talk, Err(why)),
        }
    }
    (number, talk, Ok(times))
}
