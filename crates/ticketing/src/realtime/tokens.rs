//! Whose token it is, asked of the auth service.
//!
//! A client shows its access token in the first packet of Socket.IO, where the gateway does not look, and this service
//! has no secret to judge it by. The answer holds until the token ends: whether its login has ended is heard separately,
//! as at the gateway.

use std::{
    collections::hash_map::RandomState,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chassis::{
    client::{CallError, Peer},
    clock::Clock,
    recent::Recent,
};
use domain::contract::{TokenVerification, VerifiedToken};
use sha2::{Digest, Sha256};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// Longest token, bytes; ours have about 450.
const TOKEN_MAX: usize = 4 * 1024;
/// Tokens remembered: as many as there are connections.
const REMEMBERED: usize = 20_000;
/// Refused ones remembered, so that a client that tries again and again costs no call each time.
const REFUSED_REMEMBERED: usize = 2_000;
/// How long a refusal is remembered: a token may be from the near future of another machine's clock.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// Calls at once: when a replica has died, thousands come at the same moment.
const CALLS: usize = 64;
/// Longest to wait for a turn and an answer.
const PATIENCE: Duration = Duration::from_secs(8);

type Key = [u8; 32];

/// Asks, and remembers.
pub(super) struct Tokens {
    auth: Peer,
    clock: Clock,
    calls: Semaphore,
    known: Mutex<Recent<Key, VerifiedToken, RandomState>>,
    refused: Mutex<Recent<Key, Instant, RandomState>>,
}

/// Why a connection is refused: what its client gets as the message of `connect_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It did not say who it is.
    Unknown,
    /// What it showed is worth nothing.
    Invalid,
    /// It is somebody who has enough connections.
    Crowded,
    /// It cannot be told now.
    Unavailable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Authentication required",
            Self::Invalid => "Invalid authentication token",
            Self::Crowded => "Too many connections",
            // Clients take everything with that word in it for the end of their login.
            Self::Unavailable => "Service temporarily unavailable",
        })
    }
}

impl Refusal {
    /// Returns the name under which it is counted.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
            Self::Crowded => "crowded",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Tokens {
    /// Asks `auth`.
    pub(super) fn new(auth: Peer, clock: Clock) -> Self {
        Self {
            auth,
            clock,
            calls: Semaphore::new(CALLS),
            known: Mutex::new(Recent::new(REMEMBERED)),
            refused: Mutex::new(Recent::new(REFUSED_REMEMBERED)),
        }
    }

    /// Returns who a token speaks for, and until when.
    ///
    /// # Errors
    /// Says why it speaks for nobody.
    pub(super) async fn verify(&self, token: &str) -> Result<VerifiedToken, Refusal> {
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Err(Refusal::Invalid);
        }
        let key: Key = Sha256::digest(token.as_bytes()).into();
        if let Some(verified) = lock(&self.known).get(&key) {
            return if verified.expires_at.0 > self.clock.now() { Ok(verified) } else { Err(Refusal::Invalid) };
        }
        if lock(&self.refused).get(&key).is_some_and(|at| at.elapsed() < REFUSED_FOR) {
            return Err(Refusal::Invalid);
        }
        let answer = timeout(PATIENCE, self.ask(token)).await.map_err(|_elapsed| Refusal::Unavailable)?;
        match &answer {
            Ok(verified) => lock(&self.known).put(key, *verified),
            Err(Refusal::Invalid) => lock(&self.refused).put(key, Instant::now()),
            Err(_) => {}
        }
        answer
    }

    async fn ask(&self, token: &str) -> Result<VerifiedToken, Refusal> {
        let _turn = self.calls.acquire().await.map_err(|_closed| Refusal::Unavailable)?;
        let body = TokenVerification { token: token.to_owned() };
        match self.auth.post(None, &["internal", "tokens", "verify"], &body).await {
            Ok(verified) => Ok(verified),
            Err(CallError::Refused(view)) if view.status == 401 => Err(Refusal::Invalid),
            Err(CallError::Refused(view)) => {
                tracing::error!(status = view.status, code = view.code, "the auth service does not judge a token");
                Err(Refusal::Unavailable)
            }
            Err(CallError::Failed(problem)) => {
                tracing::warn!(code = problem.code(), "the auth service does not tell whose a token is");
                Err(Refusal::Unavailable)
            }
        }
    }
}

fn lock<T>(memory: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
