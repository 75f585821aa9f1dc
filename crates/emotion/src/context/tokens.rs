//! Counts tokens, as the models of the day do.
//!
//! The vocabulary takes a fifth of a second and 45 MB to load, so it is loaded in the background when there is a model,
//! and until it is there a count is an estimate that is too high.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use chassis::{lifecycle::Lifecycle, recent::Recent};

/// Fewest bytes of a text whose count is remembered.
const LONG: usize = 512;
/// Counts that are remembered.
const REMEMBERED: usize = 2_048;

static IS_WARM: AtomicBool = AtomicBool::new(false);
static COUNTS: LazyLock<Counts> = LazyLock::new(Counts::default);

/// Counts of long texts. The rules that a model is shown are the same for everybody at the same place of a conversation,
/// and take a millisecond to count. Of a text its length and digest are kept, nothing else.
struct Counts {
    digest: RandomState,
    recent: Mutex<Recent<(usize, u64), usize>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { digest: RandomState::new(), recent: Mutex::new(Recent::new(REMEMBERED)) }
    }
}

impl Counts {
    /// Returns what `count` says of a text, or said when it was asked before.
    fn of(&self, text: &str, count: impl FnOnce(&str) -> usize) -> usize {
        let key = (text.len(), self.digest.hash_one(text));
        let known = self.recent.lock().unwrap_or_else(PoisonError::into_inner).get(&key);
        known.unwrap_or_else(|| {
            let tokens = count(text);
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).put(key, tokens);
            tokens
        })
    }
}

/// Loads the vocabulary in the background.
pub fn warm(lifecycle: &Lifecycle) {
    lifecycle.spawn("tokens", async {
        let loaded = tokio::task::spawn_blocking(|| tiktoken_rs::o200k_base_singleton().count_ordinary("마루"));
        if loaded.await.is_ok() {
            IS_WARM.store(true, Ordering::Release);
        }
    });
}

/// Returns how many tokens a text has. What looks like a model's own marks counts as the text that it is.
pub fn count(text: &str) -> usize {
    let exactly = |text: &str| tiktoken_rs::o200k_base_singleton().count_ordinary(text);
    match text.len() {
        _ if !IS_WARM.load(Ordering::Acquire) => estimate(text),
        LONG.. => COUNTS.of(text, exactly),
        _ => exactly(text),
    }
}

/// Korean has 0.6 tokens a letter, English one in four: this is above both.
fn estimate(text: &str) -> usize {
    let narrow = text.bytes().filter(u8::is_ascii).count();
    let wide = text.chars().filter(|letter| !letter.is_ascii()).count();
    narrow.div_ceil(2) + wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_counted_once() {
        let counts = Counts::default();
        assert_eq!((counts.of("마루", |_| 2), counts.of("마루", |_| 3)), (2, 2));
        assert_eq!(counts.of("마당", |_| 4), 4);
    }

    #[test]
    fn an_estimate_is_never_below_the_count() {
        let vocabulary = tiktoken_rs::o200k_base_singleton();
        for text in [
            "요즘 회사에서 계속 혼나서 기분이 별로야. 내일도 출근하기가 싫어.",
            "I keep replaying what my manager said in front of everyone, and I cannot sleep.",
            "ㅠㅠㅠㅠ ㅋㅋㅋ 진짜 힘들다...",
            "",
        ] {
            assert!(estimate(text) >= vocabulary.count_ordinary(text), "{text}");
        }
        assert!(vocabulary.count_ordinary("<|im_start|>system") > 3, "marks are text");
    }
}
