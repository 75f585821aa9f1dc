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
    process::Command,
    time::{Instant, interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::{Verdict, tunnel::source_address};
use crate::{
    cpu,
    figures::float,
    platform::Platform,
    probe::Probe,
    process::{Processes, free_port},
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
    tunnel::wire::Head,
    upstream::WATCH,
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
/// How long sockets are left alone before they are measured.
const REST: Duration = Duration::from_secs(2);
/// Characters of a token between the gateway and a service, about.
const TOKEN_LENGTH: usize = 500;
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
}

/// Where sockets are opened, and with what.
struct Door {
    address: SocketAddr,
    path: String,
    token: String,
}

impl Door {
    /// Opens a socket and reads its first bytes.
    async fn watch(&self, source: Ipv4Addr) -> Result<TcpStream, Trouble> {
        let socket = TcpSocket::new_v4()?;
        // What is not read must not lie in the kernel for long.
        socket.set_recv_buffer_size(4_096)?;
        socket.bind((source, 0).into())?;
        let mut stream = socket.connect(self.address).await?;
        let head = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {}\r\n\r\n",
            self.path,
            self.address,
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

    /// Opens sockets numbered `1..=count`, some at a time, and lets them rest.
    async fn fill(&self, count: u32) -> Result<Vec<TcpStream>, Trouble> {
        let (numbers, mut streams): (Vec<u32>, _) = ((1..=count).collect(), Vec::new());
        for some in numbers.chunks(AT_ONCE) {
            let opening = try_join_all(some.iter().map(|number| self.watch(source_address(*number))));
            let opened = timeout(PATIENCE, opening).await;
            streams.extend(opened.map_err(|_late| Trouble::Broken("a socket hung".to_owned()))??);
        }
        sleep(REST).await;
        Ok(streams)
    }
}

/// Measures what an idle socket costs a server that is nothing but the library, in kilobytes.
async fn bare(viewers: u32, processes: &Processes) -> Result<f64, Trouble> {
    let port = free_port()?;
    let mut server = Command::new(std::env::current_exe()?);
    server.args(["upstream", "--port", &port.to_string()]);
    let pid = processes.start("bare actix-ws", &mut server)?;
    Probe::new()?.ready(processes, ("bare actix-ws", pid), &format!("http://127.0.0.1:{port}/")).await?;
    let address = (Ipv4Addr::LOCALHOST, port).into();
    // The token has the length of one that the gateway passes on, and nobody reads it.
    let door = Door { address, path: WATCH.to_owned(), token: "t".repeat(TOKEN_LENGTH) };
    let first = door.watch(source_address(0)).await?;
    let before = cpu::resident_kb(pid).unwrap_or_default();
    let streams = door.fill(viewers).await?;
    let idle = cpu::resident_kb(pid).unwrap_or_default();
    drop((first, streams));
    Ok(float(idle.saturating_sub(before)) / f64::from(viewers))
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let platform = Platform::ask().await?;
    let resident = || -> u64 { platform.pids_of("session").iter().filter_map(|pid| cpu::resident_kb(*pid)).sum() };
    let at_gateway = || -> u64 { platform.pids_of("gateway").iter().filter_map(|pid| cpu::resident_kb(*pid)).sum() };
    let authority = platform.gateway_url.trim_start_matches("http://");
    let address: SocketAddr =
        authority.parse().map_err(|fault| Trouble::Broken(format!("the gateway's address {authority}: {fault}")))?;
    let presenter = Presenter::new(&platform.gateway_url).await?;
    let mut report = Report::open("viewers").await;

    progress("a server that is nothing but the library")?;
    let bare_kb = bare(options.viewers, processes).await?;
    progress("opening the sockets")?;
    let path = format!("/ws/sessions/{}", presenter.session);
    let door = Door { address, path, token: presenter.token.clone() };
    // One first, so that what a room costs is not counted.
    let first = door.watch(source_address(0)).await?;
    let (before, gateway_before) = (resident(), at_gateway());
    let viewers = door.fill(options.viewers).await?;
    let (idle, gateway_idle) = (resident(), at_gateway());
    progress("nobody reads, and the timer is started and paused")?;
    let controls = stall(&presenter, Duration::from_secs(options.stall_seconds)).await?;
    let (stalled, gateway_stalled) = (resident(), at_gateway());
    drop((first, viewers));

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
    report.note(format!("a socket of bare actix-ws that only listens costs {bare_kb:.1} KB in the same run"));
    report.note(format!("{} viewers, {controls} changes of the timer while they did not read", options.viewers));
    let goal = |what: &str, measured, most| Goal { what: what.to_owned(), measured, bound: Bound::AtMost(most) };
    report.goal(goal("KB an idle viewer", idle_kb, IDLE_KB));
    report.goal(goal("KB more for one that does not read", stalled_kb, STALLED_KB));
    report.figures(json!({ "idle_kb": idle_kb, "bare_kb": bare_kb, "stalled_kb": stalled_kb, "controls": controls }));
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
