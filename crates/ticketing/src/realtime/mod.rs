//! What people see happen while they look: rooms of events, seats and waiting rooms over Socket.IO.
//!
//! Whoever is connected, at whichever replica, is told what becomes known about what they look at, and is counted once. A
//! replica tells its own sockets; from the others it hears by the stream of [notices](crate::notice), at a cost that grows
//! with the replicas and not with the people. Nothing here decides anything: what is told has a version, may be missed,
//! and is read afresh.

mod admit;
mod connection;
mod counts;
mod crowd;
mod deliver;
mod document;
mod drain;
mod frame;
mod hub;
mod known;
mod latest;
mod listen;
pub mod message;
pub mod mount;
mod pipe;
mod place;
mod presence;
mod refusal;
mod relay;
mod resume;
mod visitor;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use actix_web::web::{self, Data, ServiceConfig};
use chassis::{
    client::Peer,
    config::{Faults, parse_duration},
    peers::{Urls, parse_urls},
    problem::{Outcome, Problem},
    revocation::{Feed, Revocations},
    token::SigningConfig,
    verifier::TokenVerifier,
};
use clap::Args;
use domain::{ids::UserId, principal::Service};
use serde_json::Value;
use socketioxide::{
    ParserConfig, SocketIo,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use self::{
    connection::Connections,
    counts::Counts,
    crowd::Crowd,
    hub::{Hub, Parts},
    known::KnownEvents,
    latest::Latest,
    mount::{Elsewhere, Mount, PAYLOAD_MAX},
    relay::Relay,
};
use crate::{app::App, notice::Notice};

/// Largest message on a WebSocket, bytes: the longest that means anything has 2,100.
const MESSAGE_MAX: usize = 32 * 1024;
/// Packets that may wait for one socket. With 128, the library's own idea, sound clients lost some at a thousand a second;
/// memory is only taken for what waits.
const PACKETS_MAX: usize = 1_024;
/// What each WebSocket reads at once; the library's 4 KiB are kept for as long as it is open.
const READ_BUFFER: usize = 1_024;
/// How long a connection may take to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(15);
/// Longest to wait for the auth service to say whose a token is.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often sockets are looked through for tokens that have ended.
const EXPIRY_EVERY: Duration = Duration::from_secs(30);

/// The keys of what is told in real time.
#[derive(Args, Clone, Debug)]
pub struct RealtimeConfig {
    /// The key of its calls to other services.
    #[command(flatten)]
    pub signing: SigningConfig,
    /// Addresses of the auth service, which judges the tokens that sockets show: `http://host:port`, comma-separated.
    #[arg(long, env = "AUTH_URLS", default_value = "http://auth:3001", value_parser = parse_urls)]
    pub auth_urls: Urls,
    /// How often a socket is pinged.
    #[arg(long, env = "SOCKET_PING_INTERVAL", default_value = "25s", value_parser = parse_duration)]
    pub socket_ping_interval: Duration,
    /// How long a ping may go unanswered.
    #[arg(long, env = "SOCKET_PING_TIMEOUT", default_value = "20s", value_parser = parse_duration)]
    pub socket_ping_timeout: Duration,
}

impl RealtimeConfig {
    /// Checks what types cannot.
    pub fn validate(&self, faults: &mut Faults) {
        self.signing.validate(Service::Ticketing, faults);
        for (key, time) in
            [("SOCKET_PING_INTERVAL", self.socket_ping_interval), ("SOCKET_PING_TIMEOUT", self.socket_ping_timeout)]
        {
            if time.is_zero() || time > Duration::from_secs(50) {
                // A poll is held until the next ping, and the gateway holds it for a minute.
                faults.add(key, "must be between 1s and 50s");
            }
        }
    }
}

/// Starts to listen for notices, and returns what requests are answered with.
///
/// # Errors
/// Returns a problem when the signing key cannot be read.
pub fn start(app: &App) -> Outcome<Data<Mount>> {
    let config = &app.config.realtime;
    let parser = ParserConfig::common().max_incoming_binaries(0);
    let (service, io) = SocketIo::builder()
        .ping_interval(config.socket_ping_interval)
        .ping_timeout(config.socket_ping_timeout)
        .connect_timeout(INTRODUCTION)
        .max_payload(u64::try_from(PAYLOAD_MAX).unwrap_or(u64::MAX))
        .max_buffer_size(PACKETS_MAX)
        .ws_read_buffer_size(READ_BUFFER)
        .ws_max_message_size(MESSAGE_MAX)
        .ws_max_frame_size(MESSAGE_MAX)
        .with_parser(parser)
        .build_with_inner_svc(Elsewhere);
    let hub = hub(app, io)?;
    let judging = hub.clone();
    let judge = move |socket: SocketRef, TryData(shown): TryData<Value>| {
        admit::admit(judging, socket, shown.map_err(|_unreadable| ()))
    };
    let welcoming = hub.clone();
    let welcome = move |socket: SocketRef| admit::welcome(welcoming, socket);
    hub.io.ns("/", welcome.with(judge));
    run(&hub, app.notices.hear());
    Ok(Data::new(Mount::new(hub, service)))
}

fn hub(app: &App, io: SocketIo) -> Outcome<Hub> {
    let (ground, config) = (&app.ground, &app.config.realtime);
    let signer = config.signing.signer(Service::Ticketing).map_err(Problem::unexpected)?;
    let auth = || {
        let urls = config.auth_urls.0.clone();
        Peer::new(Service::Auth, urls, Some(signer.clone()), ground.clock.clone()).map_err(Problem::unexpected)
    };
    let revocations = Revocations::new(ground.clock.clone());
    let feed = Feed::start(revocations.clone(), auth()?, ground.redis.clone(), &ground.lifecycle);
    let replica = app.ground.clock.uuid().simple().to_string();
    Ok(Hub::new(Parts {
        io,
        connections: Connections::default(),
        crowd: Crowd::default(),
        counts: Counts::new(ground.redis.clone(), replica.clone()),
        latest: Latest::default(),
        relay: Relay::new(app.notices.clone()),
        tokens: TokenVerifier::new(Arc::new(auth()?), ground.clock.clone(), PATIENCE),
        events: KnownEvents::new(ground.pg.clone()),
        revocations,
        feed,
        waiting: app.queue.clone(),
        redis: ground.redis.clone(),
        clock: ground.clock.clone(),
        lifecycle: ground.lifecycle.clone(),
        locale: ground.config.common.locale,
        replica,
        closing: AtomicBool::new(false),
    }))
}

/// Starts the loops.
fn run(hub: &Hub, alone: Option<mpsc::Receiver<Notice>>) {
    let alone = Arc::new(Mutex::new(alone));
    spawn(hub, "sockets-alone", move |hub, stop| hear_alone(hub, Arc::clone(&alone), stop));
    let from = Arc::default();
    spawn(hub, "sockets-listen", move |hub, stop| listen::run(hub, Arc::clone(&from), stop));
    spawn(hub, "sockets-count", count);
    spawn(hub, "sockets-latest", Latest::run);
    spawn(hub, "sockets-relay", Relay::run);
    spawn(hub, "sockets-resume", resume::run);
    spawn(hub, "sockets-logins", end_with_logins);
    spawn(hub, "sockets-expiry", expire);
    spawn(hub, "sockets-presence", presence::run);
    hub.lifecycle.spawn("sockets-drain", drain::run(hub.clone()));
}

fn spawn<F: Future<Output = ()> + Send + 'static>(
    hub: &Hub,
    name: &'static str,
    run: impl Fn(Hub, CancellationToken) -> F + Send + Sync + 'static,
) {
    let shared = hub.clone();
    hub.lifecycle.spawn_loop(name, move |stop| run(shared.clone(), stop));
}

/// Tells what this replica could tell nobody but itself.
async fn hear_alone(hub: Hub, alone: Arc<Mutex<Option<mpsc::Receiver<Notice>>>>, stop: CancellationToken) {
    let mut alone = alone.lock().await;
    loop {
        let next = async {
            match alone.as_mut() {
                Some(alone) => alone.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            notice = next => match notice {
                Some(notice) => hub.deliver(notice, hub.clock.now().into()),
                None => return stop.cancelled().await,
            },
        }
    }
}

async fn count(hub: Hub, stop: CancellationToken) {
    while tokio::time::timeout(counts::TICK, stop.cancelled()).await.is_err() {
        hub.counts.tick(&hub).await;
    }
}

/// Closes the sockets of logins that have ended.
async fn end_with_logins(hub: Hub, stop: CancellationToken) {
    let mut news = hub.revocations.changes();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = news.changed() => if changed.is_err() { return },
        }
        for sid in hub.crowd.of_logins(|login_id| hub.revocations.contains(login_id)) {
            hub.dismiss(sid);
        }
    }
}

/// Closes the sockets whose tokens have ended: their clients come back with a newer one.
async fn expire(hub: Hub, stop: CancellationToken) {
    while tokio::time::timeout(EXPIRY_EVERY, stop.cancelled()).await.is_err() {
        for sid in hub.crowd.expired(hub.clock.now()) {
            hub.hang_up(sid);
        }
    }
}

/// Forgets where somebody was last connected.
///
/// # Errors
/// 503 while Redis is away.
pub async fn forget(app: &App, user_id: UserId) -> Outcome<()> {
    resume::forget(&app.ground.redis, user_id).await
}

/// Mounts the routes of Socket.IO.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(["/socket.io", "/socket.io/"]).get(mount::open).post(mount::say));
}
