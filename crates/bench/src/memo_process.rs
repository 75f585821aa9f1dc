//! A release memo service on a scenario's own database. There is no object storage: nobody looks at a file here.

use crate::{
    probe::Probe,
    process::{Processes, built, clean_command, free_port},
    report::target_directory,
    ticketing_process::{PREFIX, Server, Surroundings},
    token::{self, InternalKey},
    trouble::Trouble,
};

/// What the service wants to know of an object storage before it does anything.
pub(crate) const NO_STORAGE: [(&str, &str); 4] = [
    ("S3_ENDPOINT", "http://127.0.0.1:1"),
    ("S3_BUCKET", "maru-bench"),
    ("S3_ACCESS_KEY", "maru-bench"),
    ("S3_SECRET_KEY", "maru-bench"),
];

/// Starts the service and waits until it is ready.
pub(crate) async fn start_memo(
    key: &InternalKey,
    around: Surroundings<'_>,
    processes: &Processes,
) -> Result<Server, Trouble> {
    let program = target_directory().join("release/maru-memo");
    built(&program, "memo")?;
    let port = free_port()?;
    let mut command = clean_command(program);
    command.arg("serve").envs(NO_STORAGE).envs([
        ("MARU_ENV", "development".to_owned()),
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", port.to_string()),
        ("DATABASE_URL", around.database_url.to_owned()),
        ("REDIS_URL", around.redis_url.to_owned()),
        ("REDIS_PREFIX", PREFIX.to_owned()),
        ("INTERNAL_PUBLIC_KEYS", key.public_keys().to_owned()),
        ("INTERNAL_SIGNING_KEY", token::signing_key()?),
        // No memo here is linked to a focus session.
        ("SESSION_URLS", format!("http://127.0.0.1:{port}")),
        ("LOG_LEVEL", around.log_level.to_owned()),
        ("DRAIN_DELAY_MS", "0".to_owned()),
        ("SHUTDOWN_TIMEOUT_SECONDS", "2".to_owned()),
    ]);
    let pid = processes.start("memo", &mut command)?;
    Probe::new()?.ready(processes, ("memo", pid), &format!("http://127.0.0.1:{port}/readyz")).await?;
    Ok(Server::at(pid, port))
}
