//! The waiting room of an event: who may come in when, what a place in line is worth, and what people are told about it.
//!
//! Strict order by a number that is given when somebody joins; a number is never given twice, and a larger one never
//! before a smaller one. What is told is honest: a wait is an interval that follows from how fast people were let in,
//! it says why it grew, and who is unlikely to get anything is told so while there is time to leave.

pub mod chance;
pub mod estimate;
pub mod settings;
pub mod ticket;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::{Fault, Kind, Violations};

/// How many numbers lie between two people who join one after the other, so that who steps back fits in between.
pub const SPACING: i64 = 1_024;
/// Most places that somebody may step back at once.
pub const MAX_DEFER: u32 = 10_000;

/// Admission is needed, and the buyer has not been let in.
pub const NOT_ADMITTED: Fault = Fault::new(
    Kind::Forbidden,
    "not_admitted",
    "아직 입장 순서가 아닙니다. 대기열에서 순서를 기다려 주세요.",
    "It is not your turn yet. Please wait in the waiting room.",
);
/// Somebody who does not wait wants to step back.
pub const NOT_WAITING: Fault =
    Fault::new(Kind::Conflict, "not_waiting", "대기 중이 아닙니다.", "You are not waiting in line.");
/// More people wait than a waiting room can hold.
pub const ROOM_FULL: Fault = Fault::new(
    Kind::Unavailable,
    "waiting_room_full",
    "대기열이 가득 찼습니다. 잠시 뒤에 다시 시도해 주세요.",
    "The waiting room is full. Please try again shortly.",
);

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Waits in line.
    Queued,
    /// Has been let in.
    Active,
    /// Neither.
    NotInQueue,
}

/// Reads how many places somebody wants to step back.
///
/// # Errors
/// Refuses less than one and more than [`MAX_DEFER`].
pub fn parse_places(places: i64) -> Result<u32, Violations> {
    let mut violations = Violations::new();
    violations.require(
        (1..=i64::from(MAX_DEFER)).contains(&places),
        "/places",
        "range",
        "뒤로 갈 자리 수는 1부터 10,000까지입니다.",
        "Step back by at least 1 place and at most 10,000.",
    );
    violations.into_result()?;
    Ok(u32::try_from(places).unwrap_or(MAX_DEFER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_ten_thousand_places_can_be_stepped_back() {
        for (places, holds) in [(i64::MIN, false), (0, false), (1, true), (10_000, true), (10_001, false)] {
            assert_eq!(parse_places(places).is_ok(), holds, "{places}");
        }
    }
}
