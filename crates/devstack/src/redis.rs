//! A private Redis.
//!
//! It keeps nothing on disk: what lives in Redis may be lost at any time, by design of the platform. It listens on the
//! loopback address only and cannot be told to write files or load code.

use std::{fmt::Write as _, time::Duration};

use crate::{
    account::{self, Account},
    fault::Fault,
    files,
    home::Home,
    locate::RedisProgram,
    probe,
    process::Stop,
    program::{Environment, Program, Stage},
    supervise::Watched,
};

/// Name of the child.
pub(crate) const NAME: &str = "redis";

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How often a starting server is asked.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// The server as a child.
pub(crate) fn program(found: &RedisProgram, home: &Home, port: u16) -> Result<Program, Fault> {
    // Root's Redis gives up root's rights, like PostgreSQL.
    let home = Home { account: Account::for_children(&["redis", "postgres", "nobody"])?, ..home.clone() };
    let directory = home.room("redis")?;
    let file = directory.join("redis.conf");
    files::replace(&file, configuration(found.major, port).as_bytes())?;
    account::give(&file, home.account)?;
    Ok(Program {
        name: NAME.to_owned(),
        executable: found.file.clone(),
        arguments: vec![file.display().to_string()],
        environment: Environment::Only(Vec::new()),
        directory,
        account: home.account,
        stop: Stop::Group,
        stage: Stage::Redis,
    })
}

/// The server's address.
pub(crate) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/0")
}

/// Waits until the server answers.
pub(crate) async fn ready(watched: &Watched, port: u16) -> Result<(), Fault> {
    let attempt = async {
        while !probe::redis(port).await {
            watched.check("see the lines above")?;
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    };
    tokio::time::timeout(START_LIMIT, attempt).await.unwrap_or_else(|_| {
        let what = format!("Redis was not ready within {} s", START_LIMIT.as_secs());
        Err(Fault::new(what, "see the lines above and `maru-dev doctor`").with_evidence(watched.recent_lines()))
    })
}

fn configuration(major: u32, port: u16) -> String {
    let mut text = format!("bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\ndaemonize no\nloglevel notice\n");
    if major < 7 {
        // From 7 on these cannot be misused unless switched on; before, they let any local user write files as this one.
        for command in ["CONFIG", "MODULE", "DEBUG"] {
            let _ = writeln!(text, "rename-command {command} \"\"");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_redis_loses_its_dangerous_commands() {
        assert!(configuration(6, 1).contains("rename-command CONFIG \"\""));
        assert!(!configuration(7, 1).contains("rename-command"));
        assert!(configuration(7, 21_000).contains("port 21000\n"));
    }
}
