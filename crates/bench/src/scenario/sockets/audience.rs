//! Clients in the room of one server, and what has reached them.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::try_join_all;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    auth,
    client::Heard,
    server::{Server, TOLD_AS},
};
use crate::{scenario::tunnel::source_address, trouble::Trouble};

/// Clients that come in at the same time.
const AT_ONCE: u32 = 100;
/// Longest that one may take to come in.
const ENTRY: Duration = Duration::from_secs(20);
/// How often it is looked whether all has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long nothing may arrive before what is missing counts as lost.
const SILENCE: Duration = Duration::from_secs(5);

/// The clients; they leave when it is dropped.
pub(super) struct Audience {
    listening: JoinSet<()>,
    heard: Arc<Heard>,
    /// What they must have heard by now, counted once for each of them.
    told: u64,
    /// The next notice.
    next: u64,
}

impl Audience {
    /// Has nobody in it yet.
    pub(super) fn new() -> Self {
        Self { listening: JoinSet::new(), heard: Arc::default(), told: 0, next: 0 }
    }

    /// Lets clients of these numbers in, each another person.
    pub(super) async fn admit(&mut self, server: &Server, numbers: Range<u32>) -> Result<(), Trouble> {
        let mut begin = numbers.start;
        while begin < numbers.end {
            let end = numbers.end.min(begin + AT_ONCE);
            let door = server.door()?;
            let entering = (begin..end).map(|number| {
                let door = &door;
                async move { door.enter(source_address(number), &auth::token(number), ENTRY).await }
            });
            let clients = try_join_all(entering).await;
            for client in clients.map_err(|failure| Trouble::Broken(format!("a client does not come in: {failure}")))? {
                self.listening.spawn(client.listen(Arc::clone(&self.heard)));
            }
            begin = end;
        }
        Ok(())
    }

    /// Has all of them told of so many seats.
    pub(super) async fn tell(&mut self, server: &mut Server, notices: u64) -> Result<(), Trouble> {
        let begin = self.next;
        self.next += notices;
        self.told += notices * TOLD_AS * self.clients();
        server.tell(begin..self.next).await
    }

    /// Waits until no more than `most` of what was told is still on its way; returns how much is if nothing more comes.
    pub(super) async fn settle(&self, most: u64) -> u64 {
        let (mut missing, mut since) = (u64::MAX, Instant::now());
        loop {
            let now = self.told.saturating_sub(self.heard());
            if now <= most {
                return 0;
            }
            if now != missing {
                (missing, since) = (now, Instant::now());
            } else if since.elapsed() > SILENCE {
                return missing;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Forgets what has not come.
    pub(super) fn forgive(&mut self) {
        self.told = self.heard();
    }

    /// Returns how much all of them have heard.
    pub(super) fn heard(&self) -> u64 {
        self.heard.seats.load(Ordering::Relaxed)
    }

    /// Returns how many there are.
    pub(super) fn clients(&self) -> u64 {
        self.listening.len() as u64
    }

    /// Returns how many connections have ended.
    pub(super) fn ended(&self) -> u64 {
        self.heard.ended.load(Ordering::Relaxed)
    }
}
