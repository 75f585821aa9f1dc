//! Who a request comes from, once it has been proved.

use serde::{Deserialize, Serialize};

use crate::ids::{LoginId, UserId};

/// What an account may do beyond its own things.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person with their own things.
    #[default]
    User,
    /// May run events of their own.
    Organizer,
    /// May run everybody's events and see every queue.
    Admin,
}

impl Role {
    /// Returns the role's name as it stands in tokens and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Organizer => "organizer",
            Self::Admin => "admin",
        }
    }

    /// Reads a role's name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "user" => Some(Self::User),
            "organizer" => Some(Self::Organizer),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// A signed-in person: the subject of an internal token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Principal {
    /// The account.
    pub user_id: UserId,
    /// The login this request was made with.
    pub login_id: LoginId,
    /// The account's role when the access token was issued.
    pub role: Role,
}

/// The five services behind the gateway, and the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The gate: routes, verifies, tunnels.
    Gateway,
    /// Accounts and logins.
    Auth,
    /// Sessions and timers.
    Session,
    /// Events, seats, reservations, waiting rooms.
    Ticketing,
    /// Emotion chat.
    Emotion,
    /// Memos and their files.
    Memo,
}

impl Service {
    /// The services that stand behind the gateway, in the order people meet them.
    pub const BEHIND_GATEWAY: [Self; 5] = [Self::Auth, Self::Session, Self::Ticketing, Self::Emotion, Self::Memo];

    /// Returns the service's name: binary `maru-<name>`, database `maru_<name>`, token audience `<name>`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Auth => "auth",
            Self::Session => "session",
            Self::Ticketing => "ticketing",
            Self::Emotion => "emotion",
            Self::Memo => "memo",
        }
    }

    /// Reads a service's name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Gateway].into_iter().chain(Self::BEHIND_GATEWAY).find(|s| s.name() == name)
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
