//! What every model is told, whatever else it is told.
//!
//! The policy opens each request, the tail is repeated after the person's last message, for a model drifts from what it
//! read long ago. Both are data files, and no prompt of a person or a client takes their place.

use chrono::{DateTime, TimeDelta, Utc};

use crate::locale::{Locale, Text};

const POLICY: Text = Text::new(include_str!("policy/ko.md"), include_str!("policy/en.md"));
const TAIL: Text = Text::new(include_str!("policy/tail_ko.md"), include_str!("policy/tail_en.md"));

/// Said at the start of every conversation: who is talking, what this is not, and where the words go.
const DISCLOSURE: Text = Text::new(
    "저는 사람이 아니라 AI 대화 프로그램이에요. 마음을 정리하도록 도울 수는 있지만 상담사나 의사를 대신하지 못하고, 틀린 말을 할 수도 \
     있어요. 위급할 때는 사람의 도움이 먼저예요. 나눈 이야기는 답을 만들기 위해 설정된 AI 모델에 전달될 수 있어요.",
    "I am an AI program, not a person. I can help you sort out how you feel, but I do not replace a counsellor or a doctor, \
     and I can be wrong. In an emergency, please turn to people first. What you write may be passed to the AI model that is \
     set up here, to write the replies.",
);

/// Returns the safety policy, the first thing a model reads.
pub fn policy(locale: Locale) -> &'static str {
    POLICY.in_locale(locale).trim_ascii_end()
}

/// Returns what is repeated after the person's last message of every request.
pub fn policy_tail(locale: Locale) -> &'static str {
    TAIL.in_locale(locale).trim_ascii_end()
}

/// How long a conversation goes on until it is said again who answers.
const DISCLOSED_FOR: TimeDelta = TimeDelta::hours(3);

/// Returns whether the notice is to be said again with the reply that begins at `now`, in a conversation that began at
/// `started_at` and went on last at `last_at`: once in every three hours in which something is said.
pub fn disclosure_is_due(started_at: DateTime<Utc>, last_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let hours = |at: DateTime<Utc>| (at - started_at).num_seconds().max(0) / DISCLOSED_FOR.num_seconds();
    hours(now) > hours(last_at)
}

/// Returns the notice at the start of a conversation. It holds no number: those belong to the card.
pub const fn disclosure(locale: Locale) -> &'static str {
    DISCLOSURE.in_locale(locale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_says_it_is_an_ai_and_holds_no_number() {
        for locale in [Locale::Ko, Locale::En] {
            let notice = disclosure(locale);
            assert!(notice.contains("AI"));
            assert!(!notice.chars().any(|letter| letter.is_ascii_digit()), "{notice}");
        }
    }

    #[test]
    fn the_notice_is_said_again_once_in_three_hours() {
        let at = |minutes: i64| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        for (last, now, is_due) in [
            (0, 1, false),
            (10, 179, false),
            (10, 180, true),
            (180, 200, false),
            (200, 359, false),
            (200, 360, true),
            (10, 2_000, true),
            // A clock that was put back.
            (-5, -1, false),
        ] {
            assert_eq!(disclosure_is_due(at(0), at(last), at(now)), is_due, "{last} {now}");
        }
    }

    #[test]
    fn the_policy_fits_the_room_that_is_kept_for_it() {
        // Korean takes 0.6 tokens a character and English 0.21 (o200k): 800 tokens for the policy, 150 for the tail.
        for (text, locale, most) in [
            (policy(Locale::Ko), Locale::Ko, 1_300),
            (policy(Locale::En), Locale::En, 3_600),
            (policy_tail(Locale::Ko), Locale::Ko, 240),
            (policy_tail(Locale::En), Locale::En, 680),
        ] {
            let length = text.chars().count();
            assert!((60..=most).contains(&length), "{locale:?}: {length} of {most}");
            assert!(!text.contains("109") && !text.contains("988"), "numbers come from the card alone");
        }
    }
}
