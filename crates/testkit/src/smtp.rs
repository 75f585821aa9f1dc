//! A mail server which keeps what it is sent.
//!
//! It speaks SMTP (RFC 5321) on a free port of loopback, without encryption, and delivers nothing: each message stays
//! in memory as it came, and a test waits for the one it expects and reads it as a mail program shows it. It can be
//! told to refuse messages and to fall silent.

mod conversation;
mod mail;
#[cfg(test)]
mod tests;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use mail::Mail;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::LOOK_EVERY;

/// Longest to wait for a mail.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the server and its handle share.
struct State {
    silent: watch::Sender<bool>,
    post: Mutex<Post>,
}

/// What arrived, and what is to happen to what arrives next.
#[derive(Default)]
struct Post {
    kept: Vec<Kept>,
    offered: usize,
    refusals: usize,
    refusal: u16,
}

struct Kept {
    mail: Mail,
    handed_out: bool,
}

impl State {
    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message, or returns the status it is refused with.
    fn take(&self, mail: Mail) -> Result<(), u16> {
        let mut post = self.post();
        post.offered += 1;
        if post.refusals > 0 {
            post.refusals -= 1;
            return Err(post.refusal);
        }
        post.kept.push(Kept { mail, handed_out: false });
        Ok(())
    }
}

/// A running mail server; it stops, and its connections close, when this is dropped.
pub struct MailServer {
    addr: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

impl MailServer {
    /// Starts a server on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port of loopback");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let addr = listener.local_addr().expect("the address that was just bound");
        let listener = TcpListener::from_std(listener).expect("a runtime");
        let state = Arc::new(State { silent: watch::Sender::new(false), post: Mutex::default() });
        #[expect(clippy::disallowed_methods, reason = "ends with the server, or the test's runtime")]
        let task = tokio::spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Self { addr, state, task }
    }

    /// Returns where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns its address as a URL.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.addr)
    }

    /// Returns every message kept so far, the oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.state.post().kept.iter().map(|kept| kept.mail.clone()).collect()
    }

    /// Waits for the oldest message to an address that was not handed out before; case does not matter.
    ///
    /// # Panics
    /// When none comes within five seconds.
    pub async fn wait_for(&self, to: &str) -> Mail {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(mail) = self.hand_out(to) {
                return mail;
            }
            assert!(Instant::now() < until, "no mail to {to} within {PATIENCE:?}; {} came", self.mails().len());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn hand_out(&self, to: &str) -> Option<Mail> {
        let mut post = self.state.post();
        let kept = post.kept.iter_mut().find(|kept| !kept.handed_out && kept.mail.is_to(to))?;
        kept.handed_out = true;
        Some(kept.mail.clone())
    }

    /// Returns how many messages were offered, those refused included.
    pub fn offered(&self) -> usize {
        self.state.post().offered
    }

    /// Refuses the next `count` messages with `status` once they were sent: 451 is for a while, 550 for good.
    pub fn refuse_next(&self, count: usize, status: u16) {
        let mut post = self.state.post();
        (post.refusals, post.refusal) = (count, status);
    }

    /// Says nothing more on any connection, not even a greeting on new ones, until [`speak`](Self::speak).
    pub fn hang(&self) {
        self.state.silent.send_replace(true);
    }

    /// Answers again, first what is still to be answered.
    pub fn speak(&self) {
        self.state.silent.send_replace(false);
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections until it is aborted, which ends them all.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(conversation::hold(stream, Arc::clone(&state)));
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}
