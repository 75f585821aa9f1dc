//! The frames that viewers get, written once for all who get the same.

use chassis::{
    problem::{Outcome, Problem},
    socket::{ByteString, ErrorView},
};
use chrono::{DateTime, Utc};
use domain::{ids::SessionId, session::SessionStatus, time::Instant};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    event::Topic,
    store::{Entry, State},
};
use crate::{feedback::CueView, sessions::SessionView, timer::TimerView};

/// What a viewer is told. Every frame has the number of the last event it knows of: whoever comes back names it, and
/// gets what came after.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame<'a> {
    /// First of all, and again for a viewer that has fallen far behind: everything there is to know.
    Snapshot {
        /// The last event that is in it.
        seq: i64,
        /// The session; its owner gets all of it.
        session: SessionFrame<'a>,
        /// The timer, once it was set up.
        timer: Option<TimerView>,
        /// How many are in it.
        participant_count: u32,
    },
    /// On every change of the timer, and each second while it runs.
    Timer {
        /// The event, or the last one before a tick.
        seq: i64,
        /// What it shows.
        timer: Option<TimerView>,
    },
    /// A moment of the talk has come.
    Alert {
        /// The event.
        seq: i64,
        /// Which: see `AlertView`.
        #[schema(value_type = AlertView)]
        alert: &'a Value,
    },
    /// Somebody has joined or left.
    Participants {
        /// The event.
        seq: i64,
        /// How many there are now.
        participant_count: u32,
    },
    /// Advice, to the owner only.
    Feedback {
        /// The event.
        seq: i64,
        /// The cues.
        #[schema(value_type = Vec<CueView>)]
        cues: &'a Value,
    },
    /// The session was changed.
    Session {
        /// The event.
        seq: i64,
        /// What it is now.
        session: SessionFrame<'a>,
    },
    /// The answer to a `ping`.
    Pong {
        /// The last event before.
        seq: i64,
        /// By the clock that timers go by, as well as it is known here.
        server_time: Instant,
    },
    /// What the client sent was refused.
    Error {
        /// The last event before.
        seq: i64,
        /// Why.
        error: ErrorView,
    },
}

/// A session as viewers see it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum SessionFrame<'a> {
    /// To its owner.
    Owner(Box<SessionView>),
    /// To everybody else: nothing of settings, metadata or summary.
    Audience(AudienceView<'a>),
}

/// A session as its audience sees it.
#[derive(Serialize, ToSchema)]
pub struct AudienceView<'a> {
    id: Uuid,
    title: &'a str,
    #[schema(value_type = domain::session::SessionType)]
    r#type: &'a str,
    #[schema(value_type = SessionStatus)]
    status: &'a str,
    is_active: bool,
    started_at: Option<Instant>,
    ended_at: Option<Instant>,
}

/// A moment of a talk that has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertView {
    /// `halfway`, `five_minutes`, `two_minutes`, `thirty_seconds`, `custom` or `ended`.
    pub name: String,
    /// Seconds of the talk that remain then.
    pub remaining_seconds: i64,
    /// When it was due.
    pub due_at: Instant,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The session's owner.
    Owner,
    /// Anybody else who was let in.
    Audience,
}

/// A frame that is written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its number.
    pub seq: i64,
    /// Its text.
    pub text: ByteString,
}

impl<'a> SessionFrame<'a> {
    fn new(state: &'a State, reader: Reader) -> Self {
        let session = &state.session;
        match reader {
            Reader::Owner => {
                Self::Owner(Box::new(SessionView::with_picture(session.clone(), state.qr_code_url.clone())))
            }
            Reader::Audience => Self::Audience(AudienceView {
                id: session.id,
                title: &session.title,
                r#type: &session.kind,
                status: &session.status,
                is_active: session.is_active(),
                started_at: session.started_at.map(Instant),
                ended_at: session.ended_at.map(Instant),
            }),
        }
    }
}

impl State {
    /// Reads the timer at `now`.
    fn timer_view(&self, now: DateTime<Utc>) -> Option<TimerView> {
        let id = SessionId(self.session.id);
        self.timer.as_ref().map(|timer| TimerView::new(id, timer, now))
    }

    fn participant_count(&self) -> u32 {
        self.session.participants()
    }

    /// Writes everything there is to know.
    ///
    /// # Errors
    /// Returns a problem when it cannot be written as JSON, which nothing that is kept leads to.
    pub fn snapshot(&self, seq: i64, now: DateTime<Utc>, reader: Reader) -> Outcome<Written> {
        let session = SessionFrame::new(self, reader);
        let participant_count = self.participant_count();
        write(seq, &Frame::Snapshot { seq, session, timer: self.timer_view(now), participant_count })
    }

    /// Writes what the timer shows.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn tick(&self, seq: i64, now: DateTime<Utc>) -> Outcome<Written> {
        write(seq, &Frame::Timer { seq, timer: self.timer_view(now) })
    }

    /// Writes an event for a reader; nothing when it does not concern them.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn event(&self, entry: &Entry, now: DateTime<Utc>, reader: Reader) -> Outcome<Option<Written>> {
        let (seq, nothing) = (entry.seq, Value::Null);
        let body = entry.body.as_ref().unwrap_or(&nothing);
        let frame = match entry.topic {
            Topic::Timer => return self.tick(seq, now).map(Some),
            Topic::Alert => Frame::Alert { seq, alert: body },
            Topic::Participants => Frame::Participants { seq, participant_count: self.participant_count() },
            Topic::Feedback if reader == Reader::Audience => return Ok(None),
            Topic::Feedback => Frame::Feedback { seq, cues: body },
            Topic::Session => Frame::Session { seq, session: SessionFrame::new(self, reader) },
        };
        write(seq, &frame).map(Some)
    }
}

/// Leaves out states that a later one of the same topic says anew.
pub fn newest(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().enumerate().filter_map(|(at, entry)| {
        let is_outdated = entry.topic.is_state() && entries.iter().skip(at + 1).any(|later| later.topic == entry.topic);
        (!is_outdated).then_some(entry)
    })
}

/// Writes a frame.
///
/// # Errors
/// Returns a problem when it cannot be written as JSON.
pub fn write(seq: i64, frame: &Frame<'_>) -> Outcome<Written> {
    let text = serde_json::to_string(frame).map_err(Problem::unexpected)?;
    Ok(Written { seq, text: text.into() })
}
