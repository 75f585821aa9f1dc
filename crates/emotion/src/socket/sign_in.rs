//! Who an access token speaks for that a client shows in its first frame, where the gateway does not look.
//!
//! The auth service judges it, since this service has no secret to do that with. Of a socket that the gateway opened for a
//! token of its own, the gateway knows when its login ends; of one that signed in here, this does.

use std::{sync::Arc, time::Duration};

use chassis::{
    client::{CallError, Peer},
    clock::Clock,
    revocation::{Feed, Revocations, Watch},
    service::Foundation,
    socket::{CloseCode, Farewell},
};
use domain::{
    contract::{TokenVerification, VerifiedToken},
    principal::Principal,
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Longest token, bytes; ours have about 450.
const TOKEN_MAX: usize = 4 * 1024;
/// Calls at once: when a replica has died, thousands come at the same moment.
const CALLS: usize = 32;
/// Longest to wait for a turn and an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says who tokens speak for; clones share it.
#[derive(Clone)]
pub struct SignIn(Arc<Inner>);

struct Inner {
    auth: Arc<Peer>,
    clock: Clock,
    calls: Semaphore,
    revocations: Revocations,
}

/// Why it cannot be said who a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It is worth nothing.
    Refused,
    /// The auth service is away.
    Unavailable,
}

impl SignIn {
    /// Asks `auth`.
    pub fn new(auth: Arc<Peer>, ground: &Foundation) -> Self {
        let revocations = Revocations::new(ground.clock.clone(), ground.lifecycle.stopping());
        Self(Arc::new(Inner { auth, clock: ground.clock.clone(), calls: Semaphore::new(CALLS), revocations }))
    }

    /// Starts to learn which logins have ended.
    pub fn learn(&self, auth: Peer, ground: &Foundation) {
        _ = Feed::start(self.0.revocations.clone(), auth, ground.redis.clone(), &ground.lifecycle);
    }

    /// Returns who a token speaks for, and for how long.
    pub(super) async fn verify(&self, token: &str) -> Result<(Principal, Login), Unknown> {
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Err(Unknown::Refused);
        }
        let asked = timeout(PATIENCE, self.ask(token)).await;
        let VerifiedToken { principal, expires_at } = asked.map_err(|_elapsed| Unknown::Unavailable)??;
        let left = (expires_at.0 - self.0.clock.now()).to_std().map_err(|_over| Unknown::Refused)?;
        let watch = self.0.revocations.watch(Some(principal.login_id));
        if self.0.revocations.contains(principal.login_id) {
            return Err(Unknown::Refused);
        }
        Ok((principal, Login(Some(Here { watch, left, revocations: self.0.revocations.clone(), person: principal }))))
    }

    async fn ask(&self, token: &str) -> Result<VerifiedToken, Unknown> {
        let _turn = self.0.calls.acquire().await.map_err(|_closed| Unknown::Unavailable)?;
        let body = TokenVerification { token: token.to_owned() };
        match self.0.auth.post(None, &["internal", "tokens", "verify"], &body).await {
            Ok(verified) => Ok(verified),
            Err(CallError::Refused(view)) if view.status == 401 => Err(Unknown::Refused),
            Err(CallError::Refused(view)) => {
                tracing::error!(status = view.status, code = view.code, "the auth service does not judge a token");
                Err(Unknown::Unavailable)
            }
            Err(CallError::Failed(problem)) => {
                tracing::warn!(code = problem.code(), "the auth service does not tell whose a token is");
                Err(Unknown::Unavailable)
            }
        }
    }
}

/// The login that a socket stands and falls with.
pub(super) struct Login(Option<Here>);

/// One that was shown here.
struct Here {
    watch: Watch,
    left: Duration,
    revocations: Revocations,
    person: Principal,
}

impl Login {
    /// One that the gateway watches over.
    pub(super) const fn at_the_gateway() -> Self {
        Self(None)
    }

    /// Waits until it has ended, for ever when somebody else watches over it.
    pub(super) async fn ended(&self) -> Farewell {
        let Some(here) = &self.0 else { return std::future::pending().await };
        let ended = here.watch.ended();
        tokio::select! {
            () = ended.cancelled() => {}
            () = sleep(here.left) => {
                return Farewell::because(CloseCode::Other(4401), "the access token has expired");
            }
        }
        if here.revocations.contains(here.person.login_id) {
            Farewell::because(CloseCode::Other(4401), "the login has ended")
        } else {
            Farewell::restarting()
        }
    }
}
