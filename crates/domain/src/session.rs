//! What a session is: a conversation or talk with a type, settings and a code that lets an audience in.

pub mod lifecycle;
pub mod participant;
mod settings;

use serde::{Deserialize, Serialize};
use serde_json::Value;
pub use settings::deep_merge;
use utoipa::ToSchema;

use crate::fault::{Fault, Kind, Violations};

/// Fewest characters of a title.
pub const TITLE_MIN: usize = 2;
/// Most characters of a title.
pub const TITLE_MAX: usize = 100;
/// Most characters of a description.
pub const DESCRIPTION_MAX: usize = 5_000;
/// Most tags of a session.
pub const TAGS_MAX: usize = 50;
/// Most characters of a tag.
pub const TAG_MAX: usize = 50;
/// Most bytes of a free document (settings, a part of the metadata, a summary), written as JSON.
pub const DOCUMENT_MAX_BYTES: usize = 32 * 1024;
/// Most bytes of a session's settings: a whole document laid over the defaults of its type.
pub const SETTINGS_MAX_BYTES: usize = DOCUMENT_MAX_BYTES + 4 * 1024;
/// Most levels of a free document.
pub const DOCUMENT_MAX_DEPTH: usize = 8;

/// No such session, or somebody else's: the same answer for both.
pub const NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "session_not_found", "세션을 찾을 수 없습니다.", "Session not found.");

/// What sort of conversation a session is; decides its default settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionType {
    /// A first date.
    Dating,
    /// A job interview.
    Interview,
    /// A business meeting.
    Business,
    /// A talk before an audience.
    #[default]
    Presentation,
}

impl SessionType {
    const ALL: [Self; 4] = [Self::Dating, Self::Interview, Self::Business, Self::Presentation];

    /// Returns the type's name as it stands on the wire and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dating => "dating",
            Self::Interview => "interview",
            Self::Business => "business",
            Self::Presentation => "presentation",
        }
    }

    /// Reads a type's name, recording a violation at `pointer` when there is none of that name.
    pub fn parse(name: &str, pointer: &str, violations: &mut Violations) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        violations.require(
            found.is_some(),
            pointer,
            "unknown",
            "dating, interview, business, presentation 중 하나여야 합니다.",
            "Must be one of dating, interview, business, presentation.",
        );
        found
    }
}

/// Where a session stands: `created`, then `active` and `paused` in turn, then `ended`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionStatus {
    /// Made, not begun.
    #[default]
    Created,
    /// Going on; an audience may come in.
    Active,
    /// Interrupted.
    Paused,
    /// Over for good.
    Ended,
}

impl SessionStatus {
    const ALL: [Self; 4] = [Self::Created, Self::Active, Self::Paused, Self::Ended];

    /// Returns the status's name as it stands on the wire and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }

    /// Returns the status of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Reads a status's name, recording a violation at `pointer` when there is none of that name.
    pub fn parse(name: &str, pointer: &str, violations: &mut Violations) -> Option<Self> {
        let found = Self::named(name);
        violations.require(
            found.is_some(),
            pointer,
            "unknown",
            "created, active, paused, ended 중 하나여야 합니다.",
            "Must be one of created, active, paused, ended.",
        );
        found
    }
}

/// Six characters that let an audience in, read aloud from a stage or typed from a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCode(String);

impl SessionCode {
    /// Letters and digits that are not taken for one another: no 0 and O, no 1, I and L.
    pub const ALPHABET: [u8; 31] = *b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
    /// Characters of a code; the alphabet makes 887 million of them.
    pub const LENGTH: usize = 6;
    /// Longest text that is looked at for a code, bytes; there is room for much spacing.
    const TYPED_MAX: usize = 64;

    /// Makes a code of random bytes; nothing when they run out.
    ///
    /// Bytes beyond the last whole multiple of the alphabet are left out, so that every code is as likely as any other.
    pub fn draw(random: impl IntoIterator<Item = u8>) -> Option<Self> {
        let letters = Self::ALPHABET.len();
        let code: String = random
            .into_iter()
            .map(usize::from)
            .filter(|byte| *byte < 256 / letters * letters)
            .filter_map(|byte| Self::ALPHABET.get(byte % letters).copied().map(char::from))
            .take(Self::LENGTH)
            .collect();
        (code.len() == Self::LENGTH).then_some(Self(code))
    }

    /// Reads a code the way people type one: in any case, with spaces and hyphens in it. Codes that are not drawn any
    /// more (with `0` or `O`) are still codes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::TYPED_MAX {
            return None;
        }
        let typed = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
        let code: String = typed.map(|letter| letter.to_ascii_uppercase()).collect();
        let sound = code.len() == Self::LENGTH
            && code.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit());
        sound.then_some(Self(code))
    }

    /// Returns the six characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads a title, recording a violation at `/title`.
pub fn parse_title(text: &str, violations: &mut Violations) -> Option<String> {
    let title = text.trim();
    let length = title.chars().count();
    violations.require(
        length >= TITLE_MIN,
        "/title",
        "too_short",
        "제목은 2글자 이상이어야 합니다.",
        "A title has at least 2 characters.",
    );
    violations.require(
        length <= TITLE_MAX,
        "/title",
        "too_long",
        "제목은 100글자 이하여야 합니다.",
        "A title has at most 100 characters.",
    );
    let readable = !title.chars().any(char::is_control);
    violations.require(
        readable,
        "/title",
        "not_readable",
        "제목에 쓸 수 없는 문자가 있습니다.",
        "The title has characters that cannot be shown.",
    );
    ((TITLE_MIN..=TITLE_MAX).contains(&length) && readable).then(|| title.to_owned())
}

/// Checks a description, recording a violation at `/description`.
pub fn check_description(text: &str, violations: &mut Violations) {
    violations.require(
        text.chars().count() <= DESCRIPTION_MAX && !text.contains('\0'),
        "/description",
        "not_allowed",
        "설명은 5,000자 이하의 글이어야 합니다.",
        "A description is a text of at most 5,000 characters.",
    );
}

/// Reads tags in their order: trimmed, each once, recording violations at `/tags`.
pub fn parse_tags(texts: &[String], violations: &mut Violations) -> Vec<String> {
    violations.require(
        texts.len() <= TAGS_MAX,
        "/tags",
        "too_many",
        "태그는 50개까지 달 수 있습니다.",
        "There are at most 50 tags.",
    );
    let mut tags: Vec<String> = Vec::new();
    for (place, text) in texts.iter().enumerate().take(TAGS_MAX) {
        let tag = text.trim();
        let sound = (1..=TAG_MAX).contains(&tag.chars().count()) && !tag.chars().any(char::is_control);
        violations.require(
            sound,
            format!("/tags/{place}"),
            "length",
            "태그는 1-50자여야 합니다.",
            "A tag has 1-50 characters.",
        );
        if sound && !tags.iter().any(|earlier| earlier == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

/// Checks a free document, recording a violation at `pointer` when it is larger, deeper or stranger than can be kept.
pub fn check_document(document: &Value, pointer: &str, violations: &mut Violations) {
    violations.require(
        keepable(document, DOCUMENT_MAX_DEPTH) && document.to_string().len() <= DOCUMENT_MAX_BYTES,
        pointer,
        "not_allowed",
        "32 KiB, 8단계 이내여야 하며 NUL 문자를 쓸 수 없습니다.",
        "Has at most 32 KiB and 8 levels, and no NUL character.",
    );
}

/// Checks settings onto which others were laid, recording a violation at `pointer` when they have grown too large.
pub fn check_settings(settings: &Value, pointer: &str, violations: &mut Violations) {
    violations.require(
        settings.to_string().len() <= SETTINGS_MAX_BYTES,
        pointer,
        "too_large",
        "설정은 모두 합해 36 KiB 이내여야 합니다.",
        "All settings together have at most 36 KiB.",
    );
}

/// Returns whether a value is flat enough and free of NUL, which PostgreSQL cannot keep.
fn keepable(value: &Value, levels: usize) -> bool {
    let deeper = |value: &Value| levels > 0 && keepable(value, levels - 1);
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => items.iter().all(deeper),
        Value::Object(members) => members.iter().all(|(key, value)| !key.contains('\0') && deeper(value)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn title(text: &str) -> Result<String, Vec<&'static str>> {
        let mut violations = Violations::new();
        let title = parse_title(text, &mut violations);
        let told = violations.as_slice().iter().map(|v| v.text.ko).collect();
        title.ok_or(told)
    }

    #[test]
    fn a_title_is_trimmed_and_its_length_counts_characters() {
        assert_eq!(title("  발표 "), Ok("발표".to_owned()));
        assert_eq!(title(" 가 "), Err(vec!["제목은 2글자 이상이어야 합니다."]));
        assert_eq!(title(&"가".repeat(100)).unwrap().chars().count(), 100);
        assert_eq!(title(&"가".repeat(101)), Err(vec!["제목은 100글자 이하여야 합니다."]));
        assert_eq!(title("두\n줄"), Err(vec!["제목에 쓸 수 없는 문자가 있습니다."]));
    }

    #[test]
    fn settings_are_merged_at_every_level_and_lists_are_replaced() {
        let mut settings = SessionType::Presentation.default_settings();
        let over = json!({
            "feedback": { "audio": true },
            "presentation_specific": { "filler_words": { "words": ["um"] }, "timer": { "duration_minutes": 20 } },
            "mine": { "__proto__": { "polluted": true } },
        });
        deep_merge(&mut settings, over);
        assert_eq!(settings["feedback"], json!({ "enabled": true, "haptic": true, "visual": true, "audio": true }));
        let own = &settings["presentation_specific"];
        assert_eq!((&own["timer"]["duration_minutes"], &own["timer"]["enabled"]), (&json!(20), &json!(true)));
        assert_eq!(
            (&own["filler_words"]["words"], &own["filler_words"]["alert_frequency"]),
            (&json!(["um"]), &json!(3))
        );
        assert_eq!(settings["mine"]["__proto__"]["polluted"], true);
    }

    #[test]
    fn every_type_has_its_own_settings_and_only_those() {
        for kind in SessionType::ALL {
            let settings = kind.default_settings();
            let specific: Vec<_> =
                settings.as_object().unwrap().keys().filter(|key| key.ends_with("_specific")).collect();
            assert_eq!(specific, [&format!("{}_specific", kind.name())]);
            assert_eq!(SessionType::parse(kind.name(), "/type", &mut Violations::new()), Some(kind));
        }
    }

    #[test]
    fn a_document_that_cannot_be_kept_is_refused() {
        let judge = |document: Value| {
            let mut violations = Violations::new();
            check_document(&document, "/custom_settings", &mut violations);
            violations.into_result().is_ok()
        };
        let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(judge(deep(8)) && !judge(deep(9)));
        assert!(!judge(json!({ "a": "\0" })) && !judge(json!({ "\0": 1 })) && !judge(json!([["\0"]])));
        assert!(!judge(json!("x".repeat(DOCUMENT_MAX_BYTES))));
    }

    #[test]
    fn a_code_leaves_out_what_would_make_some_codes_likelier() {
        let drawn = |bytes: &[u8]| SessionCode::draw(bytes.iter().copied()).map(|code| code.as_str().to_owned());
        assert_eq!(drawn(&[0, 30, 31, 61, 247, 8]).as_deref(), Some("2Z2ZZA"));
        assert_eq!(drawn(&[255, 248, 0, 0, 0, 0, 0, 0]).as_deref(), Some("222222"));
        assert_eq!(drawn(&[0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn a_code_is_read_as_people_type_it_and_nothing_else_is() {
        let read = |text: &str| SessionCode::parse(text).map(|code| code.as_str().to_owned());
        for typed in ["AB23CD", "ab23cd", " AB2-3CD ", "a b 2 3 c d", "ab-23-cd"] {
            assert_eq!(read(typed).as_deref(), Some("AB23CD"), "{typed}");
        }
        assert_eq!(read("o0i1L5").as_deref(), Some("O0I1L5"));
        let bad =
            ["", "AB23C", "AB23CDE", "AB23C_", "ＡＢ２３ＣＤ", "가나다라마바", "AB23Cſ", "AB23C😀", &" ".repeat(80)];
        for text in bad {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at_for_a_code_without_a_panic(text in ".*") {
            if let Some(code) = SessionCode::parse(&text) {
                prop_assert_eq!(SessionCode::parse(code.as_str()), Some(code));
            }
        }

        #[test]
        fn every_code_is_six_of_the_alphabet(bytes in proptest::collection::vec(any::<u8>(), 64)) {
            let code = SessionCode::draw(bytes).unwrap();
            prop_assert_eq!(code.as_str().len(), SessionCode::LENGTH);
            prop_assert!(code.as_str().bytes().all(|letter| SessionCode::ALPHABET.contains(&letter)));
        }

        #[test]
        fn any_title_is_judged_without_a_panic(text in ".*") {
            _ = title(&text);
        }
    }
}
