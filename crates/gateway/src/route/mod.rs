//! Which requests go where: a table of data, and nothing that is not in it is let through.
//!
//! A [`Route`] says for a path pattern and some methods which service answers, who may come in, how large the body may
//! be and how long the answer may take. Paths outside the table (`/internal/...`, probes and metrics of services among
//! them) do not exist for anybody outside.

mod auth;
mod emotion;
mod memo;
mod own;
mod router;
mod session;
mod ticketing;

use std::time::Duration;

use domain::principal::Service;
pub use own::Page;
pub use router::{Entry, Router};

use crate::limit::Class;

/// Largest body of an ordinary route: the limit that services have for JSON.
pub const USUAL_BODY: u64 = 64 * 1024;
/// Longest wait for what a language model writes, or for a held poll (Socket.IO's pings come every 25 s).
pub const LONG: Duration = Duration::from_mins(1);
/// Longest wait for a large upload and its answer; slow senders are cut off long before by the pace of their bytes.
pub const UPLOAD: Duration = Duration::from_mins(15);

/// A set of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods(u8);

impl Methods {
    /// `GET`, and `HEAD` with it.
    pub const GET: Self = Self(1);
    /// `POST`.
    pub const POST: Self = Self(1 << 1);
    /// `PUT`.
    pub const PUT: Self = Self(1 << 2);
    /// `PATCH`.
    pub const PATCH: Self = Self(1 << 3);
    /// `DELETE`.
    pub const DELETE: Self = Self(1 << 4);

    /// Adds methods.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether all of `other` are in this set.
    pub const fn include(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Reads a method's name; others than these are answered nowhere.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "GET" | "HEAD" => Some(Self::GET),
            "POST" => Some(Self::POST),
            "PUT" => Some(Self::PUT),
            "PATCH" => Some(Self::PATCH),
            "DELETE" => Some(Self::DELETE),
            _ => None,
        }
    }
}

/// Who may come in. The service decides about the object; this decides about the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody; credentials are not looked at.
    Public,
    /// A signed-in person or nobody; bad credentials are refused.
    Optional,
    /// As [`Access::Optional`], but a bearer token that is not ours is the service's own (a guest's) and passed to it.
    Guest,
    /// A signed-in person.
    Person,
}

/// What sort of exchange a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One request, one answer that ends.
    Plain,
    /// An answer that goes on until one side leaves (server-sent events).
    Stream,
    /// A WebSocket, or plain requests of a protocol that can become one.
    Socket,
    /// A page of the gateway's own.
    Page(Page),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The methods.
    pub methods: Methods,
    /// The path: exact segments, `{name}` for any one segment, a last `*` for any rest.
    pub pattern: &'static str,
    /// Who answers.
    pub service: Service,
    /// Who may come in.
    pub access: Access,
    /// Most bytes of the request's body.
    pub body_limit: u64,
    /// Longest wait for the head of the answer; `None` is the configured usual one.
    pub patience: Option<Duration>,
    /// What it is limited for beside the usual.
    pub limit: Class,
    /// What sort of exchange it is.
    pub kind: Kind,
    /// Whether all requests of one client go to one replica, because they build on each other.
    pub sticky: bool,
    /// Whether a login cookie that says nothing (stale, unknown) counts as none, where others are refused for it.
    pub forgets_stale_cookies: bool,
}

impl Route {
    const fn new(methods: Methods, pattern: &'static str, service: Service, access: Access) -> Self {
        Self {
            methods,
            pattern,
            service,
            access,
            body_limit: USUAL_BODY,
            patience: None,
            limit: Class::Usual,
            kind: Kind::Plain,
            sticky: false,
            forgets_stale_cookies: false,
        }
    }

    const fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    const fn body(mut self, limit: u64) -> Self {
        self.body_limit = limit;
        self
    }

    const fn limit(mut self, limit: Class) -> Self {
        self.limit = limit;
        self
    }

    const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    const fn forgetting_stale_cookies(mut self) -> Self {
        self.forgets_stale_cookies = true;
        self
    }

    const fn sticky(mut self) -> Self {
        self.sticky = true;
        self
    }
}

/// The whole table, in no particular order: the most specific pattern wins.
pub fn table() -> impl Iterator<Item = &'static Route> {
    [own::ROUTES, auth::ROUTES, session::ROUTES, ticketing::ROUTES, emotion::ROUTES, memo::ROUTES].into_iter().flatten()
}
