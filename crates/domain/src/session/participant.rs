//! Who comes in by a session's code.

use crate::fault::{Fault, Kind, Violations};

/// Most people in one session at a time. A large hall; their list and their streams stay within what one replica can do.
pub const PARTICIPANTS_MAX: i32 = 10_000;
/// Most characters of a display name.
pub const DISPLAY_NAME_MAX: usize = 50;

/// Nobody of that id is in the session.
pub const PARTICIPANT_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "participant_not_found", "참가자를 찾을 수 없습니다.", "Participant not found.");
/// As many are in as can be.
pub const FULL: Fault =
    Fault::new(Kind::Conflict, "session_full", "세션의 정원이 모두 찼습니다.", "The session is full.");
/// The session is for those who have a ticket to its event.
pub const TICKET_REQUIRED: Fault = Fault::new(
    Kind::Forbidden,
    "ticket_required",
    "이 세션은 예매가 확정된 사람만 참여할 수 있습니다.",
    "Only people with a confirmed ticket may join this session.",
);
/// Used, expired or made up.
pub const INVALID_TICKET: Fault =
    Fault::new(Kind::Unauthenticated, "invalid_ticket", "유효하지 않은 티켓입니다.", "The ticket is not valid.");

/// Reads a display name, recording a violation at `/display_name`.
pub fn parse_display_name(text: &str, violations: &mut Violations) -> Option<String> {
    let name = text.trim();
    let sound = (1..=DISPLAY_NAME_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    violations.require(
        sound,
        "/display_name",
        "length",
        "이름은 1-50자의 글이어야 합니다.",
        "A display name is a text of 1-50 characters.",
    );
    sound.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_trimmed_and_has_up_to_fifty_characters() {
        let parse = |text: &str| parse_display_name(text, &mut Violations::new());
        assert_eq!(parse("  이주최 "), Some("이주최".to_owned()));
        assert_eq!(parse(&"가".repeat(50)).unwrap().chars().count(), 50);
        for bad in ["", "  ", "두\n줄", "\0", &"가".repeat(51)] {
            let mut violations = Violations::new();
            assert_eq!(parse_display_name(bad, &mut violations), None, "{bad:?}");
            assert_eq!(violations.as_slice().first().unwrap().pointer, "/display_name");
        }
    }
}
