//! A session's settings: those of its type, with the person's own laid over them.

use serde_json::{Value, json};

use super::SessionType;

impl SessionType {
    /// Returns the settings a session of this type starts with.
    pub fn default_settings(self) -> Value {
        let mut settings = json!({
            "feedback": { "enabled": true, "haptic": true, "visual": true, "audio": false },
            "analysis": { "enabled": true, "sentiment": true, "keywords": true, "speaking_rate": true },
            "privacy": { "store_audio": false, "store_text": true, "data_retention_days": 30 },
        });
        let own = match self {
            Self::Dating => json!({ "dating_specific": {
                "interest_tracking": true, "topic_suggestions": true, "silence_alerts": true,
            } }),
            Self::Interview => json!({ "interview_specific": {
                "confidence_tracking": true, "question_detection": true, "answer_quality": true,
            } }),
            Self::Business => json!({ "business_specific": {
                "meeting_contribution": true, "key_points_tracking": true, "agreement_detection": true,
            } }),
            Self::Presentation => presentation_settings(),
        };
        deep_merge(&mut settings, own);
        settings
    }
}

/// What a talk adds: its timer, the pace to keep (words per minute, alert in percent off it), and words to avoid.
fn presentation_settings() -> Value {
    json!({ "presentation_specific": {
        "timer": {
            "enabled": true,
            "duration_minutes": 10,
            "alerts": { "halfway": true, "five_minutes": true, "two_minutes": true, "thirty_seconds": true },
        },
        "speaking_rate": { "enabled": true, "target_min_wpm": 120, "target_max_wpm": 160, "alert_threshold": 20 },
        "filler_words": {
            "enabled": true,
            "words": ["음", "그", "어", "저", "뭐", "아", "그니까", "그러니까"],
            "alert_frequency": 3,
        },
    } })
}

/// Lays one JSON document over another: objects are merged at every level, everything else is replaced.
pub fn deep_merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                deep_merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}
