//! How long a conversation stays careful after danger was heard.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Assessment, Level};

/// Calm turns in a row after which a conversation is judged by its words alone again. People change the subject right
/// after they said the worst; a handful of light turns shows nothing.
const CALM_TURNS: u8 = 20;
/// Time after which a conversation is judged by its words alone again.
const CALM_TIME: TimeDelta = TimeDelta::hours(24);

/// The risk a conversation carries on from message to message.
///
/// Levels that bring the card stick; [`Level::Distress`] is of its own turn only. It is kept with the conversation, for
/// the risk must outlive a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickyRisk {
    held: Assessment,
    /// When what is held was last heard.
    heard_at: Option<DateTime<Utc>>,
    calm_turns: u8,
}

impl StickyRisk {
    /// Takes the next message in and returns what the turn is to be treated as: the message's own level, or the one that
    /// is still held when that is higher.
    ///
    /// The card follows the message's own level; what is returned here decides how closely the reply is watched.
    pub fn hear(&mut self, heard: Assessment, now: DateTime<Utc>) -> Assessment {
        let held = self.current(now);
        if heard.needs_card() {
            // The higher of both is held on, from now.
            *self = Self { held: held.max(heard), heard_at: Some(now), calm_turns: 0 };
            return self.held;
        }
        if held == Assessment::CALM {
            *self = Self::default();
            return heard;
        }
        self.calm_turns = self.calm_turns.saturating_add(1);
        if self.calm_turns >= CALM_TURNS {
            *self = Self::default();
        }
        held
    }

    /// Returns what is held at `now`; calm when its time has passed.
    pub fn current(&self, now: DateTime<Utc>) -> Assessment {
        match self.heard_at {
            Some(heard_at) if now.signed_duration_since(heard_at) < CALM_TIME => self.held,
            _ => Assessment::CALM,
        }
    }

    /// Returns the level that is held at `now`.
    pub fn level(&self, now: DateTime<Utc>) -> Level {
        self.current(now).level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::Concern;

    const CRISIS: Assessment = Assessment::new(Level::Crisis, Concern::OwnIdeation);
    const DANGER: Assessment = Assessment::new(Level::Danger, Concern::OwnIdeation);

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + hours * 3_600, 0).unwrap()
    }

    #[test]
    fn a_crisis_is_held_for_twenty_calm_turns_and_no_more() {
        let mut risk = StickyRisk::default();
        assert_eq!(risk.hear(CRISIS, at(0)), CRISIS);
        for turn in 1..=20 {
            assert_eq!(risk.hear(Assessment::CALM, at(0)), CRISIS, "turn {turn}");
        }
        assert_eq!(risk.hear(Assessment::CALM, at(0)), Assessment::CALM);
        assert_eq!(risk, StickyRisk::default());
    }

    #[test]
    fn a_new_crisis_starts_the_count_again_and_the_highest_is_held() {
        let mut risk = StickyRisk::default();
        risk.hear(DANGER, at(0));
        for _ in 0..19 {
            risk.hear(Assessment::CALM, at(1));
        }
        assert_eq!(risk.hear(CRISIS, at(1)), DANGER, "a lesser crisis does not calm a greater one");
        for _ in 0..20 {
            assert_eq!(risk.hear(Assessment::CALM, at(2)), DANGER);
        }
        assert_eq!(risk.level(at(2)), Level::Calm);
    }

    #[test]
    fn a_day_later_the_words_alone_count_again() {
        let mut risk = StickyRisk::default();
        risk.hear(CRISIS, at(0));
        assert_eq!(risk.level(at(23)), Level::Crisis);
        assert_eq!(risk.level(at(24)), Level::Calm);
        assert_eq!(risk.hear(Assessment::new(Level::Distress, Concern::None), at(25)).level, Level::Distress);
    }

    #[test]
    fn distress_is_of_its_own_turn_only() {
        let mut risk = StickyRisk::default();
        let distress = Assessment::new(Level::Distress, Concern::None);
        assert_eq!(risk.hear(distress, at(0)), distress);
        assert_eq!(risk.hear(Assessment::CALM, at(0)), Assessment::CALM);
    }

    #[test]
    fn a_clock_that_went_back_keeps_the_risk() {
        let mut risk = StickyRisk::default();
        risk.hear(DANGER, at(10));
        assert_eq!(risk.level(at(0)), Level::Danger);
    }

    #[test]
    fn what_is_held_survives_being_stored() {
        let mut risk = StickyRisk::default();
        risk.hear(CRISIS, at(0));
        let stored = serde_json::to_string(&risk).unwrap();
        assert_eq!(serde_json::from_str::<StickyRisk>(&stored).unwrap(), risk);
    }
}
