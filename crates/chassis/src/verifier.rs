//! Whose an access token is that a client shows where the gateway does not look: in the first frame of a socket, in the
//! first packet of Socket.IO.
//!
//! The auth service judges it, since no other has the secret to do that with. The answer holds until the token ends:
//! whether its login has ended before is heard separately, as at the gateway, through [`revocation`](crate::revocation).

use std::{
    collections::hash_map::RandomState,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::contract::{TokenVerification, VerifiedToken};
use sha2::{Digest, Sha256};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    client::{CallError, Peer},
    clock::Clock,
    recent::Recent,
};

/// Longest token, bytes; ours have about 450.
const TOKEN_MAX: usize = 4 * 1024;
/// Tokens remembered: as many as there are connections to a replica.
const REMEMBERED: usize = 20_000;
/// Refused ones remembered, so that a client that tries again and again costs no call each time.
const REFUSED_REMEMBERED: usize = 2_000;
/// How long a refusal is remembered: a token may be from the near future of another machine's clock.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// Calls at once: when a replica has died, thousands come at the same moment.
const CALLS: usize = 64;

type Key = [u8; 32];

/// Asks the auth service, and remembers what it said.
pub struct TokenVerifier {
    auth: Arc<Peer>,
    clock: Clock,
    /// Longest to wait for a turn and an answer.
    patience: Duration,
    calls: Semaphore,
    known: Mutex<Recent<Key, VerifiedToken, RandomState>>,
    refused: Mutex<Recent<Key, Instant, RandomState>>,
}

/// Why it cannot be said whose a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It is worth nothing.
    Refused,
    /// The auth service is away.
    Unavailable,
}

impl TokenVerifier {
    /// Asks `auth`, and waits for its answer no longer than `patience`.
    pub fn new(auth: Arc<Peer>, clock: Clock, patience: Duration) -> Self {
        Self {
            auth,
            clock,
            patience,
            calls: Semaphore::new(CALLS),
            known: Mutex::new(Recent::new(REMEMBERED)),
            refused: Mutex::new(Recent::new(REFUSED_REMEMBERED)),
        }
    }

    /// Returns who a token speaks for, and until when.
    ///
    /// # Errors
    /// Says why that cannot be said.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, Unverified> {
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Err(Unverified::Refused);
        }
        let key: Key = Sha256::digest(token.as_bytes()).into();
        if let Some(verified) = lock(&self.known).get(&key) {
            return if verified.expires_at.0 > self.clock.now() { Ok(verified) } else { Err(Unverified::Refused) };
        }
        if lock(&self.refused).get(&key).is_some_and(|at| at.elapsed() < REFUSED_FOR) {
            return Err(Unverified::Refused);
        }
        let answer = timeout(self.patience, self.ask(token)).await.map_err(|_elapsed| Unverified::Unavailable)?;
        match &answer {
            Ok(verified) => lock(&self.known).put(key, *verified),
            Err(Unverified::Refused) => lock(&self.refused).put(key, Instant::now()),
            Err(Unverified::Unavailable) => {}
        }
        answer
    }

    async fn ask(&self, token: &str) -> Result<VerifiedToken, Unverified> {
        let _turn = self.calls.acquire().await.map_err(|_closed| Unverified::Unavailable)?;
        let body = TokenVerification { token: token.to_owned() };
        match self.auth.post(None, &["internal", "tokens", "verify"], &body).await {
            Ok(verified) => Ok(verified),
            Err(CallError::Refused(view)) if view.status == 401 => Err(Unverified::Refused),
            Err(CallError::Refused(view)) => {
                tracing::error!(status = view.status, code = view.code, "the auth service does not judge a token");
                Err(Unverified::Unavailable)
            }
            Err(CallError::Failed(problem)) => {
                tracing::warn!(code = problem.code(), "the auth service does not tell whose a token is");
                Err(Unverified::Unavailable)
            }
        }
    }
}

fn lock<T>(memory: &Mutex<T>) -> MutexGuard<'_, T> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
