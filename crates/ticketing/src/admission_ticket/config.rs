//! The secret of tickets' codes.

use chassis::{config::Faults, mac::Mac};
use clap::Args;
use secrecy::SecretString;

use super::code::Codes;

/// The secret of tickets' codes, and of places in line.
#[derive(Args, Clone, Debug)]
pub struct TicketConfig {
    /// Secret of tickets' codes, at least 32 bytes, for this service only.
    #[arg(long, env = "TICKET_SECRET")]
    pub ticket_secret: SecretString,
    /// The secret before this one: what it signed still counts, nothing new is signed with it.
    #[arg(long, env = "TICKET_SECRET_PREVIOUS")]
    pub ticket_secret_previous: Option<SecretString>,
}

impl TicketConfig {
    /// Checks the strength of both.
    pub fn validate(&self, faults: &mut Faults) {
        faults.check_secret("TICKET_SECRET", &self.ticket_secret);
        if let Some(previous) = &self.ticket_secret_previous {
            faults.check_secret("TICKET_SECRET_PREVIOUS", previous);
        }
    }

    /// Prepares to write and read codes.
    pub fn codes(&self) -> Codes {
        Codes::new(self.ticket_secret.clone(), self.ticket_secret_previous.clone())
    }

    /// Derives the key of queue tickets.
    pub fn queue_mac(&self) -> Mac {
        Mac::new(&self.ticket_secret, self.ticket_secret_previous.as_ref(), "queue ticket")
    }
}
