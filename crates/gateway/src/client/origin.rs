//! The idle connections to one address.
//!
//! They belong to one worker: nothing here is locked. The one used last is used next, so that those a quiet time needs no
//! more grow old and are closed.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::{Rc, Weak},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::wire::Wire;

/// Longest to wait for a connection on the cluster's own network.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How often idle connections are looked after.
const SWEEP: Duration = Duration::from_secs(10);
/// How many such looks an idle connection outlives: up to 30 s, well below the services' own 75 s, so that they never
/// close one in use.
const SWEEPS: u32 = 3;
/// Most idle connections to one address, for each worker.
const MAX_IDLE: usize = 256;

/// One address.
#[derive(Debug)]
pub(super) struct Origin {
    authority: Box<str>,
    host: Box<str>,
    port: u16,
    idle: RefCell<Vec<Idle>>,
    sweeps: Cell<u32>,
    is_swept: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    wire: Wire,
    /// The count of sweeps when it became idle.
    since: u32,
}

impl Origin {
    pub(super) fn new(authority: &http::uri::Authority) -> Rc<Self> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Rc::new(Self {
            authority: authority.as_str().into(),
            host: host.into(),
            port: authority.port_u16().unwrap_or(80),
            idle: RefCell::default(),
            sweeps: Cell::new(0),
            is_swept: Cell::new(false),
        })
    }

    pub(super) fn is(&self, authority: &str) -> bool {
        *self.authority == *authority
    }

    /// Takes an idle connection.
    pub(super) fn take(&self) -> Option<Wire> {
        loop {
            let wire = self.idle.borrow_mut().pop()?.wire;
            if wire.is_open() {
                return Some(wire);
            }
        }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// Returns an error when the address refuses, is unknown or does not answer in time.
    pub(super) async fn connect(&self) -> io::Result<Wire> {
        let connecting = TcpStream::connect((&*self.host, self.port));
        let stream = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_elapsed| io::ErrorKind::TimedOut)??;
        stream.set_nodelay(true)?;
        Ok(Wire::new(stream))
    }

    /// Keeps a connection that can be used again.
    pub(super) fn put(self: &Rc<Self>, mut wire: Wire) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= MAX_IDLE {
            return;
        }
        wire.rest();
        idle.push(Idle { wire, since: self.sweeps.get() });
        if !self.is_swept.replace(true) {
            actix_web::rt::spawn(sweep(Rc::downgrade(self)));
        }
    }

    /// Closes what is closed on the other side or has been idle for too long; returns whether anything is left.
    fn sweep(&self) -> bool {
        let now = self.sweeps.get().wrapping_add(1);
        self.sweeps.set(now);
        let mut idle = self.idle.borrow_mut();
        idle.retain(|idle| now.wrapping_sub(idle.since) < SWEEPS && idle.wire.is_open());
        idle.shrink_to_fit();
        !idle.is_empty()
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }
}

/// Looks after the idle connections for as long as there are any.
async fn sweep(origin: Weak<Origin>) {
    loop {
        sleep(SWEEP).await;
        let Some(origin) = origin.upgrade() else { return };
        if !origin.sweep() {
            origin.is_swept.set(false);
            return;
        }
    }
}
