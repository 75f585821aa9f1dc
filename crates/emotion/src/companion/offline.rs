//! The companion of a machine without a model: prepared sentences, said to be so.

use std::time::Duration;

use domain::companion::{Turn, offline_reply, pieces};
use futures_util::{StreamExt, stream};

use super::{Companion, Pieces, Prompt};

/// Pause between two words, about the pace of a model: a console shows how a reply grows, and nobody waits for it.
const PACE: Duration = Duration::from_millis(20);

/// Answers by rules; see [`domain::companion`].
#[derive(Clone, Copy, Debug)]
pub struct OfflineCompanion {
    pace: Duration,
}

impl OfflineCompanion {
    /// Answers with a pause between two words.
    pub const fn new(pace: Duration) -> Self {
        Self { pace }
    }
}

impl Default for OfflineCompanion {
    fn default() -> Self {
        Self::new(PACE)
    }
}

impl Companion for OfflineCompanion {
    fn provider(&self) -> &'static str {
        "offline"
    }

    fn health_part(&self) -> &'static str {
        "llm_offline"
    }

    fn reply(&self, prompt: Prompt) -> Pieces {
        let turn = Turn { locale: prompt.locale, seed: prompt.seed, order: prompt.order };
        let reply = offline_reply(turn, &prompt.user_input);
        let words: Vec<_> = pieces(&reply).map(ToOwned::to_owned).collect();
        let pace = self.pace;
        let paced = stream::iter(words).enumerate().then(move |(index, word)| async move {
            // The first word comes at once.
            if index > 0 && !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            Ok(word)
        });
        paced.boxed()
    }
}
