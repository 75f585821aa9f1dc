//! What somebody types into a search field, as words that all must be found.

use domain::fault::Violations;

/// Longest search, characters.
const TEXT_MAX: usize = 100;
/// Most words of a search: each is a condition of its own.
const WORDS_MAX: usize = 8;
/// Letters or digits in a row that an index of trigrams needs.
const TRIGRAM: usize = 3;

/// The words of a search, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Words {
    /// Those that the index of trigrams finds.
    long: Vec<String>,
    /// Those that it does not find: one or two letters, or punctuation between them.
    short: Vec<String>,
}

impl Words {
    /// Reads `?q=`; nothing when there is no word in it.
    pub fn parse(text: &str, violations: &mut Violations) -> Option<Self> {
        let mut words: Vec<&str> = Vec::new();
        for word in text.split_whitespace() {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        violations.require(
            text.trim().chars().count() <= TEXT_MAX && !text.contains('\0'),
            "?q",
            "not_searchable",
            "검색어는 100자까지 쓸 수 있습니다.",
            "A search has at most 100 characters.",
        );
        violations.require(
            words.len() <= WORDS_MAX,
            "?q",
            "too_many_words",
            "검색어는 8단어까지 쓸 수 있습니다.",
            "A search has at most 8 words.",
        );
        let (long, short): (Vec<_>, Vec<_>) = words.into_iter().map(str::to_owned).partition(|word| is_long(word));
        let found = Self { long, short };
        (!found.long.is_empty() || !found.short.is_empty()).then_some(found)
    }

    /// Returns whether an index of trigrams finds it.
    pub(super) fn has_long(&self) -> bool {
        !self.long.is_empty()
    }

    /// Returns the patterns, in any case, of the words that an index of trigrams finds.
    pub(super) fn long_patterns(&self) -> impl Iterator<Item = String> {
        self.long.iter().map(|word| containing(word))
    }

    /// Returns the patterns, in lower case, of the words that need a look at the text itself, when the letters and
    /// pairs of the short ones have been looked up or not.
    pub(super) fn lower_patterns(&self, looked_up: bool) -> impl Iterator<Item = String> {
        // A pair that was looked up is there; the pairs of a longer word may stand apart.
        let settled = move |word: &&String| !looked_up || word.chars().count() > 2;
        self.short.iter().filter(settled).map(|word| containing(&word.to_lowercase()))
    }

    /// Returns the letters and pairs of neighbours that the short words are made of.
    pub(super) fn short_grams(&self) -> Vec<String> {
        let mut grams: Vec<String> = Vec::new();
        for word in &self.short {
            let letters: Vec<char> = word.to_lowercase().chars().collect();
            match letters.as_slice() {
                [letter] => grams.push(letter.to_string()),
                letters => grams.extend(letters.windows(2).map(|pair| pair.iter().collect::<String>())),
            }
        }
        grams
    }
}

fn is_long(word: &str) -> bool {
    let mut run = 0;
    word.chars().any(|letter| {
        run = if letter.is_alphanumeric() { run + 1 } else { 0 };
        run >= TRIGRAM
    })
}

/// Writes the pattern that finds a text as it stands, whatever characters it has.
fn containing(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Words> {
        let mut violations = Violations::new();
        let words = Words::parse(text, &mut violations);
        assert_eq!(violations.into_result(), Ok(()), "{text}");
        words
    }

    #[test]
    fn a_search_means_its_characters_and_not_a_pattern() {
        assert_eq!(containing("100%_\\"), "%100\\%\\_\\\\%");
        assert_eq!(containing("재즈"), "%재즈%");
    }

    #[test]
    fn words_are_told_apart_by_what_an_index_finds() {
        let found = words(" 재즈  Night 밤 a-b-c 재즈 ").unwrap();
        assert_eq!(found.long, ["Night"]);
        assert_eq!(found.short, ["재즈", "밤", "a-b-c"]);
        assert_eq!(found.short_grams(), ["재즈", "밤", "a-", "-b", "b-", "-c"]);
        assert_eq!(found.lower_patterns(true).collect::<Vec<_>>(), ["%a-b-c%"]);
        assert_eq!(found.lower_patterns(false).collect::<Vec<_>>(), ["%재즈%", "%밤%", "%a-b-c%"]);
        assert_eq!(words(" \t "), None);
    }

    #[test]
    fn too_much_is_refused() {
        for text in ["가".repeat(101), "a b c d e f g h i".to_owned(), "a\0b".to_owned()] {
            let mut violations = Violations::new();
            Words::parse(&text, &mut violations);
            assert!(violations.into_result().is_err(), "{text}");
        }
    }
}
