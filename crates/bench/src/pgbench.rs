//! pgbench, PostgreSQL's own load generator, and what it prints.

use std::path::PathBuf;

use tokio::process::Command;

use crate::{process::find_program, report::directory, trouble::Trouble};

/// Where it may be: Debian has a wrapper in the search path, Homebrew links the newest version.
const CANDIDATES: [&str; 2] = ["pgbench", "/opt/homebrew/bin/pgbench"];

/// pgbench as found on this machine, on one database.
#[derive(Clone, Debug)]
pub(crate) struct Pgbench {
    program: &'static str,
    database_url: String,
}

impl Pgbench {
    pub(crate) async fn find(database_url: &str) -> Result<Self, Trouble> {
        let program = find_program(&CANDIDATES, "--version", "postgresql-contrib").await?;
        Ok(Self { program, database_url: database_url.to_owned() })
    }

    /// Runs a statement about `:id` prepared, again and again with so many clients; returns how often per second.
    pub(crate) async fn rate(&self, sql: &str, id: &str, clients: u32, seconds: u64) -> Result<f64, Trouble> {
        let settings = [format!("-c{clients}"), "-j2".to_owned(), format!("-T{seconds}")];
        let printed = self.run("rate", sql, id, &settings).await?;
        parse(&printed).ok_or_else(|| Trouble::Broken(format!("pgbench printed no rate: {printed}")))
    }

    /// Runs a statement about `:id` once.
    pub(crate) async fn once(&self, sql: &str, id: &str) -> Result<(), Trouble> {
        self.run("once", sql, id, &["-t1".to_owned()]).await.map(drop)
    }

    async fn run(&self, name: &str, sql: &str, id: &str, settings: &[String]) -> Result<String, Trouble> {
        let script: PathBuf = directory()?.join(format!("pgbench-{name}.sql"));
        std::fs::write(&script, format!("{sql};\n"))?;
        let mut command = Command::new(self.program);
        command.args(["-n", "-M", "prepared", "-D", &format!("id={id}"), "-f"]).arg(&script).args(settings);
        let output = command.arg(&self.database_url).kill_on_drop(true).output().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Trouble::Broken(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr))))
    }
}

fn parse(printed: &str) -> Option<f64> {
    printed.lines().find_map(|line| line.strip_prefix("tps = "))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_one_without_connecting() {
        let printed = "latency average = 0.61 ms\ninitial connection time = 24.902 ms\n\
                       tps = 26207.345678 (without initial connection time)\n";
        assert!((parse(printed).unwrap() - 26_207.345_678).abs() < 1e-6);
        assert_eq!(parse("pgbench: error: connection failed\n"), None);
    }
}
