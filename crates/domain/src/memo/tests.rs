//! The rules of memos, tried.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{attachment::*, *};
use crate::ids::UserId;

fn codes(violations: &Violations) -> Vec<String> {
    violations.as_slice().iter().map(|v| format!("{} {}", v.pointer, v.code)).collect()
}

fn content(text: &str) -> (Option<String>, Vec<String>) {
    let mut violations = Violations::new();
    (parse_content(text.to_owned(), &mut violations), codes(&violations))
}

fn tags(texts: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut violations = Violations::new();
    let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
    (parse_tags(&texts, &mut violations), codes(&violations))
}

fn content_type(text: &str) -> Option<ContentType> {
    ContentType::parse(text, &mut Violations::new())
}

fn filename(text: &str) -> Option<String> {
    parse_filename(text, &mut Violations::new())
}

#[test]
fn a_memo_has_between_one_and_a_hundred_thousand_characters() {
    assert!(content(&"가".repeat(CONTENT_MAX)).0.is_some());
    assert_eq!(content(&"가".repeat(CONTENT_MAX + 1)).1, ["/content length"]);
    assert_eq!(content(" \n ").1, ["/content length"]);
    assert_eq!(content("a\0b").1, ["/content not_readable"]);
    assert_eq!(content("  들여쓰기\n").0.as_deref(), Some("  들여쓰기\n"));
}

#[test]
fn tags_are_trimmed_and_kept_once_in_their_order() {
    assert_eq!(tags(&[" 회의 ", "focus", "회의"]).0, ["회의", "focus"]);
    assert_eq!(tags(&["ok", "  ", &"나".repeat(51)]).1, ["/tags/1 length", "/tags/2 length"]);
    assert_eq!(tags(&["a"; 50]).1, Vec::<String>::new());
    assert_eq!(tags(&["a"; 51]).1, ["/tags too_many"]);
    assert_eq!(tags(&["a\0"]).1, ["/tags/0 length"]);
}

#[test]
fn metadata_is_a_bounded_object() {
    let refused = |value: serde_json::Value| {
        let mut violations = Violations::new();
        check_metadata(&value, &mut violations);
        violations.into_result().is_err()
    };
    assert!(!refused(json!({})));
    assert!(!refused(json!({"mood": "좋음", "nested": {"list": [1, 2.5, null, true]}})));
    for bad in [json!([]), json!("text"), json!(null), json!({"a\0": 1}), json!({"a": ["b\0"]})] {
        assert!(refused(bad));
    }
    let deep = (0..METADATA_MAX_DEPTH).fold(json!(1), |inner, _| json!({ "a": inner }));
    assert!(!refused(deep.clone()));
    assert!(refused(json!({ "a": deep })));
    assert!(refused(json!({"a": "x".repeat(METADATA_MAX_BYTES)})));
    let wide: serde_json::Map<_, _> = (0..=METADATA_MAX_KEYS).map(|key| (key.to_string(), json!(1))).collect();
    assert!(refused(wide.into()));
}

#[test]
fn only_well_known_types_are_shown_and_the_rest_is_downloaded() {
    let kind = |text: &str| content_type(text).unwrap().kind();
    assert_eq!(kind("image/PNG"), AttachmentKind::Image);
    assert_eq!(kind("audio/webm; codecs=opus"), AttachmentKind::Audio);
    for downloaded in ["image/svg+xml", "text/html", "application/pdf", "image/x-unknown", "video/mp4"] {
        assert_eq!(kind(downloaded), AttachmentKind::File, "{downloaded}");
    }
    assert_eq!(content_type("Audio/WebM; codecs=opus").unwrap().as_str(), "audio/webm;codecs=opus");
    for bad in ["", "png", "image/", "/png", "image/png\r\nx: y", "image/pn g", "이미지/png", "image/png;x=\u{7f}"] {
        assert!(content_type(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn a_file_name_cannot_escape_or_deceive() {
    assert_eq!(filename("../../etc/passwd").as_deref(), Some("passwd"));
    assert_eq!(filename(r"C:\사진\가을 하늘.png").as_deref(), Some("가을 하늘.png"));
    assert_eq!(filename("a\u{202e}gnp.exe\r\n").as_deref(), Some("agnp.exe"));
    assert_eq!(filename(".env").as_deref(), Some("env"));
    for bad in ["", "..", "a/", "\0", &"x".repeat(FILENAME_MAX + 1)] {
        assert!(filename(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn sizes_have_limits_by_kind() {
    let refused = |size, kind| {
        let mut violations = Violations::new();
        check_size(size, kind, &mut violations);
        codes(&violations)
    };
    assert!(refused(IMAGE_MAX_BYTES, AttachmentKind::Image).is_empty());
    assert_eq!(refused(IMAGE_MAX_BYTES + 1, AttachmentKind::Image), ["/size too_large"]);
    assert!(refused(AUDIO_MAX_BYTES, AttachmentKind::Audio).is_empty());
    assert_eq!(refused(AUDIO_MAX_BYTES + 1, AttachmentKind::Audio), ["/size too_large"]);
    assert_eq!(refused(0, AttachmentKind::File), ["/size too_small"]);
    assert_eq!(refused(-1, AttachmentKind::File), ["/size too_small"]);
}

#[test]
fn a_digest_has_sixty_four_hex_digits() {
    let digest = |text: &str| parse_sha256(text, &mut Violations::new());
    assert_eq!(digest(&"Ab".repeat(32)), Some([0xab; 32]));
    for bad in ["", "ab", &"g0".repeat(32), &"ab".repeat(33), &"가".repeat(32), &"a".repeat(63)] {
        assert_eq!(digest(bad), None, "{bad}");
    }
}

#[test]
fn a_key_is_made_of_ids_only() {
    let key = object_key(UserId(Uuid::nil()), Uuid::max());
    assert_eq!(key, "memo/00000000-0000-0000-0000-000000000000/ffffffff-ffff-ffff-ffff-ffffffffffff");
}

#[test]
fn an_upload_must_be_what_was_declared() {
    let declared = Declared { size: 3, content_type: "image/png".to_owned(), sha256: Some(vec![1]) };
    let found = Found { size: 3, content_type: Some("image/PNG".to_owned()), sha256: Some(vec![1]) };
    assert_eq!(verify_upload(&declared, &found), Ok(()));
    assert_eq!(verify_upload(&declared, &Found { content_type: None, ..found.clone() }), Ok(()));
    assert_eq!(verify_upload(&declared, &Found { size: 4, ..found.clone() }), Err(Mismatch::Size));
    let html = Some("text/html".to_owned());
    assert_eq!(verify_upload(&declared, &Found { content_type: html, ..found.clone() }), Err(Mismatch::Type));
    assert_eq!(verify_upload(&declared, &Found { sha256: None, ..found.clone() }), Err(Mismatch::Checksum));
    let without = Declared { sha256: None, ..declared };
    assert_eq!(verify_upload(&without, &found), Ok(()));
}

#[test]
fn a_mismatch_is_read_back_from_its_name() {
    for mismatch in [Mismatch::Size, Mismatch::Type, Mismatch::Checksum] {
        assert_eq!(Mismatch::parse(mismatch.fault().code), Some(mismatch));
    }
    assert_eq!(Mismatch::parse("other"), None);
}

proptest! {
    #[test]
    fn whatever_a_file_is_called_its_name_stays_in_its_place(text in ".*") {
        if let Some(name) = filename(&text) {
            prop_assert!(!name.contains(['/', '\\', '\0', '\n', '\r']) && name != ".." && !name.is_empty());
            prop_assert_eq!(filename(&name), Some(name));
        }
    }

    #[test]
    fn a_content_type_is_one_header_value_and_reads_back_the_same(text in "[ -~]*|.*") {
        if let Some(content_type) = content_type(&text) {
            prop_assert!(content_type.as_str().bytes().all(|b| b.is_ascii_graphic()));
            let again = ContentType::parse(content_type.as_str(), &mut Violations::new());
            prop_assert_eq!(again, Some(content_type));
        }
    }

    #[test]
    fn tags_are_unique_trimmed_and_bounded(texts in proptest::collection::vec(".{0,60}", 0..60)) {
        let tags = parse_tags(&texts, &mut Violations::new());
        prop_assert!(tags.len() <= TAGS_MAX);
        for (place, tag) in tags.iter().enumerate() {
            prop_assert!(tag.trim() == tag && !tag.is_empty() && tag.chars().count() <= TAG_MAX);
            prop_assert!(!tags.iter().take(place).any(|other| other == tag));
        }
    }
}
