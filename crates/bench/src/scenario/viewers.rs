//! What viewers of a session cost in memory, on the running platform, through the gateway.
//!
//! Many open a socket and say nothing; what the session service's memory grows by is theirs. Then some of them stop
//! reading while the presenter's thumb does not stand still, and what it grows by now is queued for nobody, or it is a
//! fault.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::Args;
use futures_util::future::try_join_all;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::{Verdict, tunnel::source_address};
use crate::{
    cpu,
    figures::float,
    platform::Platform,
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
    tunnel::wire::Head,
};

/// Most kilobytes of the session service for each idle viewer.
const IDLE_KB: f64 = 20.0;
/// Most kilobytes that a viewer who stops reading may cost beyond that: the library's and the kernel-side write buffers
/// of one connection, filled once.
const STALLED_KB: f64 = 100.0;
/// Sockets that are opened at the same time.
const AT_ONCE: usize = 100;
/// Longest wait for one socket.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the presenter changes the timer while some do not read.
const CONTROL_EVERY: Duration = Duration::from_millis(25);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Viewers that say nothing.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    viewers: u32,
    /// Seconds in which they do not read.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    stall_seconds: u64,
}

#[derive(Deserialize)]
struct Registered {
    access_token: String,
}

struct Presenter {
    http: Client,
    gateway: String,
    token: String,
    session: String,
}

impl Presenter {
    async fn new(gateway: &str) -> Result<Self, Trouble> {
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().map_err(|fault| broken(&fault))?;
        let email = format!("bench-viewers-{}@example.com", std::process::id());
        let person = json!({ "name": "maru-bench", "email": email, "password": "maru-bench 마루 4127" });
        let sent = http.post(format!("{gateway}/register")).json(&person).send().await;
        let answered = sent.and_then(reqwest::Response::error_for_status).map_err(|fault| broken(&fault))?;
        let Registered { access_token: token } = answered.json().await.map_err(|fault| broken(&fault))?;
        let mut presenter = Self { http, gateway: gateway.to_owned(), token, session: String::new() };
        let made = presenter.post("", json!({ "title": "maru-bench" })).await?;
        presenter.session = made.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        presenter.post("/timer/setup", json!({ "duration_minutes": 180 })).await?;
        Ok(presenter)
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Trouble> {
        let slash = if self.session.is_empty() { "" } else { "/" };
        let url = format!("{}/api/v1/sessions{slash}{}{path}", self.gateway, self.session);
        let sent = self.http.post(url).bearer_auth(&self.token).json(&body).send().await;
        let answered = sent.and_then(reqwest::Response::error_for_status).map_err(|fault| broken(&fault))?;
        answered.json().await.map_err(|fault| broken(&fault))
    }

    /// Opens a socket and reads its first bytes, which are the snapshot.
    async fn watch(&self, gateway: SocketAddr, source: Ipv4Addr) -> Result<TcpStream, Trouble> {
        let socket = TcpSocket::new_v4()?;
        // What is not read must not lie in the kernel for long.
        socket.set_recv_buffer_size(4_096)?;
        socket.bind((source, 0).into())?;
        let mut stream = socket.connect(gateway).await?;
        let head = format!(
            "GET /ws/sessions/{} HTTP/1.1\r\nhost: {gateway}\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {}\r\n\r\n",
            self.session,
            self.token,
            generate_key()
        );
        stream.write_all(head.as_bytes()).await?;
        let head = Head::read(&mut stream).await?;
        if head.status() != Some(101) {
            return Err(Trouble::Broken(format!("a socket was refused: {}", head.text)));
        }
        if head.rest.is_empty() {
            let mut first = [0; 512];
            if stream.read(&mut first).await? == 0 {
                return Err(Trouble::Broken("a socket was closed at once".to_owned()));
            }
        }
        Ok(stream)
    }
}

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<Verdict, Trouble> {
    let platform = Platform::ask().await?;
    let resident = || -> u64 { platform.pids_of("session").iter().filter_map(|pid| cpu::resident_kb(*pid)).sum() };
    let at_gateway = || -> u64 { platform.pids_of("gateway").iter().filter_map(|pid| cpu::resident_kb(*pid)).sum() };
    let authority = platform.gateway_url.trim_start_matches("http://");
    let address: SocketAddr =
        authority.parse().map_err(|fault| Trouble::Broken(format!("the gateway's address {authority}: {fault}")))?;
    let presenter = Presenter::new(&platform.gateway_url).await?;
    let mut report = Report::open("viewers").await;

    progress("opening the sockets")?;
    // One first, so that what a room costs is not counted.
    let mut viewers = vec![presenter.watch(address, source_address(0)).await?];
    let (before, gateway_before) = (resident(), at_gateway());
    let numbers: Vec<u32> = (1..=options.viewers).collect();
    for some in numbers.chunks(AT_ONCE) {
        let opening = try_join_all(some.iter().map(|number| presenter.watch(address, source_address(*number))));
        viewers.extend(timeout(PATIENCE, opening).await.map_err(|_late| Trouble::Broken("a socket hung".to_owned()))??);
    }
    sleep(Duration::from_secs(2)).await;
    let (idle, gateway_idle) = (resident(), at_gateway());
    progress("nobody reads, and the timer is started and paused")?;
    let controls = stall(&presenter, Duration::from_secs(options.stall_seconds)).await?;
    let (stalled, gateway_stalled) = (resident(), at_gateway());
    drop(viewers);

    let each = |after: u64, before: u64| float(after.saturating_sub(before)) / f64::from(options.viewers);
    let mut table = Table::new("Memory", &["process", "before MB", "idle MB", "KB a viewer", "stalled MB", "KB more"]);
    let mut row = |name: &str, [before, idle, stalled]: [u64; 3]| {
        let mb = |kb: u64| format!("{:.1}", float(kb) / 1024.0);
        let kb = |value: f64| format!("{value:.1}");
        table.row([
            name.to_owned(),
            mb(before),
            mb(idle),
            kb(each(idle, before)),
            mb(stalled),
            kb(each(stalled, idle)),
        ]);
    };
    row("session", [before, idle, stalled]);
    row("gateway", [gateway_before, gateway_idle, gateway_stalled]);
    report.table(table);
    let (idle_kb, stalled_kb) = (each(idle, before), each(stalled, idle));
    report.note(format!("{} viewers, {controls} changes of the timer while they did not read", options.viewers));
    let goal = |what: &str, measured, most| Goal { what: what.to_owned(), measured, bound: Bound::AtMost(most) };
    report.goal(goal("KB an idle viewer", idle_kb, IDLE_KB));
    report.goal(goal("KB more for one that does not read", stalled_kb, STALLED_KB));
    report.figures(json!({ "idle_kb": idle_kb, "stalled_kb": stalled_kb, "controls": controls }));
    report.publish()?;
    Ok(Verdict::Passed)
}

/// Starts and pauses the timer for a while; returns how often.
async fn stall(presenter: &Presenter, duration: Duration) -> Result<u64, Trouble> {
    presenter.post("/timer/start", json!({})).await?;
    let (until, mut every, mut changes) = (Instant::now() + duration, interval(CONTROL_EVERY), 1);
    for control in ["/timer/pause", "/timer/resume"].into_iter().cycle() {
        every.tick().await;
        if Instant::now() >= until {
            break;
        }
        presenter.post(control, json!({})).await?;
        changes += 1;
    }
    Ok(changes)
}

fn broken(fault: &reqwest::Error) -> Trouble {
    Trouble::Broken(format!("the gateway: {fault}"))
}
