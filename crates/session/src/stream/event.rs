//! What viewers are told.

use chassis::problem::{Outcome, Problem};
use domain::ids::ParticipantId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The timer was changed.
    Timer,
    /// A moment of the talk has come.
    Alert,
    /// Somebody has joined or left.
    Participants,
    /// Advice for the owner, whom alone it concerns.
    Feedback,
    /// The session was changed.
    Session,
}

impl Topic {
    const ALL: [Self; 5] = [Self::Timer, Self::Alert, Self::Participants, Self::Feedback, Self::Session];

    /// Returns its name as it stands in frames and in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Alert => "alert",
            Self::Participants => "participants",
            Self::Feedback => "feedback",
            Self::Session => "session",
        }
    }

    /// Reads a topic's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Returns whether an event only says that there is a new state: of several, the newest says it all.
    pub const fn is_state(self) -> bool {
        matches!(self, Self::Timer | Self::Participants | Self::Session)
    }
}

/// Who has left, as the log keeps it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Left {
    /// Who.
    pub left: ParticipantId,
}

/// Something viewers are to be told.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it is about.
    pub topic: Topic,
    /// What is told; a state is read when it is shown, and has nothing here.
    pub body: Option<Value>,
    /// Told once only under this key.
    pub once_key: Option<String>,
}

impl Event {
    /// The timer, the session or the number of participants is another now.
    pub const fn changed(topic: Topic) -> Self {
        Self { topic, body: None, once_key: None }
    }

    /// Somebody has left; who, only the room needs to know, to end their own streams.
    ///
    /// # Errors
    /// Returns a problem when it cannot be written as JSON.
    pub fn left(who: ParticipantId) -> Outcome<Self> {
        let body = serde_json::to_value(Left { left: who }).map_err(Problem::unexpected)?;
        Ok(Self { topic: Topic::Participants, body: Some(body), once_key: None })
    }

    /// There is advice for the owner.
    ///
    /// # Errors
    /// Returns a problem when it cannot be written as JSON.
    pub fn feedback(cues: &impl Serialize) -> Outcome<Self> {
        let body = serde_json::to_value(cues).map_err(Problem::unexpected)?;
        Ok(Self { topic: Topic::Feedback, body: Some(body), once_key: None })
    }
}
