//! The offline listener: answers by rules where no model is connected, and says so.
//!
//! It listens reflectively: it gives back a phrase of what was said, names tentatively the feeling it heard and asks the
//! open question of the arc's step. Every sentence is prepared, and the choice among them is decided by a seed and the
//! turn. It promises: never more than a phrase ([`PHRASE_MAX`]) of a message is repeated, and no abuse, number or
//! address in it; no advice, no diagnosis, no promise; and who may be in danger is asked about that and nothing else. The
//! lines of help are not its business: the card with them goes out before.

mod english;
mod josa;
mod korean;
mod phrase;
mod sentences;

#[cfg(test)]
mod tests;

pub use josa::{Josa, with_josa};
pub use phrase::PHRASE_MAX;
pub(crate) use phrase::is_speakable;

use crate::{
    arc::{Held, Hint, Step},
    companion::{OFFLINE_LABEL, spoken_language},
    feeling::{self, Heard},
    locale::{Locale, Text},
    safety::{self, Level, OutputWatch, Watched},
};

/// Where in which conversation a reply stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The language of the request, spoken when the message itself does not show another.
    pub locale: Locale,
    /// Of the conversation: the same seed and the same words get the same reply.
    pub seed: u64,
    /// The turn's place in its conversation, from 1.
    pub order: u32,
    /// The step whose question is asked.
    pub step: Step,
    /// What the reply does beside it, from [`crate::arc::Place::hint`].
    pub hint: Option<Hint>,
}

/// Writes the reply to a message.
pub fn reply(turn: Turn, user_input: &str) -> String {
    let locale = spoken_language(user_input, turn.locale);
    let speech = Speech { turn, locale };
    let mut sentences: Vec<String> = Vec::with_capacity(4);
    if turn.order <= 1 {
        sentences.push(OFFLINE_LABEL.in_locale(locale).to_owned());
    }
    // Looked for here too, so that nobody's words of dying are ever given back to them.
    if turn.hint == Some(Hint::StayWithThem) || safety::assess(user_input).needs_card() {
        sentences.push(speech.one_of(&sentences::STAY));
        return sentences.join(" ");
    }
    if turn.hint == Some(Hint::SayGoodbye) {
        sentences.push(speech.one_of(&sentences::GOODBYE));
        return sentences.join(" ");
    }
    let reflection = speech.reflection(user_input);
    // What a reply may not say, it does not say in quotation marks either.
    if is_sound(&reflection.join(" "), locale) {
        sentences.extend(reflection);
    } else {
        sentences.push(speech.one_of(&sentences::THANKS));
    }
    sentences.push(speech.question());
    sentences.join(" ")
}

/// Returns whether the watch over replies lets a text pass.
pub(crate) fn is_sound(text: &str, locale: Locale) -> bool {
    let mut watch = OutputWatch::new(Level::Calm, locale);
    matches!(watch.push(text), Watched::Go(_)) && matches!(watch.finish(), Watched::Go(_))
}

/// A turn and the language it is answered in.
#[derive(Clone, Copy)]
struct Speech {
    turn: Turn,
    locale: Locale,
}

impl Speech {
    /// Gives back a phrase and the feeling, whichever there are; and thanks where there is neither.
    fn reflection(self, user_input: &str) -> Vec<String> {
        let has_words = user_input.chars().any(char::is_alphanumeric);
        if has_words && !Held::of(user_input).substance {
            // A greeting, a nod or a shrug is not given back.
            return match (self.turn.step, self.turn.hint) {
                (Step::Greeting, _) => vec![self.one_of(&sentences::WELCOME)],
                (_, Some(Hint::AskAnotherWay)) => Vec::new(),
                _ => vec![self.one_of(&sentences::NODDED)],
            };
        }
        let phrase = phrase::reflected(user_input, self.locale).map(|phrase| self.phrase_given_back(&phrase));
        let feeling = feeling::heard(user_input).map(|heard| self.feeling_named(heard));
        match (phrase, feeling) {
            (None, None) if !has_words => vec![self.one_of(&sentences::WORDLESS)],
            (None, None) => vec![self.one_of(&sentences::THANKS)],
            (Some(phrase), None) => vec![phrase, self.one_of(&sentences::THANKS)],
            (phrase, feeling) => [phrase, feeling].into_iter().flatten().collect(),
        }
    }

    fn phrase_given_back(self, phrase: &phrase::Phrase) -> String {
        let frames = match phrase {
            phrase::Phrase::Retold(_) => &sentences::RETOLD,
            phrase::Phrase::Quoted(_) => &sentences::QUOTED,
        };
        self.one_of(frames).replace("{}", phrase.words())
    }

    fn feeling_named(self, heard: Heard) -> String {
        let name = heard.name.in_locale(self.locale);
        let is_pleasant = heard.feeling.valence > 0.2;
        let frames: &[Text] = if is_pleasant { &sentences::PLEASANT } else { &sentences::FEELING };
        let sentence = self.one_of(frames);
        match self.locale {
            Locale::En => sentence.replace("{}", name),
            Locale::Ko => sentence
                .replace("{이}", &with_josa(name, Josa::Subject))
                .replace("{으로}", &with_josa(name, Josa::Toward))
                .replace("{}", name),
        }
    }

    /// Asks the question of the step, or what the hint wants instead.
    fn question(self) -> String {
        if self.turn.hint == Some(Hint::LongConversation) {
            return self.one_of(&sentences::LONG);
        }
        let questions: Vec<_> = self.turn.step.questions(self.locale).collect();
        let question = questions.get(self.place_in(questions.len())).copied().unwrap_or_default();
        if self.turn.hint == Some(Hint::AskAnotherWay) {
            return format!("{} {question}", self.one_of(&sentences::NO_HURRY));
        }
        question.to_owned()
    }

    fn one_of(self, list: &[Text]) -> String {
        list.get(self.place_in(list.len())).map_or("", |text| text.in_locale(self.locale)).to_owned()
    }

    /// Turn by turn through a list, from a place of the conversation's own: nothing is said twice in a row.
    fn place_in(self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(1).max(1);
        // Another start in each list, so that the same sentences do not always come together.
        let start = self.turn.seed.rotate_left(u32::try_from(length).unwrap_or(0).wrapping_mul(7) % 64);
        let place = (start % length + u64::from(self.turn.order) % length) % length;
        usize::try_from(place).unwrap_or(0)
    }
}
