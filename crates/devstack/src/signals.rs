//! Ctrl-C and its relatives.
//!
//! The first signal asks for an orderly stop, the second one for an immediate end. SIGHUP counts too: a terminal
//! window that is closed must not leave databases running.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{fault::Fault, tasks};

/// What the signals received so far ask for.
#[derive(Clone)]
pub(crate) struct Interrupts {
    /// Cancelled by the first signal.
    pub(crate) stop: CancellationToken,
    /// Cancelled by the second one.
    pub(crate) kill: CancellationToken,
}

impl Interrupts {
    /// Begins to listen. From here on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Fault> {
        let hook = |kind| signal(kind).map_err(|error| Fault::io("listen for signals", &error));
        let mut interrupt = hook(SignalKind::interrupt())?;
        let mut terminate = hook(SignalKind::terminate())?;
        let mut hangup = hook(SignalKind::hangup())?;
        let heard = Self { stop: CancellationToken::new(), kill: CancellationToken::new() };
        let tokens = [heard.stop.clone(), heard.kill.clone()];
        tasks::spawn(async move {
            for token in tokens {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(heard)
    }
}
