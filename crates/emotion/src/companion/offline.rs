//! The companion of a machine without a model: prepared sentences, said to be so.

use std::time::Duration;

use domain::companion::pieces;
use futures_util::{StreamExt, stream};

use super::{Companion, Finish, OFFLINE, Piece, Pieces, Prompt};

/// Pause between two words, about the pace of a model: a console shows how a reply grows, and nobody waits for it.
const PACE: Duration = Duration::from_millis(20);

/// Says what was prepared.
#[derive(Clone, Copy, Debug)]
pub struct OfflineCompanion {
    pace: Duration,
}

impl OfflineCompanion {
    /// Answers with a pause between two words.
    pub const fn new(pace: Duration) -> Self {
        Self { pace }
    }

    /// Says a prepared reply word by word.
    pub(super) fn say(&self, text: &str) -> Pieces {
        let words: Vec<_> = pieces(text).map(|word| Piece::Text(word.to_owned())).collect();
        let over = Piece::Over(Finish { reason: "stop".to_owned(), ..Finish::default() });
        let pace = self.pace;
        let paced = stream::iter(words).enumerate().then(move |(index, word)| async move {
            // The first word comes at once.
            if index > 0 && !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            Ok(word)
        });
        paced.chain(stream::iter([Ok(over)])).boxed()
    }
}

impl Default for OfflineCompanion {
    fn default() -> Self {
        Self::new(PACE)
    }
}

impl Companion for OfflineCompanion {
    fn provider(&self) -> &'static str {
        OFFLINE
    }

    fn health_part(&self) -> &'static str {
        "llm_offline"
    }

    fn reply(&self, prompt: Prompt) -> Pieces {
        self.say(&prompt.prepared.text())
    }
}
