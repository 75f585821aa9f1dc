//! The services that this one asks.

use std::time::Duration;

use chassis::{
    client::Peer,
    clock::Clock,
    problem::{Outcome, Problem},
};
use domain::principal::Service;

use crate::{config::SessionConfig, participants::names};

/// Longest that the ticketing service may take to say whether somebody has a ticket: they stand at the door.
const TICKETING_PATIENCE: Duration = Duration::from_secs(1);

/// The services that this one asks.
pub struct Peers {
    /// Gives tickets to streams.
    pub auth: Peer,
    /// Tells presenters' names; asked in passing, so it has a breaker of its own and little time.
    pub cards: Peer,
    /// Says who has a ticket to an event.
    pub ticketing: Peer,
}

impl Peers {
    /// Describes them; connects to nothing yet.
    ///
    /// # Errors
    /// Returns a problem when the signing key cannot be read.
    pub fn new(config: &SessionConfig, clock: &Clock) -> Outcome<Self> {
        let signer = config.signing.signer(Service::Session).map_err(Problem::unexpected)?;
        let peer = |service, urls: &chassis::peers::Urls| {
            let peer = Peer::new(service, urls.0.clone(), Some(signer.clone()), clock.clone());
            peer.map_err(Problem::unexpected)
        };
        Ok(Self {
            auth: peer(Service::Auth, &config.services.auth_urls)?,
            cards: peer(Service::Auth, &config.services.auth_urls)?.patience(names::PATIENCE),
            ticketing: peer(Service::Ticketing, &config.services.ticketing_urls)?.patience(TICKETING_PATIENCE),
        })
    }
}
