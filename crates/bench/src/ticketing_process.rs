//! A release ticketing service on a scenario's own database, and a release gateway before it.

use std::net::SocketAddr;

use tokio::process::Command;

use crate::{
    people::Keys,
    probe::Probe,
    process::{Processes, built, clean_command, free_port},
    report::target_directory,
    token,
    trouble::Trouble,
};

/// What all keys in Redis begin with that these processes write.
pub(crate) const PREFIX: &str = "maru-bench";

/// A running server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) const fn at(pid: u32, port: u16) -> Self {
        Self { pid, address: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port) }
    }

    pub(crate) fn url(self) -> String {
        format!("http://{}", self.address)
    }
}

/// Where a service finds what it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) database_url: &'a str,
    pub(crate) redis_url: &'a str,
    pub(crate) log_level: &'a str,
}

/// Starts a ticketing service, called `name` in the logs, and waits until it is ready.
pub(crate) async fn start_ticketing(
    name: &str,
    keys: &Keys,
    around: Surroundings<'_>,
    processes: &Processes,
) -> Result<Server, Trouble> {
    let program = target_directory().join("release/maru-ticketing");
    built(&program, "ticketing")?;
    let port = free_port()?;
    let mut command = clean_command(program);
    command.arg("serve").envs([
        ("MARU_ENV", "development".to_owned()),
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", port.to_string()),
        ("DATABASE_URL", around.database_url.to_owned()),
        ("REDIS_URL", around.redis_url.to_owned()),
        ("REDIS_PREFIX", PREFIX.to_owned()),
        ("INTERNAL_PUBLIC_KEYS", keys.public_set.clone()),
        ("INTERNAL_SIGNING_KEY", token::signing_key()?),
        ("TICKET_SECRET", token::JWT_SECRET.to_owned()),
        // Nobody opens a socket here.
        ("AUTH_URLS", format!("http://127.0.0.1:{port}")),
        // Nothing ends while it is measured.
        ("HOLD_TTL", "1h".to_owned()),
        ("QUEUE_TTL", "1h".to_owned()),
        ("LOG_LEVEL", around.log_level.to_owned()),
        ("DRAIN_DELAY_MS", "0".to_owned()),
        ("SHUTDOWN_TIMEOUT_SECONDS", "2".to_owned()),
    ]);
    start(name, &mut command, port, &format!("http://127.0.0.1:{port}/readyz"), processes).await
}

/// Starts a gateway before a ticketing service. Its limits are those of a developer's machine, which no load meets.
pub(crate) async fn start_gateway(
    keys: &Keys,
    ticketing: Server,
    redis_url: &str,
    log_level: &str,
    processes: &Processes,
) -> Result<Server, Trouble> {
    let program = target_directory().join("release/maru-gateway");
    built(&program, "gateway")?;
    let (port, admin_port) = (free_port()?, free_port()?);
    let own = format!("http://127.0.0.1:{port}");
    let mut command = clean_command(program);
    command.arg("serve").envs([
        ("MARU_ENV", "development".to_owned()),
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", port.to_string()),
        ("ADMIN_PORT", admin_port.to_string()),
        ("PUBLIC_URL", own.clone()),
        ("ALLOWED_ORIGINS", own),
        ("LOG_LEVEL", log_level.to_owned()),
        ("JWT_SECRET", token::JWT_SECRET.to_owned()),
        ("INTERNAL_SIGNING_KEY", keys.private_pem.clone()),
        ("REDIS_URL", redis_url.to_owned()),
        ("REDIS_PREFIX", PREFIX.to_owned()),
        ("RATE_LIMITS", "generous".to_owned()),
        ("MAX_IN_FLIGHT", "4096".to_owned()),
        ("MAX_IN_FLIGHT_PER_ADDRESS", "4096".to_owned()),
        ("DRAIN_DELAY_MS", "0".to_owned()),
        ("SHUTDOWN_TIMEOUT_SECONDS", "2".to_owned()),
    ]);
    for service in ["AUTH", "SESSION", "TICKETING", "EMOTION", "MEMO"] {
        command.env(format!("{service}_URLS"), ticketing.url());
    }
    start("gateway", &mut command, port, &format!("http://127.0.0.1:{admin_port}/livez"), processes).await
}

async fn start(
    name: &str,
    command: &mut Command,
    port: u16,
    ready_url: &str,
    processes: &Processes,
) -> Result<Server, Trouble> {
    let pid = processes.start(name, command)?;
    Probe::new()?.ready(processes, (name, pid), ready_url).await?;
    Ok(Server::at(pid, port))
}
