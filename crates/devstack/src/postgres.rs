//! A private PostgreSQL.
//!
//! The cluster belongs to `maru-dev` alone: own directory, own port on the loopback address, no socket, and a password,
//! because a superuser without one would lend this user's rights to everyone on the machine. A development cluster is
//! durable like a real one; the throw-away cluster of a test run trades that for speed.

use std::{
    fs,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;
use tokio_postgres::{Client, NoTls};

use crate::{
    account::{self, Account},
    disk,
    fault::Fault,
    files,
    home::Home,
    locate::PostgresPrograms,
    process::{self, Identity, Stop},
    program::{Environment, Program, Stage},
    run_directory, secrets, standby,
    supervise::Watched,
    tasks,
};

/// Name of the child.
pub(crate) const NAME: &str = "postgres";

/// Superuser of the cluster.
pub(crate) const USER: &str = "maru";

/// How long a start may take: a crash under load leaves a long log to replay.
const START_LIMIT: Duration = Duration::from_secs(90);

/// How often a starting server is asked.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// Five services, several replicas of each, pools of eight, and tests that open their own.
const CONNECTIONS: u32 = 400;

/// What a cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Kept between runs.
    Development,
    /// Thrown away after the run; survives no crash.
    Tests,
}

/// A cluster that is ready to be started.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// Name of the child.
    pub(crate) name: &'static str,
    programs: PostgresPrograms,
    directory: PathBuf,
    account: Option<Account>,
    purpose: Purpose,
    has_standby: bool,
    password: Option<String>,
}

impl Cluster {
    /// Finds the cluster of this home, or makes it.
    pub(crate) async fn prepare(
        found: &[PostgresPrograms],
        home: &Home,
        purpose: Purpose,
        has_standby: bool,
    ) -> Result<Self, Fault> {
        let directory = home.room("postgres")?;
        let made_by = fs::read_to_string(directory.join("data/PG_VERSION")).ok().and_then(|v| v.trim().parse().ok());
        let programs = choose(found, made_by, &directory)?;
        let account = home.account;
        let mut cluster = Self { name: NAME, programs, directory, account, purpose, has_standby, password: None };
        if made_by.is_none() {
            cluster.create().await?;
        }
        if purpose == Purpose::Development {
            let file = cluster.password_file();
            let kept = fs::read_to_string(&file).map_err(|error| Fault::io(format!("read {}", file.display()), &error));
            cluster.password = Some(kept?.trim().to_owned());
        }
        cluster.end_orphan().await;
        Ok(cluster)
    }

    /// The server as a child.
    pub(crate) fn program(&self, port: u16) -> Program {
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("max_connections={CONNECTIONS}"),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            // Messages and statements of failed queries quote what people wrote.
            "log_min_messages=log".to_owned(),
            "log_min_error_statement=panic".to_owned(),
            "log_error_verbosity=terse".to_owned(),
        ];
        if self.name == standby::NAME {
            // By this name the primary knows it.
            settings.push("cluster_name=maru_standby".to_owned());
        }
        if self.purpose == Purpose::Tests {
            let fast = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=2GB"];
            settings.extend(fast.map(str::to_owned));
            // A standby lives on the log that is not written then.
            let alone = ["wal_level=minimal", "max_wal_senders=0"];
            settings.extend(alone.into_iter().filter(|_| !self.has_standby).map(str::to_owned));
        }
        let mut arguments = vec!["-D".to_owned(), self.data().display().to_string()];
        arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        Program {
            name: self.name.to_owned(),
            executable: self.program_file("postgres"),
            arguments,
            environment: plain_environment(),
            directory: self.directory.clone(),
            account: self.account,
            stop: Stop::Postgres,
            stage: Stage::Postgres,
        }
    }

    /// The server's address, with the maintenance database.
    pub(crate) fn url(&self, port: u16) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{USER}{password}@127.0.0.1:{port}/postgres")
    }

    /// The address of this server and of its standby: whoever connects gets to the one that may be written.
    /// The driver takes what stands in the query for a second server; libpq would take it for the only one.
    pub(crate) fn url_with_standby(&self, port: u16, standby: u16) -> String {
        let url = self.url(port);
        format!("{url}?host=127.0.0.1&port={standby}&target_session_attrs=read-write")
    }

    /// The standby of this cluster, which lies inside its directory.
    pub(crate) fn standby(&self) -> Result<Self, Fault> {
        let directory = self.directory.join("standby");
        files::private_directory(&directory)?;
        account::give(&directory, self.account)?;
        Ok(Self { name: standby::NAME, directory, ..self.clone() })
    }

    /// Where the data of its standby is, if it has one.
    pub(crate) fn standby_data(&self) -> PathBuf {
        self.directory.join("standby/data")
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The superuser's password; empty where none is asked for.
    pub(crate) fn password(&self) -> &str {
        self.password.as_deref().unwrap_or_default()
    }

    /// One of PostgreSQL's programs.
    pub(crate) fn program_file(&self, name: &str) -> PathBuf {
        self.programs.directory.join(name)
    }

    /// Has a command run as the cluster's user, with nothing of this process's environment.
    pub(crate) fn prepare_command(&self, command: &mut Command) {
        command.current_dir(&self.directory);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        plain_environment().apply(command);
    }

    fn password_file(&self) -> PathBuf {
        self.directory.join("password")
    }

    /// Makes the cluster beside its place and moves it there, so that an interrupted attempt is never taken for one.
    async fn create(&self) -> Result<(), Fault> {
        disk::require(&self.directory, disk::ENOUGH_FOR_A_CLUSTER)?;
        let attempt = self.directory.join("data.new");
        files::delete_directory(&attempt)?;
        files::delete_directory(&self.data())?;
        files::replace(&self.password_file(), secrets::password()?.as_bytes())?;
        account::give(&self.password_file(), self.account)?;
        let mut command = Command::new(self.program_file("initdb"));
        command.arg("-D").arg(&attempt).args(["-U", USER, "-E", "UTF8", "--no-instructions"]).args(locale());
        match self.purpose {
            Purpose::Development => {
                command.arg("--auth=password").arg("--pwfile").arg(self.password_file());
            }
            // Many connections per test: without a password each is 3 ms cheaper.
            Purpose::Tests => {
                command.args(["--auth=trust", "--no-sync"]);
            }
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        self.prepare_command(&mut command);
        let output = command.output().await.map_err(|error| Fault::io("run initdb", &error))?;
        if output.status.success() {
            return fs::rename(&attempt, self.data()).map_err(|error| Fault::io("place the new cluster", &error));
        }
        Err(fault_of("initdb could not make a cluster", &output))
    }

    /// Ends a server that still works in this directory although no record speaks of it, as after a crash in the
    /// instant between its start and its record. Nobody else can be in the directory: it is ours, and we hold the lock.
    pub(crate) async fn end_orphan(&self) {
        let Ok(text) = fs::read_to_string(self.data().join("postmaster.pid")) else { return };
        let Some(identity) = text.lines().next().and_then(|pid| pid.trim().parse().ok()).and_then(Identity::of) else {
            return;
        };
        let here = process::working_directory(identity.pid).is_none_or(|at| at == self.data());
        if here && identity.name().starts_with("postgres") {
            identity.ask(Stop::Postgres);
            run_directory::insist(&identity, Stop::Postgres).await;
        }
    }
}

/// What one of PostgreSQL's programs said when it failed.
pub(crate) fn fault_of(what: &str, output: &Output) -> Fault {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let fault = if text.contains("No space left on device") {
        Fault::new(format!("the disk is full ({what})"), "free some space and run this again")
    } else {
        Fault::new(what, "see the lines above, and `maru-dev doctor`")
    };
    fault.with_evidence(text.lines().map(str::to_owned).collect())
}

/// Waits until the server lets us in.
pub(crate) async fn ready(watched: &Watched, url: &str) -> Result<Client, Fault> {
    let attempt = async {
        loop {
            if let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await {
                // Ends when the client is dropped.
                tasks::spawn(connection);
                return Ok(client);
            }
            watched.check("see the lines above, or begin anew with `maru-dev reset`")?;
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(START_LIMIT, attempt).await.unwrap_or_else(|_| {
        let what = format!("PostgreSQL was not ready within {} s", START_LIMIT.as_secs());
        Err(Fault::new(what, "see the lines above and `maru-dev doctor`").with_evidence(watched.recent_lines()))
    })
}

/// Data stays with the version that made it; new data gets the newest.
fn choose(found: &[PostgresPrograms], made_by: Option<u32>, at: &std::path::Path) -> Result<PostgresPrograms, Fault> {
    let chosen = match made_by {
        Some(major) => found.iter().find(|programs| programs.major == major),
        None => found.first(),
    };
    chosen.cloned().ok_or_else(|| {
        let here = found.iter().map(|programs| programs.major.to_string()).collect::<Vec<_>>().join(", ");
        let made_by = made_by.unwrap_or_default();
        Fault::new(
            format!("the data in {} was made by PostgreSQL {made_by}, but only {here} is here", at.display()),
            format!("install PostgreSQL {made_by} (or set PG_BIN to it), or delete the data with `maru-dev reset`"),
        )
    })
}

/// The same order of strings everywhere, and letters that are not Latin known as letters.
fn locale() -> &'static [&'static str] {
    if cfg!(target_os = "macos") { &["--lc-collate=C", "--lc-ctype=UTF-8"] } else { &["--locale=C.UTF-8"] }
}

/// PostgreSQL reads PGPORT, PGDATA and their like, which may speak of another server.
fn plain_environment() -> Environment {
    Environment::Only(vec![("LC_ALL".to_owned(), if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" }.to_owned())])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn version(major: u32) -> PostgresPrograms {
        PostgresPrograms { directory: PathBuf::from(format!("/{major}")), major }
    }

    #[test]
    fn data_stays_with_the_version_that_made_it() {
        let found = [version(17), version(15)];
        let at = Path::new("/d");
        assert_eq!(choose(&found, Some(15), at), Ok(version(15)));
        assert_eq!(choose(&found, None, at), Ok(version(17)));
        let sentence = choose(&found, Some(16), at).expect_err("16 is not there").to_string();
        assert!(sentence.contains("made by PostgreSQL 16, but only 17, 15 is here"), "{sentence}");
    }
}
