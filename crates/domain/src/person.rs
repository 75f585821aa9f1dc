//! All that is kept about a person: handed out as one document, and forgotten.
//!
//! Each service answers for its own part. What they share are the bounds of one answer, so that a large account costs
//! several calls, or a document that says that it is not whole, and never the memory of a process.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{contract::UserErasure, principal::Service};

/// Most rows of one table that one call erases: few enough that their locks last milliseconds.
pub const ERASE_ROWS: i64 = 500;
/// Most rows of one kind in a document.
pub const EXPORT_ROWS_MAX: usize = 20_000;
/// Most bytes of a document, written as JSON. The auth service has one of each service in memory at once.
pub const EXPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where a document says whether there would have been more.
const TRUNCATED: &str = "truncated";

/// What one service knows about a person, by kind of thing; it grows row by row until it is full.
#[derive(Debug)]
pub struct ExportDocument {
    parts: BTreeMap<&'static str, Vec<Value>>,
    bytes: usize,
    is_truncated: bool,
}

impl ExportDocument {
    /// Begins a document; a part without rows is shown as empty.
    pub fn new(parts: &[&'static str]) -> Self {
        Self { parts: parts.iter().map(|part| (*part, Vec::new())).collect(), bytes: 0, is_truncated: false }
    }

    /// Adds a row to a part; `false` when there was no room for it, which the document then says.
    ///
    /// # Errors
    /// Returns the library's error when the row cannot be written as JSON.
    pub fn push(&mut self, part: &'static str, row: &impl Serialize) -> Result<bool, serde_json::Error> {
        let row = serde_json::to_value(row)?;
        let bytes = self.bytes.saturating_add(row.to_string().len());
        let rows = self.parts.entry(part).or_default();
        if rows.len() >= EXPORT_ROWS_MAX || bytes > EXPORT_BYTES_MAX {
            self.is_truncated = true;
            return Ok(false);
        }
        rows.push(row);
        self.bytes = bytes;
        Ok(true)
    }

    /// Returns the whole: each part as a list, and whether it is all there is.
    pub fn into_value(self) -> Value {
        let parts = self.parts.into_iter().map(|(part, rows)| (part.to_owned(), Value::Array(rows)));
        let mut whole: Map<String, Value> = parts.collect();
        whole.insert(TRUNCATED.to_owned(), Value::Bool(self.is_truncated));
        Value::Object(whole)
    }
}

impl UserErasure {
    /// Reports what a call has erased; what it found none of is left out.
    pub fn new(service: Service, is_finished: bool, erased: &[(&str, usize)]) -> Self {
        let erased = erased.iter().filter(|(_, rows)| *rows > 0);
        let erased = erased.map(|(what, rows)| ((*what).to_owned(), u64::try_from(*rows).unwrap_or(u64::MAX)));
        Self { service, is_finished, erased: erased.collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_shows_its_rows_and_its_empty_parts() {
        let mut document = ExportDocument::new(&["memos", "files"]);
        assert!(document.push("memos", &json!({ "content": "가을" })).unwrap());
        assert_eq!(document.into_value(), json!({ "memos": [{ "content": "가을" }], "files": [], "truncated": false }));
    }

    #[test]
    fn a_document_that_is_full_says_so() {
        let mut document = ExportDocument::new(&["memos"]);
        for _ in 0..EXPORT_ROWS_MAX {
            assert!(document.push("memos", &1).unwrap());
        }
        assert!(!document.push("memos", &1).unwrap());
        let whole = document.into_value();
        assert_eq!(whole["memos"].as_array().unwrap().len(), EXPORT_ROWS_MAX);
        assert_eq!(whole["truncated"], true);

        let mut document = ExportDocument::new(&["memos"]);
        let half = "x".repeat(EXPORT_BYTES_MAX / 2);
        assert!(document.push("memos", &half).unwrap());
        assert!(!document.push("memos", &half).unwrap());
        assert_eq!(document.into_value()["truncated"], true);
    }

    #[test]
    fn an_erasure_names_only_what_it_has_erased() {
        let erasure = UserErasure::new(Service::Memo, true, &[("memos", 2), ("files", 0)]);
        assert_eq!(
            serde_json::to_value(erasure).unwrap(),
            json!({ "service": "memo", "is_finished": true, "erased": { "memos": 2 } })
        );
    }
}
