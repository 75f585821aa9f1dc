//! Google's keys, kept for as long as Google says.
//!
//! An unknown key id is asked for at most once in half a minute, whoever shows it and however often; when Google cannot
//! be reached, the keys of before still count.

use std::{collections::HashMap, time::Duration};

use chassis::{clock::Clock, problem::Outcome};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, JwkSet},
};
use tokio::sync::Mutex;
use url::Url;

use super::peer::Google;

/// How long keys are kept when Google does not say.
const USUAL_AGE: Duration = Duration::from_hours(1);
/// Longest they are kept, whatever it says.
const LONGEST_AGE: Duration = Duration::from_hours(24);
/// Shortest time between two questions.
const PAUSE: Duration = Duration::from_secs(30);

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
        // Whoever comes while somebody asks waits for that answer.
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        let known = kept.keys.get(kid).cloned();
        let is_fresh = now < kept.good_until;
        let may_ask = now - kept.asked_at >= chrono::Duration::from_std(PAUSE).unwrap_or_default();
        if (known.is_some() && is_fresh) || !may_ask {
            return Ok(known);
        }
        kept.asked_at = now;
        match self.peer.fetch::<JwkSet>(&self.url).await {
            Ok(fetched) => {
                kept.keys = usable(&fetched.body);
                kept.good_until = now + fetched.max_age.unwrap_or(USUAL_AGE).min(LONGEST_AGE);
                Ok(kept.keys.get(kid).cloned())
            }
            // The last good answer is better than none.
            Err(problem) if !kept.keys.is_empty() => {
                problem.log();
                Ok(known)
            }
            Err(problem) => {
                // The next one may try at once: nobody can log in without keys.
                kept.asked_at = DateTime::default();
                Err(problem)
            }
        }
    }
}

/// Takes the RSA keys of a set; what else may be in it signs no id token.
fn usable(set: &JwkSet) -> HashMap<String, DecodingKey> {
    let rsa = set.keys.iter().filter(|jwk| matches!(jwk.algorithm, AlgorithmParameters::RSA(_)));
    rsa.filter_map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?))).collect()
}
