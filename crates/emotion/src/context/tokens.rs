//! Counts tokens, as the models of the day do.
//!
//! The vocabulary takes a fifth of a second and 45 MB to load, so it is loaded in the background when there is a model,
//! and until it is there a count is an estimate that is too high.

use std::sync::atomic::{AtomicBool, Ordering};

use chassis::lifecycle::Lifecycle;

static IS_WARM: AtomicBool = AtomicBool::new(false);

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
    if IS_WARM.load(Ordering::Acquire) {
        return tiktoken_rs::o200k_base_singleton().count_ordinary(text);
    }
    estimate(text)
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
