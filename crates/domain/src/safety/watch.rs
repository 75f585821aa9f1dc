//! The watch over what a model writes, while it writes.
//!
//! A reply is read letter by letter, wherever its chunks part. What may still become a forbidden phrase is held back and
//! the rest goes on at once: while nothing worries, that is less than the longest phrase, and mostly nothing. When the
//! conversation worries, a whole sentence is held, so that not even the beginning of one that goes wrong is seen.
//!
//! The rules are whole phrases that assert (`반드시 나을 거예요`), for a model must be able to say that it can promise
//! nothing. They catch what is common, not everything: the policy is the first hand, this is the second.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::LazyLock,
};

use aho_corasick::{
    Anchored,
    automaton::{Automaton, StateID},
    nfa::contiguous::NFA,
};

use super::{Level, rules::expand, words};
use crate::locale::Locale;

/// Signs and spaces in a row after which a phrase that had begun is over. It bounds what is held back.
const GAP_MAX: usize = 64;
/// Most bytes of one sentence that are held back; a longer one goes on up to a word that begins no phrase.
const SENTENCE_MAX: usize = 1_200;

/// What a reply may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// Means or methods of dying or hurting.
    Method,
    /// Encouragement to do it.
    Encouragement,
    /// A promise that nobody can make.
    Guarantee,
    /// A diagnosis or a prescription.
    Diagnosis,
    /// A claim to be human, a doctor or a counsellor.
    Impersonation,
    /// Turning a person away from everybody else.
    Isolation,
}

impl Breach {
    const ALL: [(&str, Self); 6] = [
        ("method", Self::Method),
        ("encouragement", Self::Encouragement),
        ("guarantee", Self::Guarantee),
        ("diagnosis", Self::Diagnosis),
        ("impersonation", Self::Impersonation),
        ("isolation", Self::Isolation),
    ];

    /// Returns the breach's name, for a metric's label.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, breach)| *breach == self).map_or("", |(name, _)| name)
    }
}

/// What may be shown after a chunk.
#[derive(Clone, PartialEq, Eq)]
pub enum Watched {
    /// Show this; it may be empty.
    Go(String),
    /// Show `text`, then `safe_text` in place of everything else, and stop the model.
    Cut {
        /// What came before and is sound; it may be empty.
        text: String,
        /// Takes the place of the rest, with the space that it needs before it.
        safe_text: String,
        /// What was found.
        breach: Breach,
    },
}

/// Reads one reply.
pub struct OutputWatch {
    level: Level,
    locale: Locale,
    state: Option<StateID>,
    /// Not shown yet.
    held: String,
    /// Bytes of the reply before `held`.
    shown: usize,
    /// Where in the reply each of the last letters stood, one entry a byte of its folded form.
    places: VecDeque<usize>,
    gap: usize,
    /// Where the last whole sentence ends.
    sentence_end: usize,
    /// The last character ended a sentence, if a space follows.
    may_end: bool,
    cut: bool,
}

impl OutputWatch {
    /// Begins to read a reply, as closely as the conversation's level asks for.
    pub fn new(level: Level, locale: Locale) -> Self {
        Self {
            level,
            locale,
            state: PHRASES.start,
            held: String::new(),
            shown: 0,
            places: VecDeque::new(),
            // A reply begins a word.
            gap: 1,
            sentence_end: 0,
            may_end: false,
            cut: false,
        }
    }

    /// Takes the next chunk and returns what may be shown of all that came. After a cut nothing is shown any more.
    pub fn push(&mut self, chunk: &str) -> Watched {
        if self.cut {
            return Watched::Go(String::new());
        }
        for letter in chunk.chars() {
            let place = self.shown + self.held.len();
            self.held.push(letter);
            self.end_sentence(letter, place);
            if let Some(breach) = self.read(letter, place) {
                return self.cut(breach);
            }
        }
        let until = self.free_until();
        Watched::Go(self.show(until))
    }

    /// Ends the reply and returns what was held back to the last.
    pub fn finish(&mut self) -> Watched {
        if self.cut {
            return Watched::Go(String::new());
        }
        Watched::Go(self.show(usize::MAX))
    }

    /// Returns how many bytes are held back.
    pub fn held_back(&self) -> usize {
        self.held.len()
    }

    /// Follows the phrases by one character, and returns the breach it completes.
    fn read(&mut self, letter: char, place: usize) -> Option<Breach> {
        if matches!(letter, '\'' | '’' | '‘' | '*' | '_' | '\u{200b}') {
            return None;
        }
        if !letter.is_alphanumeric() && letter != '%' {
            self.gap += 1;
            if self.gap > GAP_MAX {
                self.state = PHRASES.start;
            }
            return None;
        }
        // Words of Latin letters are apart, Korean ones are not: their spacing varies too much.
        if std::mem::take(&mut self.gap) > 0 && letter.is_ascii() {
            self.step(' ', place);
        }
        let mut found = None;
        for small in letter.to_lowercase() {
            found = self.step(small, place).or(found);
        }
        found
    }

    fn step(&mut self, letter: char, place: usize) -> Option<Breach> {
        let automaton = PHRASES.automaton.as_ref()?;
        let mut bytes = [0; 4];
        for byte in letter.encode_utf8(&mut bytes).bytes() {
            self.state = Some(automaton.next_state(Anchored::No, self.state?, byte));
            self.places.push_back(place);
            if self.places.len() > PHRASES.longest {
                self.places.pop_front();
            }
        }
        let state = self.state?;
        if !automaton.is_match(state) {
            return None;
        }
        PHRASES.breaches.get(automaton.match_pattern(state, 0).as_usize()).copied()
    }

    /// A sentence ends at a new line, and at its sign when a space follows.
    fn end_sentence(&mut self, letter: char, place: usize) {
        if letter == '\n' || (self.may_end && letter.is_whitespace()) {
            self.sentence_end = place + letter.len_utf8();
        }
        self.may_end = matches!(letter, '.' | '!' | '?' | '。' | '…')
            || (self.may_end && matches!(letter, '"' | '”' | '’' | ')' | '\''));
    }

    /// Returns up to where the reply may be shown.
    fn free_until(&self) -> usize {
        let end = self.shown + self.held.len();
        let depth = self.state.and_then(|state| PHRASES.depths.get(&state)).copied().unwrap_or(0);
        let begun = self.places.len().checked_sub(depth).and_then(|index| self.places.get(index));
        let unsure = begun.copied().unwrap_or(end);
        if self.level == Level::Calm || self.held.len() > SENTENCE_MAX {
            return unsure;
        }
        unsure.min(self.sentence_end)
    }

    fn show(&mut self, until: usize) -> String {
        let bytes = until.saturating_sub(self.shown).min(self.held.len());
        let rest = self.held.split_off(bytes);
        let text = std::mem::replace(&mut self.held, rest);
        self.shown += text.len();
        text
    }

    fn cut(&mut self, breach: Breach) -> Watched {
        // What is whole is shown; the sentence that went wrong is not, as far as it is still here.
        let text = self.show(self.sentence_end.min(self.free_until()));
        self.cut = true;
        self.held.clear();
        let space = if self.shown == 0 { "" } else { "\n\n" };
        let safe_text = format!("{space}{}", words::instead(self.level).in_locale(self.locale));
        Watched::Cut { text, safe_text, breach }
    }
}

/// The forbidden phrases, and for each state of the machine how many bytes of a phrase it has seen.
struct Phrases {
    automaton: Option<NFA>,
    start: Option<StateID>,
    depths: HashMap<StateID, usize>,
    breaches: Vec<Breach>,
    longest: usize,
    #[cfg(test)]
    written: Vec<String>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::new(include_str!("rules/reply.txt")));

impl Phrases {
    fn new(file: &str) -> Self {
        let lines = file.lines().filter_map(parse_line);
        let (breaches, written): (Vec<_>, Vec<_>) =
            lines.flat_map(|(breach, phrases)| phrases.into_iter().map(move |phrase| (breach, phrase))).unzip();
        let folded: Vec<_> = written.iter().map(|phrase: &String| fold(phrase)).collect();
        let automaton = NFA::new(&folded).ok();
        let start = automaton.as_ref().and_then(|automaton| automaton.start_state(Anchored::No).ok());
        let mut depths = HashMap::new();
        for phrase in &folded {
            let (Some(automaton), Some(mut state)) = (&automaton, start) else { break };
            for (index, byte) in phrase.bytes().enumerate() {
                state = automaton.next_state(Anchored::No, state, byte);
                depths.insert(state, index + 1);
            }
        }
        let longest = folded.iter().map(String::len).max().unwrap_or(0);
        Self {
            automaton,
            start,
            depths,
            breaches,
            longest,
            #[cfg(test)]
            written,
        }
    }
}

/// Reads a line, `breach: phrase` with alternatives as in the rules for people.
fn parse_line(line: &str) -> Option<(Breach, Vec<String>)> {
    let (name, phrase) = line.split('#').next()?.trim().split_once(':')?;
    let breach = Breach::ALL.iter().find(|(known, _)| *known == name.trim()).map(|(_, breach)| *breach)?;
    Some((breach, expand(phrase.trim())?))
}

/// Writes a phrase as the machine reads it: small letters, a space before each word of Latin ones.
fn fold(phrase: &str) -> String {
    let mut folded = String::with_capacity(phrase.len());
    let mut gap = true;
    for letter in phrase.chars().filter(|letter| *letter != '\'').flat_map(char::to_lowercase) {
        if !letter.is_alphanumeric() && letter != '%' {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && letter.is_ascii() {
            folded.push(' ');
        }
        folded.push(letter);
    }
    folded
}
