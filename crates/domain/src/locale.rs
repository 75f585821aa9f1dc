//! The two languages Maru speaks, and sentences that exist in both.

use serde::{Deserialize, Serialize};

/// A language of messages, prompts and the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// Korean, the default.
    #[default]
    Ko,
    /// English.
    En,
}

impl Locale {
    /// Returns the locale's two-letter code as it stands in `Accept-Language`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
        }
    }

    /// Reads a configured locale: `ko` or `en`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "ko" => Some(Self::Ko),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// Chooses the locale an `Accept-Language` header asks for.
    ///
    /// The supported language with the highest weight wins and the first of equals; `fallback` when neither is named.
    /// A weight of zero refuses a language.
    pub fn negotiate(accept_language: Option<&str>, fallback: Self) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for part in accept_language.unwrap_or_default().split(',').take(16) {
            let mut pieces = part.split(';');
            let tag = pieces.next().unwrap_or_default().trim();
            let primary = tag.split('-').next().unwrap_or_default();
            let Some(locale) = Self::parse(primary) else { continue };
            let weight = pieces
                .find_map(|p| p.trim().strip_prefix("q="))
                .map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0));
            if weight > 0.0 && best.is_none_or(|(heaviest, _)| weight > heaviest) {
                best = Some((weight, locale));
            }
        }
        best.map_or(fallback, |(_, locale)| locale)
    }
}

/// A sentence in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The Korean sentence.
    pub ko: &'static str,
    /// The English sentence.
    pub en: &'static str,
}

impl Text {
    /// Pairs a Korean sentence with its English one.
    pub const fn new(ko: &'static str, en: &'static str) -> Self {
        Self { ko, en }
    }

    /// Returns the sentence in `locale`.
    pub const fn in_locale(self, locale: Locale) -> &'static str {
        match locale {
            Locale::Ko => self.ko,
            Locale::En => self.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_is_spoken_when_nothing_is_asked() {
        assert_eq!(Locale::negotiate(None, Locale::Ko), Locale::Ko);
        assert_eq!(Locale::negotiate(Some("*"), Locale::Ko), Locale::Ko);
        assert_eq!(Locale::negotiate(Some("fr-FR, de;q=0.5"), Locale::En), Locale::En);
    }

    #[test]
    fn the_heaviest_supported_language_wins() {
        assert_eq!(Locale::negotiate(Some("en-US,en;q=0.9,ko;q=0.8"), Locale::Ko), Locale::En);
        assert_eq!(Locale::negotiate(Some("fr, en;q=0.3, ko-KR;q=0.7"), Locale::En), Locale::Ko);
        assert_eq!(Locale::negotiate(Some("en;q=0, ko;q=0.1"), Locale::En), Locale::Ko);
    }

    #[test]
    fn a_broken_weight_refuses_the_language_and_never_panics() {
        assert_eq!(Locale::negotiate(Some("en;q=abc"), Locale::Ko), Locale::Ko);
        assert_eq!(Locale::negotiate(Some(";;;,,,=;q"), Locale::Ko), Locale::Ko);
    }
}
