//! A release gateway before given upstreams, as a scenario needs it.

use std::path::PathBuf;

use clap::Args;
use tokio::process::Command;

use crate::{
    probe::Probe,
    process::{Processes, built, clean_command, find_program, free_port},
    report::target_directory,
    token,
    trouble::Trouble,
};

/// Which gateway to measure.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GatewayOptions {
    /// The gateway's program [default: target/release/maru-gateway].
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// The gateway's log level; `warn` leaves out access lines, as nginx is told to.
    #[arg(long, default_value = "warn")]
    gateway_log_level: String,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) pid: u32,
    pub(crate) port: u16,
    /// Whether it has a Redis of its own beside it.
    pub(crate) with_redis: bool,
}

impl Gateway {
    /// Starts a gateway with every service at `upstream_port`, and waits until it is alive.
    pub(crate) async fn start(
        options: &GatewayOptions,
        processes: &Processes,
        probe: &Probe,
        upstream_port: u16,
    ) -> Result<Self, Trouble> {
        let program = options.gateway.clone().unwrap_or_else(|| target_directory().join("release/maru-gateway"));
        built(&program, "gateway")?;
        let (redis_port, with_redis) = start_redis(processes).await?;
        let (port, admin_port) = (free_port()?, free_port()?);
        let mut command = clean_command(program);
        command.arg("serve");
        command.envs([
            ("MARU_ENV", "development".to_owned()),
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("ADMIN_PORT", admin_port.to_string()),
            ("PUBLIC_URL", format!("http://127.0.0.1:{port}")),
            ("ALLOWED_ORIGINS", format!("http://127.0.0.1:{port}")),
            ("LOG_LEVEL", options.gateway_log_level.clone()),
            ("JWT_SECRET", token::JWT_SECRET.to_owned()),
            ("INTERNAL_SIGNING_KEY", token::signing_key()?),
            ("REDIS_URL", format!("redis://127.0.0.1:{redis_port}/0")),
            ("REDIS_PREFIX", "maru-bench".to_owned()),
            // The load comes from one address, and nothing is measured of a refusal.
            ("RATE_LIMITS", "generous".to_owned()),
            ("MAX_IN_FLIGHT", "20000".to_owned()),
            ("MAX_IN_FLIGHT_PER_ADDRESS", "20000".to_owned()),
            ("DRAIN_DELAY_MS", "0".to_owned()),
            ("SHUTDOWN_TIMEOUT_SECONDS", "2".to_owned()),
        ]);
        for service in ["AUTH", "SESSION", "TICKETING", "EMOTION", "MEMO"] {
            command.env(format!("{service}_URLS"), format!("http://127.0.0.1:{upstream_port}"));
        }
        let pid = processes.start("gateway", &mut command)?;
        let alive = format!("http://127.0.0.1:{admin_port}/livez");
        probe.ready(processes, ("gateway", pid), &alive).await?;
        Ok(Self { pid, port, with_redis })
    }
}

/// Starts a Redis that keeps nothing, if there is one to start; the gateway has to live without it too.
async fn start_redis(processes: &Processes) -> Result<(u16, bool), Trouble> {
    let port = free_port()?;
    let Ok(program) = find_program(&["redis-server"], "--version", "redis-server").await else {
        return Ok((port, false));
    };
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    processes.start("redis", &mut command)?;
    Ok((port, true))
}
