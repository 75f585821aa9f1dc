//! The services that this one asks.

use std::{sync::Arc, time::Duration};

use chassis::{
    client::Peer,
    clock::Clock,
    problem::{Outcome, Problem},
};
use domain::principal::Service;

use crate::config::EmotionConfig;

/// Longest that the memo service may take to write a card.
const MEMO_PATIENCE: Duration = Duration::from_secs(3);

/// Longest that the auth service may take to judge a token.
const AUTH_PATIENCE: Duration = Duration::from_secs(3);

/// The services that this one asks; clones share their connections.
#[derive(Clone)]
pub struct Peers {
    /// Keeps summary cards.
    pub memo: Arc<Peer>,
    /// Judges access tokens.
    pub auth: Arc<Peer>,
}

impl Peers {
    /// Describes them; connects to nothing yet.
    ///
    /// # Errors
    /// Returns a problem when the signing key cannot be read.
    pub fn new(config: &EmotionConfig, clock: &Clock) -> Outcome<Self> {
        let signer = config.signing.signer(Service::Emotion).map_err(Problem::unexpected)?;
        let urls = config.services.memo_urls.0.clone();
        let memo = Peer::new(Service::Memo, urls, Some(signer), clock.clone()).map_err(Problem::unexpected)?;
        let auth = Self::auth(config, clock)?.patience(AUTH_PATIENCE);
        Ok(Self { memo: Arc::new(memo.patience(MEMO_PATIENCE)), auth: Arc::new(auth) })
    }

    /// Describes the auth service.
    ///
    /// # Errors
    /// Returns a problem when the signing key cannot be read.
    pub fn auth(config: &EmotionConfig, clock: &Clock) -> Outcome<Peer> {
        let signer = config.signing.signer(Service::Emotion).map_err(Problem::unexpected)?;
        let urls = config.services.auth_urls.0.clone();
        Peer::new(Service::Auth, urls, Some(signer), clock.clone()).map_err(Problem::unexpected)
    }
}
