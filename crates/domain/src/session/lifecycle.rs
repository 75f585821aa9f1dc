//! How a session goes on: `created`, then `active` and `paused` in turn, then `ended`.
//!
//! It begins once: its first activation sets `started_at`, and no later one moves it. While it stands still or is over,
//! `ended_at` says since when. Its duration is the time in which it was active, so a break counts for nothing. What has
//! ended stays as it is; to ask again for the state that is there changes nothing.

use chrono::{DateTime, TimeDelta, Utc};

use super::SessionStatus;
use crate::fault::{Fault, Kind};

/// What has ended does not go on.
pub const ENDED: Fault =
    Fault::new(Kind::Conflict, "session_ended", "이미 종료된 세션입니다.", "The session has ended.");
/// A session is new once.
pub const ALREADY_BEGUN: Fault = Fault::new(
    Kind::Conflict,
    "session_begun",
    "시작한 세션은 처음 상태로 되돌릴 수 없습니다.",
    "A session that was begun cannot be made new again.",
);
/// Only an active session lets people in.
pub const NOT_ACTIVE: Fault = Fault::new(
    Kind::Conflict,
    "session_not_active",
    "지금은 참여할 수 없는 세션입니다.",
    "The session is not active now.",
);

/// Where a session stands, and the times that go with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub status: SessionStatus,
    /// When it was first active.
    pub started_at: Option<DateTime<Utc>>,
    /// Since when it stands still or is over; nothing while it is active.
    pub ended_at: Option<DateTime<Utc>>,
    /// Since when it is active; nothing unless it is.
    pub active_since: Option<DateTime<Utc>>,
    /// Milliseconds of the active spans before.
    pub active_ms: i64,
}

impl Standing {
    /// Returns how it stands when somebody brings it to `status` at `now`; the same when it is there already.
    ///
    /// A session that was never active may be paused, and may end: whoever is done with it need not begin it first.
    ///
    /// # Errors
    /// [`ENDED`] when it is over and `status` is another, [`ALREADY_BEGUN`] when it is to be `created` again.
    pub fn go(self, status: SessionStatus, now: DateTime<Utc>) -> Result<Self, Fault> {
        if status == self.status {
            return Ok(self);
        }
        match (self.status, status) {
            (SessionStatus::Ended, _) => Err(ENDED),
            (_, SessionStatus::Created) => Err(ALREADY_BEGUN),
            (_, SessionStatus::Active) => Ok(Self {
                status,
                started_at: self.started_at.or(Some(now)),
                ended_at: None,
                active_since: Some(now),
                active_ms: self.active_ms,
            }),
            (_, SessionStatus::Paused | SessionStatus::Ended) => Ok(Self {
                status,
                started_at: self.started_at,
                ended_at: Some(now),
                active_since: None,
                active_ms: self.active_ms.saturating_add(self.span(now).num_milliseconds()),
            }),
        }
    }

    /// Returns the whole seconds it was active; nothing before it began and while it goes on.
    pub fn duration_seconds(&self) -> Option<i64> {
        self.started_at.and(self.ended_at).map(|_stands| self.active_ms / 1_000)
    }

    /// Returns how long it has been active since it was activated last; none when a clock was set back in between.
    fn span(&self, now: DateTime<Utc>) -> TimeDelta {
        self.active_since.map_or(TimeDelta::zero(), |since| (now - since).max(TimeDelta::zero()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use SessionStatus::{Active, Created, Ended, Paused};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn walk(steps: &[(SessionStatus, i64)]) -> Result<Standing, Fault> {
        steps.iter().try_fold(Standing::default(), |standing, (status, seconds)| standing.go(*status, at(*seconds)))
    }

    #[test]
    fn it_begins_once_and_a_break_counts_for_nothing() {
        let paused = walk(&[(Active, 0), (Paused, 60)]).unwrap();
        assert_eq!((paused.ended_at, paused.duration_seconds()), (Some(at(60)), Some(60)));
        let again = walk(&[(Active, 0), (Paused, 60), (Active, 1_000)]).unwrap();
        assert_eq!((again.started_at, again.ended_at, again.duration_seconds()), (Some(at(0)), None, None));
        let over = again.go(Ended, at(1_030)).unwrap();
        assert_eq!((over.started_at, over.ended_at, over.duration_seconds()), (Some(at(0)), Some(at(1_030)), Some(90)));
    }

    #[test]
    fn the_same_again_changes_nothing() {
        for steps in [vec![], vec![(Active, 0)], vec![(Active, 0), (Paused, 9)], vec![(Active, 0), (Ended, 9)]] {
            let standing = walk(&steps).unwrap();
            assert_eq!(standing.go(standing.status, at(500)), Ok(standing));
        }
    }

    #[test]
    fn what_has_ended_stays_and_nothing_becomes_new() {
        for status in [Created, Active, Paused] {
            assert_eq!(walk(&[(Ended, 0), (status, 1)]), Err(ENDED));
        }
        assert_eq!(walk(&[(Active, 0), (Created, 1)]), Err(ALREADY_BEGUN));
        assert_eq!(walk(&[(Active, 0), (Paused, 1), (Created, 2)]), Err(ALREADY_BEGUN));
    }

    #[test]
    fn what_never_began_may_be_put_off_and_may_end() {
        let put_off = walk(&[(Paused, 5)]).unwrap();
        assert_eq!((put_off.started_at, put_off.ended_at, put_off.duration_seconds()), (None, Some(at(5)), None));
        assert_eq!(walk(&[(Ended, 5)]).unwrap().duration_seconds(), None);
        assert_eq!(walk(&[(Paused, 5), (Active, 8)]).unwrap().started_at, Some(at(8)));
    }

    fn any_status() -> impl Strategy<Value = SessionStatus> {
        prop::sample::select(vec![Created, Active, Paused, Ended])
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_times_agree_with_the_status(
            steps in prop::collection::vec((any_status(), 0_i64..100), 0..40),
        ) {
            let (mut standing, mut now, mut active_seconds) = (Standing::default(), 0, 0);
            for (status, pause) in steps {
                now += pause;
                if standing.status == Active {
                    active_seconds += pause;
                }
                let before = standing;
                match standing.go(status, at(now)) {
                    Ok(next) => standing = next,
                    Err(refused) => {
                        prop_assert!(before.status == Ended || status == Created);
                        prop_assert_eq!(refused.kind.status(), 409);
                    }
                }
                prop_assert!(before.started_at.is_none() || standing.started_at == before.started_at);
                prop_assert!(before.status != Ended || standing == before);
                prop_assert_eq!(standing.active_since.is_some(), standing.status == Active);
                prop_assert_eq!(standing.ended_at.is_some(), matches!(standing.status, Paused | Ended));
                prop_assert!(standing.status != Active || standing.started_at.is_some());
                prop_assert!(standing.started_at.is_none_or(|start| standing.ended_at.is_none_or(|end| start <= end)));
                if let Some(duration) = standing.duration_seconds() {
                    prop_assert_eq!(duration, active_seconds);
                }
            }
        }
    }
}
