//! Installing what is missing.
//!
//! By apt as root or through sudo, or by Homebrew; never more than what is missing. The packages of Debian would create
//! and start a cluster and a Redis of the system's own: both are held back while they are installed, and what does that
//! is removed again.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::{
    account,
    fault::Fault,
    locate::{self, OLDEST_POSTGRES, OLDEST_REDIS, PostgresPrograms, RedisProgram},
    log_file::{LogFile, run_into},
    progress::Progress,
};

/// What a stack needs from this machine.
#[derive(Clone, Copy)]
pub(crate) struct Needs<'a> {
    /// PostgreSQL; not when the caller has a server.
    pub(crate) postgres: bool,
    /// The only directory to look for PostgreSQL in, if the caller named one.
    pub(crate) pg_bin: Option<&'a Path>,
    /// Redis.
    pub(crate) redis: bool,
}

/// What was found or installed.
pub(crate) struct Found {
    /// Usable PostgreSQL versions, newest first; empty when none is needed.
    pub(crate) postgres: Vec<PostgresPrograms>,
    /// Redis, if needed.
    pub(crate) redis: Option<RedisProgram>,
}

/// The package manager of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PackageSource {
    /// apt, with root's rights or through the given `sudo`.
    Apt { sudo: Option<PathBuf> },
    /// apt, but neither root nor sudo.
    AptWithoutRights,
    /// Homebrew.
    Brew(PathBuf),
    /// None that is known here.
    Unknown,
}

/// Finds the package manager.
pub(crate) fn source() -> PackageSource {
    if locate::in_search_path("apt-get").is_some() {
        return match (account::is_root(), locate::in_search_path("sudo")) {
            (true, _) => PackageSource::Apt { sudo: None },
            (false, Some(sudo)) => PackageSource::Apt { sudo: Some(sudo) },
            (false, None) => PackageSource::AptWithoutRights,
        };
    }
    let brew = ["/opt/homebrew/bin/brew", "/usr/local/bin/brew", "/home/linuxbrew/.linuxbrew/bin/brew"];
    locate::in_search_path("brew")
        .or_else(|| brew.iter().map(PathBuf::from).find(|file| locate::is_executable(file)))
        .map_or(PackageSource::Unknown, PackageSource::Brew)
}

/// Finds what is needed and installs what is not there.
pub(crate) async fn provide(needs: Needs<'_>, logs: &Path, progress: &Progress) -> Result<Found, Fault> {
    let found = look(needs);
    let missing = missing(needs, &found);
    if missing.is_empty() {
        return Ok(found);
    }
    if let (true, Some(directory)) = (found.postgres.is_empty(), needs.pg_bin.filter(|_| needs.postgres)) {
        let what = format!("PG_BIN={} holds no PostgreSQL {OLDEST_POSTGRES} or newer", directory.display());
        return Err(Fault::new(what, "correct it, or unset it to use what is installed"));
    }
    let names: Vec<&str> = missing.iter().map(|part| part.title).collect();
    progress.step(format!("installing {}", names.join(" and ")));
    install(&missing, logs).await?;
    let found = look(needs);
    match self::missing(needs, &found).first() {
        None => Ok(found),
        Some(part) => Err(Fault::new(
            format!("the package manager has no {} {} or newer", part.title, part.oldest),
            part.by_hand.to_owned(),
        )),
    }
}

/// A part that can be missing.
struct Part {
    title: &'static str,
    oldest: u32,
    apt: &'static str,
    brew: &'static str,
    by_hand: &'static str,
}

const POSTGRES: Part = Part {
    title: "PostgreSQL",
    oldest: OLDEST_POSTGRES,
    apt: "postgresql",
    brew: "postgresql@17",
    by_hand: "install PostgreSQL 15 or newer and set PG_BIN to the directory with its programs, or set DATABASE_URL",
};

const REDIS: Part = Part {
    title: "Redis",
    oldest: OLDEST_REDIS,
    apt: "redis-server",
    brew: "redis",
    by_hand: "install Redis 6 or newer so that `redis-server` is in PATH, or set REDIS_URL",
};

fn look(needs: Needs<'_>) -> Found {
    let postgres = if needs.postgres { locate::postgres(needs.pg_bin) } else { Vec::new() };
    let redis = needs.redis.then(locate::redis).flatten();
    Found {
        postgres: postgres.into_iter().filter(|programs| programs.major >= OLDEST_POSTGRES).collect(),
        redis: redis.filter(|program| program.major >= OLDEST_REDIS),
    }
}

fn missing(needs: Needs<'_>, found: &Found) -> Vec<Part> {
    let mut missing = Vec::new();
    if needs.postgres && found.postgres.is_empty() {
        missing.push(POSTGRES);
    }
    if needs.redis && found.redis.is_none() {
        missing.push(REDIS);
    }
    missing
}

async fn install(missing: &[Part], logs: &Path) -> Result<(), Fault> {
    let apt: Vec<&str> = missing.iter().map(|part| part.apt).collect();
    let by_hand = missing.first().map_or("", |part| part.by_hand);
    let titles = missing.iter().map(|part| part.title).collect::<Vec<_>>().join(" and ");
    let are = if missing.len() == 1 { "is" } else { "are" };
    let no_rights = || {
        Fault::new(
            format!("{titles} {are} missing and installing it needs root's rights"),
            format!("run `apt-get install {}` as root, then this again", apt.join(" ")),
        )
    };
    match source() {
        PackageSource::Apt { sudo: None } => run(Command::new("sh").args(["-c", &apt_script(&apt)]), logs).await,
        PackageSource::Apt { sudo: Some(sudo) } => {
            let mut command = Command::new(sudo);
            if !io::stdin().is_terminal() {
                // Nobody could type a password.
                if !quietly_succeeds(Command::new("sudo").args(["-n", "true"])).await {
                    return Err(no_rights());
                }
                command.arg("-n");
            }
            run(command.args(["sh", "-c", &apt_script(&apt)]), logs).await
        }
        PackageSource::AptWithoutRights => Err(no_rights()),
        PackageSource::Brew(brew) => {
            run(Command::new(brew).arg("install").args(missing.iter().map(|part| part.brew)), logs).await
        }
        PackageSource::Unknown => {
            Err(Fault::new(format!("{titles} {are} missing and neither apt nor Homebrew is here"), by_hand))
        }
    }
}

async fn quietly_succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

/// Runs an installer; its output goes to a log. It keeps the terminal, as sudo may ask for a password there.
async fn run(command: &mut Command, logs: &Path) -> Result<(), Fault> {
    let log = LogFile::open(logs, "install")?;
    let status = run_into(command, &log).await.map_err(|error| Fault::io("run the package manager", &error))?;
    if status.success() {
        return Ok(());
    }
    let recent = log.recent();
    let full = recent.iter().any(|line| line.contains("No space left on device"));
    let what = if full { "the disk is full (the installation failed)" } else { "the installation failed" };
    let mend =
        if full { "free some space and run this again" } else { "mend what the lines above name, then run this again" };
    Err(Fault::new(what, mend).with_evidence(recent))
}

/// What runs as root. `createcluster.d` keeps the package from making a cluster of the system, `policy-rc.d` keeps both
/// packages from starting anything; whichever of the two was not there before is gone afterwards.
fn apt_script(packages: &[&str]) -> String {
    let packages = packages.join(" ");
    format!(
        r#"set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/00-maru-dev.conf
made=
trap 'for file in $made; do rm -f "$file"; done' EXIT
trap 'exit 130' HUP INT TERM
if [ ! -e "$policy" ]; then made="$made $policy"; printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod 755 "$policy"; fi
if [ ! -e "$cluster" ]; then
  made="$made $cluster"; mkdir -p "${{cluster%/*}}"; echo 'create_main_cluster = false' > "$cluster"
fi
apt-get -o DPkg::Lock::Timeout=120 update -qq
apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends {packages}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        let needs = Needs { postgres: true, pg_bin: None, redis: true };
        let found = Found { postgres: Vec::new(), redis: Some(RedisProgram { file: PathBuf::new(), major: 7 }) };
        let names: Vec<&str> = missing(needs, &found).iter().map(|part| part.apt).collect();
        assert_eq!(names, ["postgresql"]);
        assert!(apt_script(&names).ends_with("--no-install-recommends postgresql\n"));
        let own_server = Needs { postgres: false, ..needs };
        assert!(missing(own_server, &found).is_empty());
    }
}
