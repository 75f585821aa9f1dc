//! The two servers, told the same: a replica of Maru's ticketing service by the stream of notices, the peer over HTTP.

use std::{net::Ipv4Addr, ops::Range, path::PathBuf};

use serde_json::json;

use super::{auth, client::Door, stream::Stream};
use crate::{
    peer::{Package, Peer},
    platform::Platform,
    probe::Probe,
    process::{Processes, built, clean_command, free_port},
    report::target_directory,
    token::{self, InternalKey},
    trouble::Trouble,
};

/// The original.
const SOCKET_IO: Package = Package {
    name: "socket-io",
    manifest: include_str!("../../../peers/socket-io/package.json"),
    main: include_str!("../../../peers/socket-io/server.mjs"),
};
/// What joins the room that is told about seats.
const JOIN: &str = "join-seat-selection";
/// Names under which a client is told that a seat is taken.
pub(super) const TOLD_AS: u64 = 2;
/// Different seats of the hall.
const SEATS: u64 = 2_000;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Maru,
    Peer,
}

impl Kind {
    pub(super) const BOTH: [Self; 2] = [Self::Maru, Self::Peer];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Maru => "maru-ticketing",
            Self::Peer => "npm socket.io",
        }
    }
}

/// Where servers are started.
pub(super) struct Ground<'a> {
    pub(super) platform: &'a Platform,
    pub(super) processes: &'a Processes,
    /// The program of the ticketing service.
    pub(super) program: Option<PathBuf>,
    /// Where the scripted auth service listens.
    pub(super) auth_port: u16,
    /// An event that exists.
    pub(super) event_id: String,
}

/// A running server.
pub(super) struct Server {
    pub(super) pid: u32,
    port: u16,
    event_id: String,
    teller: Teller,
}

/// How a server is told.
enum Teller {
    Maru { key: InternalKey, stream: Stream },
    Peer { http: reqwest::Client, url: String },
}

impl Ground<'_> {
    /// Starts a server, and waits until it is ready.
    pub(super) async fn start(&self, kind: Kind) -> Result<Server, Trouble> {
        match kind {
            Kind::Maru => self.start_maru().await,
            Kind::Peer => self.start_peer().await,
        }
    }

    /// Starts one more replica of the running platform's service, which its gateway does not know.
    async fn start_maru(&self) -> Result<Server, Trouble> {
        let program = self.program.clone().unwrap_or_else(|| target_directory().join("release/maru-ticketing"));
        built(&program, "ticketing")?;
        let (key, port) = (InternalKey::generate()?, free_port()?);
        let mut command = clean_command(program);
        command.arg("serve").envs([
            ("MARU_ENV", "development".to_owned()),
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("DATABASE_URL", database_url(self.platform)?),
            ("REDIS_URL", self.platform.redis_url.clone()),
            ("INTERNAL_PUBLIC_KEYS", key.public_keys().to_owned()),
            ("INTERNAL_SIGNING_KEY", token::signing_key()?),
            ("TICKET_SECRET", token::JWT_SECRET.to_owned()),
            ("AUTH_URLS", format!("http://127.0.0.1:{}", self.auth_port)),
            // The peer writes no access lines either.
            ("LOG_LEVEL", "warn".to_owned()),
            ("DRAIN_DELAY_MS", "0".to_owned()),
            // As long as in production: over what time everybody is sent away is measured.
            ("SHUTDOWN_TIMEOUT_SECONDS", "25".to_owned()),
        ]);
        let pid = self.processes.start("ticketing", &mut command)?;
        let url = format!("http://127.0.0.1:{port}/readyz");
        Probe::new()?.ready(self.processes, ("ticketing", pid), &url).await?;
        let stream = Stream::open(&self.platform.redis_url).await?;
        Ok(Server { pid, port, event_id: self.event_id.clone(), teller: Teller::Maru { key, stream } })
    }

    async fn start_peer(&self) -> Result<Server, Trouble> {
        let Peer { pid, port } = Peer::start(SOCKET_IO, &[], self.processes).await?;
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.map_err(|fault| Trouble::Broken(format!("no HTTP client: {fault}")))?;
        let url = format!("http://127.0.0.1:{port}/notices");
        Ok(Server { pid, port, event_id: self.event_id.clone(), teller: Teller::Peer { http, url } })
    }
}

impl Server {
    /// Returns the way in for the next few clients: what it shows is good for a minute.
    pub(super) fn door(&self) -> Result<Door, Trouble> {
        let bearer = match &self.teller {
            Teller::Maru { key, .. } => Some(key.token("ticketing")?),
            Teller::Peer { .. } => None,
        };
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        Ok(Door { address, bearer, join: JOIN, event_id: self.event_id.clone() })
    }

    /// Has everybody in the room told that seats were taken, one notice for each number.
    pub(super) async fn tell(&mut self, numbers: Range<u64>) -> Result<(), Trouble> {
        let notices = numbers.map(|number| {
            let seat_id = auth::id(number % SEATS);
            let seat = json!({ "seat_id": seat_id, "status": "locked", "version": number });
            json!({ "kind": "seats", "event_id": self.event_id, "seats": [seat] })
        });
        match &mut self.teller {
            Teller::Maru { stream, .. } => {
                let texts: Vec<String> = notices.map(|notice| notice.to_string()).collect();
                stream.append(&texts).await
            }
            Teller::Peer { http, url } => {
                let notices: Vec<_> = notices.collect();
                let sent = http.post(url.as_str()).json(&notices).send().await;
                let answered = sent.and_then(reqwest::Response::error_for_status);
                answered.map(drop).map_err(|fault| Trouble::Broken(format!("the peer: {fault}")))
            }
        }
    }
}

/// Returns which release the peer is.
pub(super) fn peer_version() -> String {
    let manifest: serde_json::Value = serde_json::from_str(SOCKET_IO.manifest).unwrap_or_default();
    let version = manifest.pointer("/dependencies/socket.io").and_then(serde_json::Value::as_str);
    version.unwrap_or_default().to_owned()
}

/// Returns where the running platform keeps its events.
pub(super) fn database_url(platform: &Platform) -> Result<String, Trouble> {
    let url = platform.database_urls.get("ticketing").cloned();
    url.ok_or_else(|| Trouble::Missing("the platform has no ticketing service".to_owned()))
}
