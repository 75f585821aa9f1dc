//! What a session's feedback amounts to, as a part of the session's summary.

use chassis::{document::Document, problem::Outcome};
use serde_json::{Map, Value};

/// The member of a summary that holds it.
const MEMBER: &str = "feedback";

/// Adds the totals to a summary, unless it has something under their name: what a client wrote is left alone, and so is
/// a summary that is no object.
///
/// # Errors
/// Returns an error when the summary has a number in it that cannot be read.
pub fn merge(summary: Option<Document>, totals: Option<Value>) -> Outcome<Option<Document>> {
    let Some(totals) = totals else { return Ok(summary) };
    let mut merged = summary.map_or_else(|| Ok(Value::Object(Map::new())), |summary| summary.value())?;
    if let Value::Object(members) = &mut merged {
        members.entry(MEMBER).or_insert(totals);
    }
    Document::new(&merged).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn totals_are_added_and_a_clients_own_words_are_left_alone() {
        let merged = |summary: Option<Value>, totals: Option<Value>| {
            let summary = summary.map(|summary| Document::new(&summary).unwrap());
            merge(summary, totals).unwrap().map(|merged| merged.value().unwrap())
        };
        let totals = || Some(json!({ "cue_count": 1 }));
        assert_eq!(merged(None, None), None);
        assert_eq!(merged(Some(json!({ "a": 1 })), None), Some(json!({ "a": 1 })));
        assert_eq!(merged(None, totals()), Some(json!({ "feedback": { "cue_count": 1 } })));
        let both = json!({ "a": 1, "feedback": { "cue_count": 1 } });
        assert_eq!(merged(Some(json!({ "a": 1 })), totals()), Some(both.clone()));
        assert_eq!(merged(Some(both.clone()), Some(json!({ "cue_count": 2 }))), Some(both));
        assert_eq!(merged(Some(json!({ "feedback": "good" })), totals()), Some(json!({ "feedback": "good" })));
        assert_eq!(merged(Some(json!("good")), totals()), Some(json!("good")));
    }
}
