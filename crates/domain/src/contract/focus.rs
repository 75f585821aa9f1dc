//! Focus sessions as everybody sees them: their owner's clients, and the services that ask on the owner's behalf.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    focus::{Focus, Status},
    ids::{FocusId, UserId},
    time::Instant,
};

/// A focus session at one instant: what people see of their own.
// Also the answer of `GET /internal/focus/{id}`, which says that it belongs to the person the caller asks for, and
// answers 404 `session_not_found` of anybody else's. No public document names that path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FocusSession {
    /// The session.
    pub id: FocusId,
    /// Its owner.
    pub user_id: UserId,
    /// What it is about, 1-200 characters.
    pub subject: String,
    /// What is to be reached.
    pub goal: Option<String>,
    /// Minutes of focus, 1-180.
    pub duration: i32,
    /// Minutes of the break after it, 0-60.
    pub break_duration: i32,
    /// At most 50, in the owner's order.
    pub tags: Vec<String>,
    /// The beginning, shifted by the pauses: while it runs, this and the duration make `ends_at`; while it is paused,
    /// `updated_at` minus this is what is consumed.
    pub started_at: Option<Instant>,
    /// When it was made.
    pub created_at: Instant,
    /// When it was changed last.
    pub updated_at: Instant,
    /// Where it stands.
    pub status: Status,
    /// What the owner thinks of it.
    pub reflection: Option<String>,
    /// Whole seconds that are left; none once it has ended.
    pub remaining_seconds: i64,
    /// When it will be, or was, completed; nothing while it stands still or is cancelled.
    pub ends_at: Option<Instant>,
}

impl FocusSession {
    /// Lets it show its time at `now`.
    #[must_use]
    pub fn at(self, focus: &Focus, now: DateTime<Utc>) -> Self {
        let updated_at = match focus.due_at() {
            // Completed by time: that was its last change, whoever notices.
            Some(due_at) if focus.is_due(now) => Instant(due_at.max(self.updated_at.0)),
            _ => self.updated_at,
        };
        let reading = focus.view(now, updated_at.0);
        Self {
            updated_at,
            status: reading.status,
            started_at: reading.started_at,
            remaining_seconds: reading.remaining_seconds,
            ends_at: reading.ends_at,
            ..self
        }
    }
}

/// The query of `GET /internal/focus/by-day`: a local day of the person the caller asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FocusByDay {
    /// `YYYY-MM-DD`.
    pub date: Option<String>,
    /// IANA time zone.
    pub tz: Option<String>,
}

/// The answer of `GET /internal/focus/by-day`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FocusOfDay {
    /// Those that were made on that day, newest first.
    pub sessions: Vec<FocusSession>,
    /// Whether there are more than an answer holds.
    pub is_truncated: bool,
}

/// The Redis channel (and outbox topic) of [`FocusCompleted`].
pub const FOCUS_COMPLETED: &str = "focus-completed";

/// A focus session was completed. Delivered at least once; a receiver that must act once remembers the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FocusCompleted {
    /// The session.
    pub session_id: FocusId,
    /// Its owner.
    pub user_id: UserId,
    /// When: its due time, or when the person said so.
    pub completed_at: Instant,
    /// Which of its owner's sessions it is, in the order they were made; for whoever keeps the current one.
    pub ordinal: i64,
    /// Its version from then on.
    pub version: i64,
}
