//! Google's keys, kept for as long as Google says.
//!
//! An unknown key id is asked for at most once in half a minute, whoever shows it and however often; when Google cannot
//! be reached, the keys of before still count.

use std::{collections::HashMap, time::Duration};

use chassis::{
    clock::Clock,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, JwkSet},
};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::peer::{GOOGLE_UNREACHABLE, Google};

/// How long keys are kept when Google does not say.
const USUAL_AGE: Duration = Duration::from_hours(1);
/// Longest they are kept, whatever it says.
const LONGEST_AGE: Duration = Duration::from_hours(24);
/// Shortest time between two questions.
const PAUSE: chrono::Duration = chrono::Duration::seconds(30);

/// Keys by their id.
pub struct Keys {
    url: Url,
    peer: Google,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<String, DecodingKey>,
    good_until: DateTime<Utc>,
    asked_at: DateTime<Utc>,
    /// When the last question found nobody while there were no keys at all.
    failed_at: Option<Instant>,
}

impl Keys {
    /// Keeps the keys that are at `url`.
    pub fn new(url: Url, peer: Google, clock: Clock) -> Self {
        Self { url, peer, clock, kept: Mutex::default() }
    }

    /// Finds a key.
    ///
    /// # Errors
    /// 502 when there has never been an answer and there is none now.
    pub async fn find(&self, kid: &str) -> Outcome<Option<DecodingKey>> {
        // Whoever comes while somebody asks waits for that answer, and shares it: a queue in which everybody asks again
        // would have the last one wait for all the others' patience.
        let came_at = Instant::now();
        let mut kept = self.kept.lock().await;
        if kept.failed_at.is_some_and(|failed_at| failed_at >= came_at) {
            return Err(GOOGLE_UNREACHABLE.into());
        }
        let now = self.clock.now();
        let known = kept.keys.get(kid).cloned();
        let is_fresh = now < kept.good_until;
        // Nobody can log in without keys; and who asked first may have hung up before there were any.
        let may_ask = kept.keys.is_empty() || now - kept.asked_at >= PAUSE;
        if (known.is_some() && is_fresh) || !may_ask {
            return Ok(known);
        }
        kept.asked_at = now;
        match self.fetch().await {
            Ok((keys, age)) => {
                kept.keys = keys;
                kept.good_until = now + age;
                Ok(kept.keys.get(kid).cloned())
            }
            // The last good answer is better than none.
            Err(problem) if !kept.keys.is_empty() => {
                problem.log();
                Ok(known)
            }
            Err(problem) => {
                kept.failed_at = Some(Instant::now());
                Err(problem)
            }
        }
    }

    async fn fetch(&self) -> Outcome<(HashMap<String, DecodingKey>, Duration)> {
        let fetched = self.peer.fetch::<JwkSet>(&self.url).await?;
        let keys = usable(&fetched.body);
        if keys.is_empty() {
            // Nobody who signs has none: this is trouble that looks like an answer.
            return Err(Problem::from(GOOGLE_UNREACHABLE).caused_by("it has no keys"));
        }
        Ok((keys, fetched.max_age.unwrap_or(USUAL_AGE).min(LONGEST_AGE)))
    }
}

/// Takes the RSA keys of a set; what else may be in it signs no id token.
fn usable(set: &JwkSet) -> HashMap<String, DecodingKey> {
    let rsa = set.keys.iter().filter(|jwk| matches!(jwk.algorithm, AlgorithmParameters::RSA(_)));
    rsa.filter_map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?))).collect()
}
