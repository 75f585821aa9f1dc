//! What a message tells, found by its words.
//!
//! Rules of thumb: they decide only which question comes next, and a wrong guess costs one question too many or too few.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Step;
use crate::feeling;

/// What a message tells, as far as the arc asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ArcHeld)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing a message tells or does not, in any combination")]
pub struct Held {
    /// Anything beyond a greeting or "I don't know".
    pub substance: bool,
    /// A feeling has a name.
    pub feeling: bool,
    /// That feeling is an unpleasant one.
    pub unpleasant: bool,
    /// Something happened.
    pub situation: bool,
    /// The body felt something.
    pub body: bool,
    /// A thought that went through the mind.
    pub thought: bool,
    /// A measure: what should be, what one must.
    pub standard: bool,
    /// What the person did, or what came of it.
    pub consequence: bool,
    /// Something is wished for.
    pub wish: bool,
    /// Taking leave.
    pub farewell: bool,
}

/// Letters of a Korean answer, or of any other, that say something.
const SUBSTANCE_LETTERS: usize = 4;

/// Letters beyond which a message is more than a greeting or a shrug.
const NO_ANSWER_MAX: usize = 60;

/// Letters up to which a message may be leave-taking: who tells a long story does not take leave in it.
const FAREWELL_MAX: usize = 60;

/// The cues of the data file, each with its kind, and the machine that finds them all in one pass.
struct Cues {
    cues: Vec<(&'static str, String)>,
    automaton: Option<AhoCorasick>,
}

static CUES: LazyLock<Cues> = LazyLock::new(|| {
    let kinds = include_str!("cues.txt").lines().filter(|line| !line.starts_with('#'));
    let cues = kinds
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(kind, cues)| cues.split(',').map(move |cue| (kind, cue.trim().replace('_', " "))));
    let cues: Vec<_> = cues.collect();
    // Refused only beyond billions of states. A test looks that it is there.
    let automaton = AhoCorasick::new(cues.iter().map(|(_, cue)| cue)).ok();
    Cues { cues, automaton }
});

impl Cues {
    fn of(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.cues.iter().filter(move |(known, _)| *known == kind).map(|(_, cue)| cue.as_str())
    }

    /// Returns the kinds of the cues that stand in a text; one of Latin letters stands only at the start of a word.
    fn kinds_in(&self, text: &str) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        for found in self.automaton.iter().flat_map(|automaton| automaton.find_overlapping_iter(text)) {
            let Some((kind, cue)) = self.cues.get(found.pattern().as_usize()) else { continue };
            let before = text.get(..found.start()).and_then(|before| before.chars().next_back());
            let begins_word = before.is_none_or(|letter| !letter.is_alphanumeric());
            if (begins_word || !cue.is_ascii()) && !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        kinds
    }
}

impl Held {
    /// Finds what a message tells.
    pub fn of(text: &str) -> Self {
        let text = feeling::normalised(text);
        let heard = feeling::heard(&text);
        let kinds = CUES.kinds_in(&text);
        let has = |kind| kinds.contains(&kind);
        Self {
            substance: is_substance(&text),
            feeling: heard.is_some(),
            unpleasant: heard.is_some_and(|heard| heard.feeling.valence < 0.0),
            situation: has("situation"),
            body: has("body"),
            thought: has("thought"),
            standard: has("standard"),
            consequence: has("consequence"),
            wish: has("wish"),
            farewell: text.chars().count() <= FAREWELL_MAX && has("farewell"),
        }
    }

    /// Joins what two messages tell; substance, how it feels and taking leave are of one message, the later.
    #[must_use]
    pub(super) const fn and(self, later: Self) -> Self {
        Self {
            substance: later.substance,
            feeling: self.feeling || later.feeling,
            unpleasant: later.unpleasant,
            situation: self.situation || later.situation,
            body: self.body || later.body,
            thought: self.thought || later.thought,
            standard: self.standard || later.standard,
            consequence: self.consequence || later.consequence,
            wish: self.wish || later.wish,
            farewell: later.farewell,
        }
    }

    /// Returns whether the answer to a step is among this.
    pub(super) const fn has(self, step: Step) -> bool {
        match step {
            Step::Greeting => true,
            Step::Emotion => self.feeling,
            Step::Situation => self.situation,
            Step::Body => self.body,
            Step::Thought => self.thought,
            Step::Standard => self.standard,
            Step::Consequence => self.consequence,
            Step::Wish => self.wish,
            Step::Summary | Step::Reframing | Step::Closing => false,
        }
    }

    /// Returns whether this answers the question of `step`, which `asked` replies have asked.
    pub(super) const fn answers(self, step: Step, asked: u32) -> bool {
        match step {
            Step::Greeting => self.substance,
            // A feeling and a body have words: it is asked once more. But who tells of other things wants to go on.
            Step::Emotion | Step::Body => self.has(step) || (asked >= 2 && self.substance),
            // Whoever nods at a summary has answered it.
            Step::Summary => asked >= 1,
            _ => self.has(step) || (asked >= 1 && self.substance),
        }
    }

    /// Returns whether there is something more to talk about, beyond thanks, relief and leave.
    pub(super) const fn is_news(self) -> bool {
        self.substance && (self.unpleasant || self.situation || self.body || self.thought)
    }
}

/// Returns whether anything is left of a message without greetings and words that answer nothing.
fn is_substance(text: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
    if letters(text) > NO_ANSWER_MAX {
        return true;
    }
    let mut rest = text.to_owned();
    for words in CUES.of("greeting").chain(CUES.of("no_answer")) {
        // Whole words only, for "hi" is in "this".
        while let Some(at) = find_word(&rest, words) {
            rest.replace_range(at..at + words.len(), " ");
        }
    }
    letters(&rest) >= SUBSTANCE_LETTERS
}

fn find_word(text: &str, word: &str) -> Option<usize> {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let (before, rest) = text.split_at_checked(*at).unwrap_or((text, ""));
        is_edge(before.chars().next_back()) && is_edge(rest.strip_prefix(word).and_then(|rest| rest.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_cue_has_some_in_both_languages() {
        for kind in
            ["greeting", "no_answer", "situation", "body", "thought", "standard", "consequence", "wish", "farewell"]
        {
            assert!(CUES.of(kind).any(str::is_ascii), "{kind}");
            assert!(CUES.of(kind).any(|cue| !cue.is_ascii()), "{kind}");
            assert!(CUES.of(kind).all(|cue| !cue.trim().is_empty()), "{kind}");
        }
        assert!(CUES.automaton.is_some());
        assert!(Held::of("나는 더 잘해야 한다고 생각해").standard && !Held::of("화해야").standard);
    }
}
