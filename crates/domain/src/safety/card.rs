//! The card: what a person in danger reads before anything a model says, with the lines of help of their country.
//!
//! The lines are a data file that says when it was last checked. A number that is out of date is worse than none, so
//! whoever runs this looks at `verified_on` (see [`hotlines_verified_on`]).

use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Assessment, Concern, Level, words};
use crate::locale::Locale;

/// What sort of help a line gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HotlineKind {
    /// For who thinks of suicide, and for those around them.
    Suicide,
    /// For crises of mental health.
    Crisis,
    /// For children and young people.
    Youth,
    /// For women who meet violence.
    Women,
    /// The police.
    Police,
    /// An ambulance, or every emergency at once.
    Emergency,
    /// A list of lines elsewhere.
    Directory,
}

/// A line of help, in the card's language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Hotline {
    /// What it is called.
    pub name: String,
    /// What to dial, or where to look.
    pub number: String,
    /// When it is answered.
    pub hours: String,
    /// The languages it is answered in, as two-letter codes.
    pub languages: Vec<String>,
    /// What sort of help it gives.
    pub kind: HotlineKind,
    /// Where it can be read about or written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What is said to a person in danger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Card {
    /// Heads the card.
    pub title: String,
    /// The whole card as plain text, for whoever shows only text.
    pub text: String,
    /// A short form for a conversation that showed the card a turn ago; still with a line of help.
    pub reminder: String,
    /// The lines of help, the most fitting first; never empty.
    pub hotlines: Vec<Hotline>,
    /// When the lines were last checked.
    pub verified_on: NaiveDate,
}

#[derive(Deserialize)]
struct Directory {
    verified_on: NaiveDate,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    /// Two letters; for whoever reads the file.
    #[cfg_attr(not(test), expect(dead_code, reason = "lines are chosen by identity; the tests look at it"))]
    country: Option<String>,
    kind: HotlineKind,
    number: String,
    languages: Vec<String>,
    url: Option<String>,
    name: Spoken,
    hours: Spoken,
}

#[derive(Deserialize)]
struct Spoken {
    ko: String,
    en: String,
}

impl Spoken {
    fn in_locale(&self, locale: Locale) -> String {
        match locale {
            Locale::Ko => self.ko.clone(),
            Locale::En => self.en.clone(),
        }
    }
}

/// The lines of help. A file that cannot be read leaves none, which [`hotlines_verified_on`] and the tests tell.
static DIRECTORY: LazyLock<Option<Directory>> =
    LazyLock::new(|| serde_json::from_str(include_str!("hotlines.json")).ok());

/// Returns when the lines of help were last checked; nothing when there are none, and then no service should start.
pub fn hotlines_verified_on() -> Option<NaiveDate> {
    DIRECTORY.as_ref().filter(|directory| !directory.lines.is_empty()).map(|directory| directory.verified_on)
}

/// Writes the card for what was heard.
///
/// The lines are those of `country` (two letters, any case); without one, those of the language. A Korean speaker
/// elsewhere gets the lines of both places, the near ones first; a country without lines here gets the directory.
pub fn card(assessment: Assessment, locale: Locale, country: Option<&str>) -> Card {
    let hotlines = lines(assessment, locale, country);
    let spoken = hotlines.iter().map(|line| sentence(line, locale));
    let mut text = words::opening(assessment).in_locale(locale).to_owned();
    text.push_str("\n\n");
    text.push_str(words::LINES.in_locale(locale));
    for line in spoken {
        text.push_str("\n- ");
        text.push_str(&line);
    }
    text.push_str("\n\n");
    text.push_str(words::closing(assessment).in_locale(locale));
    let mut reminder = words::REMINDER.in_locale(locale).to_owned();
    if let Some(first) = hotlines.first() {
        reminder.push(' ');
        reminder.push_str(&sentence(first, locale));
    }
    Card {
        title: words::title(assessment).in_locale(locale).to_owned(),
        text,
        reminder,
        hotlines,
        verified_on: hotlines_verified_on().unwrap_or_default(),
    }
}

/// Writes a line of help as one line of text.
fn sentence(line: &Hotline, locale: Locale) -> String {
    let Hotline { name, number, hours, kind, .. } = line;
    match (locale, kind) {
        (_, HotlineKind::Directory) => format!("{name}: {number}"),
        (Locale::Ko, _) => format!("{name} {number} ({hours})"),
        (Locale::En, _) => format!("{name}: {number} ({hours})"),
    }
}

/// The identities of the lines that fit a worry in a country, the most fitting first.
fn wanted(assessment: Assessment, country: &str) -> &'static [&'static str] {
    match (country, assessment.concern, assessment.level) {
        ("KR", Concern::AbuseNow, _) => &["kr-112", "kr-1366", "kr-1388", "kr-109"],
        ("KR", Concern::HarmToOthers, Level::Danger) => &["kr-112", "kr-1577-0199", "kr-109"],
        ("KR", Concern::HarmToOthers, _) => &["kr-1577-0199", "kr-109", "kr-112"],
        ("KR", _, Level::Danger) => &["kr-119", "kr-112", "kr-109", "kr-1577-0199", "kr-1388"],
        ("KR", ..) => &["kr-109", "kr-1577-0199", "kr-1388", "kr-119"],
        ("US", Concern::AbuseNow | Concern::HarmToOthers, _) | ("US", _, Level::Danger) => &["us-911", "us-988"],
        ("US", ..) => &["us-988", "us-911"],
        _ => &["directory"],
    }
}

fn lines(assessment: Assessment, locale: Locale, country: Option<&str>) -> Vec<Hotline> {
    let country = country.map(|country| country.trim().to_ascii_uppercase()).filter(|country| country.len() == 2);
    let home = match locale {
        Locale::Ko => "KR",
        Locale::En => "US",
    };
    let place = country.as_deref().unwrap_or(home);
    let mut ids = wanted(assessment, place).to_vec();
    // Abroad one may want to speak one's own language, and a number may not be reachable: the directory always helps.
    if locale == Locale::Ko && place != "KR" {
        ids.extend(["kr-109", "kr-1577-0199"]);
    }
    if place != "KR" || locale == Locale::En {
        ids.push("directory");
    }
    let mut lines: Vec<Hotline> = Vec::with_capacity(ids.len());
    for id in ids {
        let found = DIRECTORY.iter().flat_map(|directory| &directory.lines).find(|line| line.id == id);
        let line = found.map(|line| line.in_locale(locale));
        lines.extend(line.filter(|line| lines.iter().all(|known| known.number != line.number)));
    }
    lines
}

impl Line {
    fn in_locale(&self, locale: Locale) -> Hotline {
        Hotline {
            name: self.name.in_locale(locale),
            number: self.number.clone(),
            hours: self.hours.in_locale(locale),
            languages: self.languages.clone(),
            kind: self.kind,
            url: self.url.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LEVELS: [Level; 2] = [Level::Crisis, Level::Danger];
    const CONCERNS: [Concern; 6] = [
        Concern::None,
        Concern::Bereavement,
        Concern::SomebodyElse,
        Concern::HarmToOthers,
        Concern::AbuseNow,
        Concern::OwnIdeation,
    ];

    fn numbers(level: Level, locale: Locale, country: Option<&str>) -> Vec<String> {
        let card = card(Assessment::new(level, Concern::OwnIdeation), locale, country);
        card.hotlines.into_iter().map(|line| line.number).collect()
    }

    #[test]
    fn the_directory_can_be_read_and_is_whole() {
        let directory = DIRECTORY.as_ref().unwrap();
        assert!(directory.verified_on >= NaiveDate::from_ymd_opt(2026, 11, 1).unwrap());
        let ids: HashSet<_> = directory.lines.iter().map(|line| &line.id).collect();
        assert_eq!(ids.len(), directory.lines.len(), "each once");
        for line in &directory.lines {
            assert!(!line.number.is_empty() && !line.languages.is_empty(), "{}", line.id);
            assert!(!line.name.ko.is_empty() && !line.name.en.is_empty(), "{}", line.id);
            assert!(!line.hours.ko.is_empty() && !line.hours.en.is_empty(), "{}", line.id);
            assert!(line.url.as_ref().is_none_or(|url| url.starts_with("https://")), "{}", line.id);
            assert!(line.country.as_ref().is_none_or(|country| country.len() == 2), "{}", line.id);
        }
        for (level, concern) in LEVELS.into_iter().flat_map(|level| CONCERNS.map(|concern| (level, concern))) {
            for country in ["KR", "US", "FR"] {
                let wanted = wanted(Assessment::new(level, concern), country);
                assert!(wanted.iter().all(|id| directory.lines.iter().any(|line| line.id == **id)), "{country}");
            }
        }
        assert!(!include_str!("hotlines.json").contains("1393"), "109 took its place");
    }

    #[test]
    fn lines_follow_the_country_and_else_the_language() {
        assert_eq!(numbers(Level::Crisis, Locale::Ko, None), ["109", "1577-0199", "1388", "119"]);
        assert_eq!(numbers(Level::Crisis, Locale::Ko, Some("kr")), ["109", "1577-0199", "1388", "119"]);
        assert_eq!(numbers(Level::Crisis, Locale::En, None), ["988", "911", "findahelpline.com"]);
        assert_eq!(numbers(Level::Danger, Locale::En, Some("US")), ["911", "988", "findahelpline.com"]);
        assert_eq!(numbers(Level::Danger, Locale::En, Some("KR")).first().unwrap(), "119");
        assert_eq!(numbers(Level::Crisis, Locale::En, Some("FR")), ["findahelpline.com"]);
        assert_eq!(numbers(Level::Crisis, Locale::En, Some("Korea")), ["988", "911", "findahelpline.com"]);
    }

    #[test]
    fn a_korean_speaker_abroad_gets_the_lines_of_both_places() {
        let numbers = numbers(Level::Crisis, Locale::Ko, Some("US"));
        assert_eq!(numbers, ["988", "911", "109", "1577-0199", "findahelpline.com"]);
    }

    #[test]
    fn every_card_asks_names_a_line_and_says_it_is_an_ai() {
        for (level, concern) in LEVELS.into_iter().flat_map(|level| CONCERNS.map(|concern| (level, concern))) {
            for (locale, country) in
                [(Locale::Ko, None), (Locale::En, None), (Locale::Ko, Some("US")), (Locale::En, Some("JP"))]
            {
                let card = card(Assessment::new(level, concern), locale, country);
                assert!(!card.hotlines.is_empty() && !card.title.is_empty());
                assert!(card.hotlines.iter().all(|line| card.text.contains(&line.number)), "{}", card.text);
                assert!(card.text.contains('?') && card.text.contains("AI"), "{}", card.text);
                assert!(card.reminder.contains(&card.hotlines[0].number));
            }
        }
    }

    #[test]
    fn wording_differs_by_who_is_in_danger_and_how_much() {
        let openings: HashSet<_> = LEVELS
            .into_iter()
            .flat_map(|level| CONCERNS.map(|concern| words::opening(Assessment::new(level, concern)).ko))
            .collect();
        assert_eq!(openings.len(), 8);
        let abused = card(Assessment::new(Level::Danger, Concern::AbuseNow), Locale::Ko, None);
        assert_eq!(abused.hotlines[0].number, "112");
        assert!(abused.hotlines.iter().any(|line| line.number == "1366"));
    }
}
