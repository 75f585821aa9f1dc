//! Who an access token speaks for that a client shows in its first frame, where the gateway does not look.
//!
//! Of a socket that the gateway opened for a token of its own, the gateway knows when its login ends; of one that signed in
//! here, this does.

use std::{sync::Arc, time::Duration};

use chassis::{
    client::Peer,
    clock::Clock,
    revocation::{Feed, Revocations, Watch},
    service::Foundation,
    socket::{CloseCode, Farewell},
    verifier::{TokenVerifier, Unverified},
};
use domain::{contract::VerifiedToken, principal::Principal};
use tokio::time::sleep;

/// Longest to wait for the auth service: a socket that has not signed in by then is closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says who tokens speak for; clones share it.
#[derive(Clone)]
pub struct SignIn(Arc<Inner>);

struct Inner {
    tokens: TokenVerifier,
    clock: Clock,
    revocations: Revocations,
}

impl SignIn {
    /// Asks `auth`.
    pub fn new(auth: Arc<Peer>, ground: &Foundation) -> Self {
        let revocations = Revocations::new(ground.clock.clone());
        let tokens = TokenVerifier::new(auth, ground.clock.clone(), PATIENCE);
        Self(Arc::new(Inner { tokens, clock: ground.clock.clone(), revocations }))
    }

    /// Starts to learn which logins have ended.
    pub fn learn(&self, auth: Peer, ground: &Foundation) {
        _ = Feed::start(self.0.revocations.clone(), auth, ground.redis.clone(), &ground.lifecycle);
    }

    /// Returns who a token speaks for, and for how long.
    pub(super) async fn verify(&self, token: &str) -> Result<(Principal, Login), Unverified> {
        let VerifiedToken { principal, expires_at } = self.0.tokens.verify(token).await?;
        let left = (expires_at.0 - self.0.clock.now()).to_std().map_err(|_over| Unverified::Refused)?;
        let watch = self.0.revocations.watch(Some(principal.login_id));
        if self.0.revocations.contains(principal.login_id) {
            return Err(Unverified::Refused);
        }
        Ok((principal, Login(Some(Here { watch, left }))))
    }
}

/// The login that a socket stands and falls with.
pub(super) struct Login(Option<Here>);

/// One that was shown here.
struct Here {
    watch: Watch,
    left: Duration,
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
        let reason = tokio::select! {
            () = ended.cancelled() => "the login has ended",
            () = sleep(here.left) => "the access token has expired",
        };
        Farewell::because(CloseCode::Other(4401), reason)
    }
}
