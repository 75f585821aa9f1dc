//! What a person wants to be told, how, and how often.
//!
//! Settings begin with those of the session's type; what the session's own settings say of the same things is laid over
//! them, as far as it fits, and then what the person sets here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::fields::{Bounds, Fields};
use crate::{fault::Violations, session::SessionType};

/// Most filler words of a list.
pub const WORDS_MAX: usize = 100;
/// Most characters of a filler word.
pub const WORD_MAX: usize = 30;

/// Words that Korean speakers fill a pause with.
const KOREAN_FILLERS: [&str; 8] = ["음", "그", "어", "저", "뭐", "아", "그니까", "그러니까"];

const STRENGTH: Bounds =
    Bounds { min: 1, max: 10, ko: "1-10의 정수여야 합니다.", en: "Must be a whole number from 1 to 10." };
/// From one second; the first clients offer up to a minute.
const INTERVAL: Bounds =
    Bounds { min: 1, max: 60, ko: "1-60초의 정수여야 합니다.", en: "Must be 1-60 whole seconds." };
/// The slowest speech that is one to the fastest there is.
const WPM: Bounds = Bounds {
    min: 20,
    max: 600,
    ko: "분당 20-600단어의 정수여야 합니다.",
    en: "Must be 20-600 whole words per minute.",
};
const THRESHOLD: Bounds =
    Bounds { min: 0, max: 100, ko: "0-100%의 정수여야 합니다.", en: "Must be 0-100 whole percent." };
const FREQUENCY: Bounds = Bounds {
    min: 1,
    max: 60,
    ko: "분당 1-60회의 정수여야 합니다.",
    en: "Must be a whole number from 1 to 60 a minute.",
};
const SECONDS: Bounds =
    Bounds { min: 1, max: 300, ko: "1-300초의 정수여야 합니다.", en: "Must be 1-300 whole seconds." };
const LOW: Bounds =
    Bounds { min: 0, max: 100, ko: "0-100%의 정수여야 합니다.", en: "Must be 0-100 whole percent." };
const DROP: Bounds =
    Bounds { min: 1, max: 100, ko: "1-100%의 정수여야 합니다.", en: "Must be 1-100 whole percent." };

/// A person's feedback settings for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, as clients show them")]
pub struct FeedbackSettings {
    /// Whether there are cues at all.
    pub enabled: bool,
    /// Whether they are felt.
    pub haptic: bool,
    /// Whether they are seen.
    pub visual: bool,
    /// Whether they are heard.
    pub audio: bool,
    /// How strongly they are felt, 1-10.
    #[schema(minimum = 1, maximum = 10)]
    pub strength: i64,
    /// Fewest seconds from one cue to the next, 1-60.
    #[schema(minimum = 1, maximum = 60)]
    pub min_interval_seconds: i64,
    /// What leads to a cue.
    pub rules: FeedbackRules,
}

/// What leads to a cue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackRules {
    /// Pace.
    pub speaking_rate: SpeakingRateRule,
    /// Filler words.
    pub filler_words: FillerWordsRule,
    /// Silence.
    pub silence: SilenceRule,
    /// Confidence.
    pub confidence: ConfidenceRule,
}

/// A pace to keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpeakingRateRule {
    /// Whether it is looked at.
    pub enabled: bool,
    /// Slowest pace aimed at, words per minute; less than `max_wpm`.
    #[schema(minimum = 20, maximum = 600)]
    pub min_wpm: i64,
    /// Fastest pace aimed at, words per minute.
    #[schema(minimum = 20, maximum = 600)]
    pub max_wpm: i64,
    /// How far off these it may be before it is told, percent.
    #[schema(minimum = 0, maximum = 100)]
    pub threshold_percent: i64,
}

/// Words to avoid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FillerWordsRule {
    /// Whether they are looked for.
    pub enabled: bool,
    /// At most 100, each of 1-30 characters.
    #[schema(max_items = 100)]
    pub words: Vec<String>,
    /// How many within a minute are told.
    #[schema(minimum = 1, maximum = 60)]
    pub frequency: i64,
}

/// Silence that is too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SilenceRule {
    /// Whether it is looked at.
    pub enabled: bool,
    /// How long it is before it is told.
    #[schema(minimum = 1, maximum = 300)]
    pub seconds: i64,
}

/// Confidence that is too little.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfidenceRule {
    /// Whether it is looked at.
    pub enabled: bool,
    /// Less than this is told, percent.
    #[schema(minimum = 0, maximum = 100)]
    pub low: i64,
    /// A fall by this much from one sample to the next is told, points.
    #[schema(minimum = 1, maximum = 100)]
    pub drop: i64,
}

impl FeedbackSettings {
    /// Returns the settings of a type of session.
    ///
    /// Pace and filler words of a talk are the documents'; confidence below 50 (45 in interviews) and falls of 20 points
    /// are the first clients'. In a conversation the other one speaks too, so the pace may be 30 % off, and where nobody
    /// speaks in turns fillers count as many as listeners are known not to mind. How long silence may last is ours: a
    /// talk is silent for effect for two or three seconds, the others may think, or listen, a little longer.
    pub fn of_type(kind: SessionType) -> Self {
        let (threshold_percent, frequency, seconds, low) = match kind {
            SessionType::Presentation => (20, 3, 5, 50),
            SessionType::Interview => (30, 3, 8, 45),
            SessionType::Dating => (30, 5, 7, 50),
            SessionType::Business => (30, 5, 10, 50),
        };
        let words = KOREAN_FILLERS.map(ToOwned::to_owned).to_vec();
        Self {
            enabled: true,
            haptic: true,
            visual: true,
            audio: false,
            strength: 5,
            min_interval_seconds: 10,
            rules: FeedbackRules {
                speaking_rate: SpeakingRateRule { enabled: true, min_wpm: 120, max_wpm: 160, threshold_percent },
                filler_words: FillerWordsRule { enabled: true, words, frequency },
                silence: SilenceRule { enabled: true, seconds },
                confidence: ConfidenceRule { enabled: true, low, drop: 20 },
            },
        }
    }

    /// Returns the settings that a session begins with: those of its type with what its own settings document says of
    /// the same things laid over them. The document is free; what does not fit in it changes nothing.
    pub fn of_session(kind: SessionType, document: &Value) -> Self {
        let mut settings = Self::of_type(kind);
        for patch in patches(document) {
            if let Ok(patched) = settings.patched(&patch) {
                settings = patched;
            }
        }
        settings
    }

    /// Lays a part of settings over these: objects at every level, everything else in its place.
    ///
    /// # Errors
    /// Names every field that nobody knows, is of another type or outside its range.
    pub fn patched(&self, patch: &Value) -> Result<Self, Violations> {
        let (mut next, mut violations) = (self.clone(), Violations::new());
        let known = ["enabled", "haptic", "visual", "audio", "strength", "min_interval_seconds", "rules"];
        if let Some(fields) = Fields::of(patch, "", &known, &mut violations) {
            fields.flag("enabled", &mut next.enabled, &mut violations);
            fields.flag("haptic", &mut next.haptic, &mut violations);
            fields.flag("visual", &mut next.visual, &mut violations);
            fields.flag("audio", &mut next.audio, &mut violations);
            fields.whole("strength", &STRENGTH, &mut next.strength, &mut violations);
            fields.whole("min_interval_seconds", &INTERVAL, &mut next.min_interval_seconds, &mut violations);
            next.rules.read(&fields, &mut violations);
        }
        violations.into_result().map(|()| next)
    }

    /// Returns whether there is any way to tell anything.
    pub const fn is_heard(&self) -> bool {
        self.enabled && (self.haptic || self.visual || self.audio)
    }
}

impl FeedbackRules {
    fn read(&mut self, fields: &Fields<'_>, violations: &mut Violations) {
        let known = ["speaking_rate", "filler_words", "silence", "confidence"];
        let Some(rules) = fields.object("rules", &known, violations) else { return };
        self.speaking_rate.read(&rules, violations);
        self.filler_words.read(&rules, violations);
        if let Some(rule) = rules.object("silence", &["enabled", "seconds"], violations) {
            rule.flag("enabled", &mut self.silence.enabled, violations);
            rule.whole("seconds", &SECONDS, &mut self.silence.seconds, violations);
        }
        if let Some(rule) = rules.object("confidence", &["enabled", "low", "drop"], violations) {
            rule.flag("enabled", &mut self.confidence.enabled, violations);
            rule.whole("low", &LOW, &mut self.confidence.low, violations);
            rule.whole("drop", &DROP, &mut self.confidence.drop, violations);
        }
    }
}

impl SpeakingRateRule {
    fn read(&mut self, rules: &Fields<'_>, violations: &mut Violations) {
        let known = ["enabled", "min_wpm", "max_wpm", "threshold_percent"];
        let Some(rule) = rules.object("speaking_rate", &known, violations) else { return };
        rule.flag("enabled", &mut self.enabled, violations);
        rule.whole("min_wpm", &WPM, &mut self.min_wpm, violations);
        rule.whole("max_wpm", &WPM, &mut self.max_wpm, violations);
        rule.whole("threshold_percent", &THRESHOLD, &mut self.threshold_percent, violations);
        violations.require(
            self.min_wpm < self.max_wpm,
            rule.at("min_wpm"),
            "not_less",
            "min_wpm은 max_wpm보다 작아야 합니다.",
            "min_wpm must be less than max_wpm.",
        );
    }
}

impl FillerWordsRule {
    fn read(&mut self, rules: &Fields<'_>, violations: &mut Violations) {
        let Some(rule) = rules.object("filler_words", &["enabled", "words", "frequency"], violations) else { return };
        rule.flag("enabled", &mut self.enabled, violations);
        rule.whole("frequency", &FREQUENCY, &mut self.frequency, violations);
        let Some(words) = rule.get("words") else { return };
        match parse_words(words) {
            Some(words) => self.words = words,
            None => violations.add(
                rule.at("words"),
                "not_allowed",
                "1-30자의 낱말을 100개까지 쓸 수 있습니다.",
                "A list of at most 100 words of 1-30 characters.",
            ),
        }
    }
}

/// Reads filler words in their order: trimmed, each once.
fn parse_words(value: &Value) -> Option<Vec<String>> {
    let listed = value.as_array().filter(|words| words.len() <= WORDS_MAX)?;
    let mut words: Vec<String> = Vec::new();
    for word in listed {
        let word = word.as_str()?.trim();
        if !(1..=WORD_MAX).contains(&word.chars().count()) || word.chars().any(char::is_control) {
            return None;
        }
        if !words.iter().any(|earlier| earlier == word) {
            words.push(word.to_owned());
        }
    }
    Some(words)
}

/// Returns what a session's settings say of feedback, in the words of these settings: whatever belongs together in one
/// patch, because it fits together or not at all; what is most its own last.
fn patches(document: &Value) -> Vec<Value> {
    let own = |pointer: &str, names: &[(&str, &str)]| {
        let theirs = document.pointer(pointer).and_then(Value::as_object);
        let named = names.iter().filter_map(|(theirs_name, ours)| Some((*ours, theirs?.get(*theirs_name)?.clone())));
        named.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>()
    };
    let rate = [
        ("enabled", "enabled"),
        ("target_min_wpm", "min_wpm"),
        ("target_max_wpm", "max_wpm"),
        ("alert_threshold", "threshold_percent"),
    ];
    let fillers = [("enabled", "enabled"), ("words", "words"), ("alert_frequency", "frequency")];
    let mut patches = vec![
        json!({ "rules": { "speaking_rate": own("/presentation_specific/speaking_rate", &rate) } }),
        json!({ "rules": { "filler_words": own("/presentation_specific/filler_words", &fillers) } }),
        json!({ "rules": { "silence": own("/dating_specific", &[("silence_alerts", "enabled")]) } }),
        json!({ "rules": { "confidence": own("/interview_specific", &[("confidence_tracking", "enabled")]) } }),
    ];
    let analyses = ["/analysis/enabled", "/analysis/speaking_rate"].map(|pointer| document.pointer(pointer));
    if analyses.contains(&Some(&Value::Bool(false))) {
        patches.push(json!({ "rules": { "speaking_rate": { "enabled": false } } }));
    }
    let feedback = document.get("feedback").and_then(Value::as_object);
    patches.extend(feedback.into_iter().flatten().map(|(name, value)| json!({ name.as_str(): value })));
    patches
}
