//! What the operator tells the model, in a file or in the database; either may change while the service runs.
//!
//! It stands below the safety policy and above every person's wishes. A change counts for the messages of two seconds
//! later; what cannot be read any more leaves what was read before.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use chassis::{config::Faults, lifecycle::Lifecycle, pg::Pg};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::instruction_store;

/// How often the file or the row is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Most bytes of it; more would crowd out the conversation.
pub(super) const BYTES_MAX: usize = 8 * 1024;

/// Where the operator's instructions are.
#[derive(Args, Clone, Debug, Default)]
pub struct InstructionsConfig {
    /// File of what the model is told about its manner, read again when it changes; without one, what
    /// `maru-emotion system-prompt set` has put into the database.
    #[arg(long, env = "EMOTION_SYSTEM_PROMPT_FILE")]
    pub emotion_system_prompt_file: Option<PathBuf>,
}

impl InstructionsConfig {
    /// Checks that the file can be read.
    pub fn validate(&self, faults: &mut Faults) {
        if let Some(path) = &self.emotion_system_prompt_file
            && let Err(fault) = read(path)
        {
            faults.add("EMOTION_SYSTEM_PROMPT_FILE", fault);
        }
    }

    /// Reads the file.
    pub fn load(&self) -> Instructions {
        let text = self.emotion_system_prompt_file.as_deref().and_then(|path| read(path).ok()).unwrap_or_default();
        Instructions { path: self.emotion_system_prompt_file.clone(), text: Arc::new(RwLock::new(text.into())) }
    }
}

/// The operator's instructions as they stand; clones share them.
#[derive(Clone, Debug)]
pub struct Instructions {
    path: Option<PathBuf>,
    text: Arc<RwLock<Arc<str>>>,
}

impl Instructions {
    /// Returns what they say now; empty when there are none.
    pub fn current(&self) -> Arc<str> {
        self.text.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the loop that reads them again when they change: those of the file, if one is configured, and else those
    /// of the database.
    pub fn watch(&self, lifecycle: &Lifecycle, pg: Pg) {
        let instructions = self.clone();
        lifecycle.spawn_loop("instructions", move |stop| {
            let (instructions, pg) = (instructions.clone(), pg.clone());
            async move {
                match instructions.path.clone() {
                    Some(path) => instructions.watch_file(&path, &stop).await,
                    None => instructions.watch_row(&pg, &stop).await,
                }
            }
        });
    }

    async fn watch_file(&self, path: &Path, stop: &CancellationToken) {
        let mut seen = changed_at(path).await;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let now = changed_at(path).await;
            if now.is_some() && now != seen {
                seen = now;
                self.read_again(path);
            }
        }
    }

    async fn watch_row(&self, pg: &Pg, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match pg.read(instruction_store::find).await {
                Ok(text) => self.set(&text.unwrap_or_default()),
                Err(problem) => {
                    tracing::debug!(code = problem.code(), "the system prompt is not read; the one before counts");
                }
            }
            stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await;
        }
    }

    fn read_again(&self, path: &Path) {
        match read(path) {
            Ok(text) => self.set(&text),
            Err(fault) => tracing::warn!(fault, "the system prompt cannot be read; the one before counts"),
        }
    }

    fn set(&self, text: &str) {
        if *self.current() != *text {
            tracing::info!(bytes = text.len(), "the system prompt was read again");
            *self.text.write().unwrap_or_else(PoisonError::into_inner) = text.into();
        }
    }
}

async fn changed_at(path: &Path) -> Option<(SystemTime, u64)> {
    let file = tokio::fs::metadata(path).await.ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn read(path: &Path) -> Result<String, &'static str> {
    let text = std::fs::read_to_string(path).map_err(|_unreadable| "names a file that cannot be read as text")?;
    if text.len() > BYTES_MAX {
        return Err("names a file of more than 8 KiB");
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_read_again_and_what_is_gone_is_kept() {
        let path = std::env::temp_dir().join(format!("maru-instructions-{}", std::process::id()));
        std::fs::write(&path, "짧게 답하세요.\n").unwrap();
        let config = InstructionsConfig { emotion_system_prompt_file: Some(path.clone()) };
        let instructions = config.load();
        assert_eq!(&*instructions.current(), "짧게 답하세요.");
        std::fs::write(&path, "존댓말로 답하세요.").unwrap();
        instructions.read_again(&path);
        assert_eq!(&*instructions.current(), "존댓말로 답하세요.");
        std::fs::write(&path, "x".repeat(BYTES_MAX + 1)).unwrap();
        instructions.read_again(&path);
        std::fs::remove_file(&path).unwrap();
        instructions.read_again(&path);
        assert_eq!(&*instructions.current(), "존댓말로 답하세요.");
        let mut faults = Faults::default();
        config.validate(&mut faults);
        assert!(faults.to_string().contains("EMOTION_SYSTEM_PROMPT_FILE"));
        assert_eq!(&*InstructionsConfig::default().load().current(), "");
    }
}
