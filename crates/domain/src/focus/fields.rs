//! What a person writes about a focus session, read field by field.

use chrono::DateTime;

use crate::fault::Violations;

/// Most characters of a subject.
pub const SUBJECT_MAX: usize = 200;
/// Most characters of a goal.
pub const GOAL_MAX: usize = 2_000;
/// Most characters of a reflection.
pub const REFLECTION_MAX: usize = 5_000;
/// Longest session.
pub const DURATION_MAX_MINUTES: i64 = 180;
/// Longest break after it.
pub const BREAK_MAX_MINUTES: i64 = 60;
/// The break of a session that names none, as the technique has it.
pub const BREAK_DEFAULT_MINUTES: i32 = 5;

/// Reads what a session is about, without the spaces around it; recording violations at `/subject`.
pub fn parse_subject(text: Option<&str>, violations: &mut Violations) -> Option<String> {
    let subject = text.unwrap_or_default().trim();
    let length = subject.chars().count();
    violations.require(length > 0, "/subject", "required", "주제를 입력해 주세요.", "A subject is needed.");
    violations.require(
        length <= SUBJECT_MAX,
        "/subject",
        "too_long",
        "주제는 200자 이하여야 합니다.",
        "A subject has at most 200 characters.",
    );
    let keepable = check_keepable(subject, "/subject", violations);
    ((1..=SUBJECT_MAX).contains(&length) && keepable).then(|| subject.to_owned())
}

/// Reads a goal; one of spaces is none. Records violations at `/goal`.
pub fn parse_goal(text: &str, violations: &mut Violations) -> Option<String> {
    violations.require(
        text.chars().count() <= GOAL_MAX,
        "/goal",
        "too_long",
        "목표는 2,000자 이하여야 합니다.",
        "A goal has at most 2,000 characters.",
    );
    check_keepable(text, "/goal", violations);
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Reads a reflection; one of spaces is none. Records violations at `/reflection`.
pub fn parse_reflection(text: &str, violations: &mut Violations) -> Option<String> {
    violations.require(
        text.chars().count() <= REFLECTION_MAX,
        "/reflection",
        "too_long",
        "회고는 5,000자 이하여야 합니다.",
        "A reflection has at most 5,000 characters.",
    );
    check_keepable(text, "/reflection", violations);
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Reads a length in minutes, recording a violation at `/duration`.
pub fn parse_duration(minutes: Option<i64>, violations: &mut Violations) -> Option<i32> {
    let Some(minutes) = minutes else {
        violations.add("/duration", "required", "집중 시간(분)을 입력해 주세요.", "A duration in minutes is needed.");
        return None;
    };
    let sound = (1..=DURATION_MAX_MINUTES).contains(&minutes);
    violations.require(
        sound,
        "/duration",
        "out_of_range",
        "집중 시간은 1-180분이어야 합니다.",
        "A duration is 1-180 minutes.",
    );
    i32::try_from(minutes).ok().filter(|_| sound)
}

/// Reads the length of a break in minutes, recording a violation at `/break_duration`.
pub fn parse_break(minutes: i64, violations: &mut Violations) -> Option<i32> {
    let sound = (0..=BREAK_MAX_MINUTES).contains(&minutes);
    violations.require(
        sound,
        "/break_duration",
        "out_of_range",
        "휴식 시간은 0-60분이어야 합니다.",
        "A break is 0-60 minutes.",
    );
    i32::try_from(minutes).ok().filter(|_| sound)
}

/// Checks that what a client says about its own clock is an instant at least, recording a violation at `pointer`. What
/// it says is believed by nobody: the clock that counts is the server's.
pub fn check_instant(text: Option<&str>, pointer: &str, violations: &mut Violations) {
    violations.require(
        text.is_none_or(|text| DateTime::parse_from_rfc3339(text).is_ok()),
        pointer,
        "not_an_instant",
        "RFC 3339 형식의 시각이어야 합니다. 예: 2026-11-21T09:30:00.000Z",
        "Must be an RFC 3339 instant, such as 2026-11-21T09:30:00.000Z.",
    );
}

/// PostgreSQL cannot keep NUL.
fn check_keepable(text: &str, pointer: &str, violations: &mut Violations) -> bool {
    let keepable = !text.contains('\0');
    violations.require(
        keepable,
        pointer,
        "not_readable",
        "쓸 수 없는 문자가 있습니다.",
        "There are characters that cannot be kept.",
    );
    keepable
}
