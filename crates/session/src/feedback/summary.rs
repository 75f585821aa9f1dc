//! What a session's feedback amounts to, as a part of the session's summary.

use serde_json::{Map, Value};

/// The member of a summary that holds it.
const MEMBER: &str = "feedback";

/// Adds the totals to a summary, unless it has something under their name: what a client wrote is left alone, and so is
/// a summary that is no object.
pub fn merge(summary: Option<Value>, totals: Option<Value>) -> Option<Value> {
    let Some(totals) = totals else { return summary };
    let mut summary = summary.unwrap_or_else(|| Value::Object(Map::new()));
    if let Value::Object(members) = &mut summary {
        members.entry(MEMBER).or_insert(totals);
    }
    Some(summary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn totals_are_added_and_a_clients_own_words_are_left_alone() {
        let totals = || Some(json!({ "cue_count": 1 }));
        assert_eq!(merge(None, None), None);
        assert_eq!(merge(Some(json!({ "a": 1 })), None), Some(json!({ "a": 1 })));
        assert_eq!(merge(None, totals()), Some(json!({ "feedback": { "cue_count": 1 } })));
        let both = json!({ "a": 1, "feedback": { "cue_count": 1 } });
        assert_eq!(merge(Some(json!({ "a": 1 })), totals()), Some(both.clone()));
        assert_eq!(merge(Some(both.clone()), Some(json!({ "cue_count": 2 }))), Some(both));
        assert_eq!(merge(Some(json!({ "feedback": "good" })), totals()), Some(json!({ "feedback": "good" })));
        assert_eq!(merge(Some(json!("good")), totals()), Some(json!("good")));
    }
}
