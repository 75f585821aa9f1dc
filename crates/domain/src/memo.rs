//! What a memo may be.

pub mod attachment;
pub mod search;

use unicode_normalization::UnicodeNormalization;

use crate::fault::Violations;

/// Most characters of a memo.
pub const CONTENT_MAX: usize = 100_000;
/// Most tags of a memo.
pub const TAGS_MAX: usize = 50;
/// Most characters of a tag or a category.
pub const TAG_MAX: usize = 50;
/// Most bytes of a memo's metadata, written as JSON.
pub const METADATA_MAX_BYTES: usize = 64 * 1024;
/// Most levels of a memo's metadata.
pub const METADATA_MAX_DEPTH: usize = 8;
/// Most keys of a memo's metadata, all levels together.
pub const METADATA_MAX_KEYS: usize = 200;

/// Reads a memo's text, recording a violation at `/content`.
pub fn parse_content(text: String, violations: &mut Violations) -> Option<String> {
    let fits = !text.trim().is_empty() && text.chars().count() <= CONTENT_MAX;
    violations.require(
        fits,
        "/content",
        "length",
        "메모는 1-100,000자여야 합니다.",
        "A memo has 1-100,000 characters.",
    );
    let readable = !text.contains('\0');
    violations.require(
        readable,
        "/content",
        "not_readable",
        "메모에 쓸 수 없는 문자가 있습니다.",
        "The memo has a character that cannot be kept.",
    );
    (fits && readable).then_some(text)
}

/// Reads the text beside a memo's files, which may be empty, recording a violation at `/content`.
pub fn parse_caption(text: String, violations: &mut Violations) -> Option<String> {
    if text.trim().is_empty() { Some(String::new()) } else { parse_content(text, violations) }
}

/// Records that a memo without files has no text.
pub fn refuse_empty(violations: &mut Violations) {
    parse_content(String::new(), violations);
}

/// Reads tags in their order: as [`parse_label`] leaves them, each once whatever its case, recording violations at
/// `/tags`.
pub fn parse_tags(texts: &[String], violations: &mut Violations) -> Vec<String> {
    violations.require(
        texts.len() <= TAGS_MAX,
        "/tags",
        "too_many",
        "태그는 50개까지 달 수 있습니다.",
        "A memo has at most 50 tags.",
    );
    let mut tags: Vec<String> = Vec::new();
    for (place, text) in texts.iter().take(TAGS_MAX).enumerate() {
        if let Some(tag) = parse_label(text, &format!("/tags/{place}"), violations)
            && !tags.iter().any(|kept| kept.to_lowercase() == tag.to_lowercase())
        {
            tags.push(tag);
        }
    }
    tags
}

/// Reads a tag or category, trimmed and composed (NFC), recording a violation at `pointer`.
pub fn parse_label(text: &str, pointer: &str, violations: &mut Violations) -> Option<String> {
    // A long one stays long however it is composed, and is not worth the work.
    let label: String = text.trim().chars().take(4 * TAG_MAX).nfc().collect();
    let sound = (1..=TAG_MAX).contains(&label.chars().count()) && !label.chars().any(char::is_control);
    violations.require(sound, pointer, "length", "1-50자여야 합니다.", "Must have 1-50 characters.");
    sound.then_some(label)
}

/// Checks free metadata, recording a violation at `/metadata`: an object of bounded size that the database can keep.
pub fn check_metadata(metadata: &serde_json::Value, violations: &mut Violations) {
    let mut keys = 0;
    let kept = metadata.is_object() && keepable(metadata, METADATA_MAX_DEPTH, &mut keys);
    let fits = keys <= METADATA_MAX_KEYS && metadata.to_string().len() <= METADATA_MAX_BYTES;
    violations.require(
        kept && fits,
        "/metadata",
        "not_allowed",
        "64 KiB, 8단계, 키 200개 이내의 JSON 객체여야 합니다.",
        "Must be a JSON object of at most 64 KiB, 8 levels and 200 keys.",
    );
}

/// Returns whether a value is flat enough and free of NUL, which PostgreSQL cannot keep; counts its keys.
fn keepable(value: &serde_json::Value, levels: usize, keys: &mut usize) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => levels > 0 && items.iter().all(|item| keepable(item, levels - 1, keys)),
        Value::Object(members) => {
            *keys += members.len();
            levels > 0 && members.iter().all(|(key, member)| !key.contains('\0') && keepable(member, levels - 1, keys))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests;
