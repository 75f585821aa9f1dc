//! The service that this one asks, and what about.

use std::time::Duration;

use chassis::{
    client::Peer,
    clock::Clock,
    problem::{Outcome, Problem},
};
use domain::principal::Service;

use crate::config::MemoConfig;

/// Longest to wait for whether a focus session is somebody's: they have just written something and want it kept.
const FOCUS_PATIENCE: Duration = Duration::from_secs(1);
/// Longest to wait for the focus sessions of a day: it is shown without them rather than later.
pub const AGENDA_PATIENCE: Duration = Duration::from_millis(600);

/// The session service, asked for two things that do not wait for each other: a breaker each.
pub struct Peers {
    /// Says whose a focus session is.
    pub focus: Peer,
    /// Tells the focus sessions of a day.
    pub agenda: Peer,
}

impl Peers {
    /// Describes them; connects to nothing yet.
    ///
    /// # Errors
    /// Returns a problem when the signing key cannot be read.
    pub fn new(config: &MemoConfig, clock: &Clock) -> Outcome<Self> {
        let signer = config.signing.signer(Service::Memo).map_err(Problem::unexpected)?;
        let peer = || {
            let urls = config.services.session_urls.0.clone();
            Peer::new(Service::Session, urls, Some(signer.clone()), clock.clone()).map_err(Problem::unexpected)
        };
        Ok(Self { focus: peer()?.patience(FOCUS_PATIENCE), agenda: peer()?.patience(AGENDA_PATIENCE) })
    }
}
