//! `maru-dev doctor`: what could be in the way, and how to mend it.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use rustix::process::{Resource, getrlimit};

use crate::{
    account, disk,
    fault::Fault,
    locate::{self, OLDEST_POSTGRES, OLDEST_REDIS},
    lock::{self, Holder},
    packages::{self, PackageSource},
    run_directory, services,
    settings::Settings,
    terminal::Terminal,
};

/// What must be free on the disk for a comfortable life: the build takes more, the data grows.
const COMFORTABLE: u64 = 1024 * 1024 * 1024;

/// Open files per process that a few thousand sockets through the gateway need.
const ENOUGH_FILES: u64 = 4096;

/// The clock must be past this time since 1970: before any build of this program.
const PAST: Duration = Duration::from_hours(55 * 365 * 24);

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Fine,
    Remark,
    Blocks,
}

/// One thing that was looked at.
struct Finding {
    weight: Weight,
    what: String,
    mend: Option<String>,
}

impl Finding {
    fn fine(what: impl Into<String>) -> Self {
        Self { weight: Weight::Fine, what: what.into(), mend: None }
    }

    fn remark(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { weight: Weight::Remark, what: what.into(), mend: Some(mend.into()) }
    }

    fn blocks(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { weight: Weight::Blocks, what: what.into(), mend: Some(mend.into()) }
    }
}

/// Looks at everything; success unless something keeps the stack from starting.
pub(crate) fn run(settings: &Settings, terminal: &Terminal) -> ExitCode {
    let running = matches!(lock::holder(&settings.run()), Holder::Running(_));
    let findings = [
        system(),
        postgres(settings),
        redis(settings),
        port(settings, running),
        room(settings),
        open_files(),
        clock(settings),
        binaries(settings),
        left_over(settings),
    ];
    for finding in &findings {
        let mark = match finding.weight {
            Weight::Fine => "ok    ",
            Weight::Remark => "note  ",
            Weight::Blocks => "FAULT ",
        };
        terminal.line(format!("{mark}{}", finding.what));
        if let Some(mend) = &finding.mend {
            terminal.line(format!("      -> {mend}"));
        }
    }
    let blocked = findings.iter().any(|finding| finding.weight == Weight::Blocks);
    if blocked { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn system() -> Finding {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"'));
    let name = name.unwrap_or(std::env::consts::OS);
    let who = if account::is_root() { "root" } else { "an ordinary user" };
    match packages::source() {
        PackageSource::Apt { .. } => Finding::fine(format!("{name}, {who}, packages by apt")),
        PackageSource::Brew(_) => Finding::fine(format!("{name}, {who}, packages by Homebrew")),
        PackageSource::AptWithoutRights => Finding::remark(
            format!("{name}, {who}, apt without sudo"),
            "missing packages must be installed by root; nothing to do when none is missing",
        ),
        PackageSource::Unknown => Finding::remark(
            format!("{name}, {who}, no package manager that is known here"),
            "missing packages must be installed by hand; nothing to do when none is missing",
        ),
    }
}

fn can_install() -> bool {
    matches!(packages::source(), PackageSource::Apt { .. } | PackageSource::Brew(_))
}

fn postgres(settings: &Settings) -> Finding {
    if settings.database_url.is_some() {
        return Finding::fine("PostgreSQL: the server in DATABASE_URL is used");
    }
    let found = locate::postgres(settings.pg_bin.as_deref());
    let mend = format!("install PostgreSQL {OLDEST_POSTGRES} or newer, or set PG_BIN to the directory of its programs");
    match found.first() {
        Some(newest) if newest.major >= OLDEST_POSTGRES => {
            Finding::fine(format!("PostgreSQL {} in {}", newest.major, newest.directory.display()))
        }
        _ if settings.pg_bin.is_some() => Finding::blocks("PG_BIN names no usable PostgreSQL", mend),
        Some(old) if !can_install() => Finding::blocks(format!("PostgreSQL {} is too old", old.major), mend),
        None if !can_install() => Finding::blocks("PostgreSQL is missing", mend),
        _ => Finding::remark("PostgreSQL is missing", "nothing to do: `maru-dev up` installs it"),
    }
}

fn redis(settings: &Settings) -> Finding {
    if settings.redis_url.is_some() {
        return Finding::fine("Redis: the server in REDIS_URL is used");
    }
    let mend = format!("install Redis {OLDEST_REDIS} or newer");
    match locate::redis() {
        Some(found) if found.major >= OLDEST_REDIS => {
            Finding::fine(format!("Redis {} at {}", found.major, found.file.display()))
        }
        _ if !can_install() => Finding::blocks("Redis is missing or too old", mend),
        _ => Finding::remark("Redis is missing", "nothing to do: `maru-dev up` installs it"),
    }
}

fn port(settings: &Settings, running: bool) -> Finding {
    if running {
        return Finding::fine("Maru is running; see `maru-dev status`");
    }
    match settings.gateway_port.choose() {
        Ok(port) => Finding::fine(format!("port {port} is free for the gateway")),
        Err(fault) => Finding::blocks(fault.what(), fault.mend()),
    }
}

fn room(settings: &Settings) -> Finding {
    let (what, mend) = ("of disk left for the data", "free some space; a build needs a few GB more");
    match disk::free_bytes(&settings.data) {
        None => Finding::remark("the room on the disk is unknown", "check that the data directory can be written"),
        Some(free) if free < disk::ENOUGH_FOR_A_CLUSTER => {
            Finding::blocks(format!("only {} MB {what}", disk::mega(free)), mend)
        }
        Some(free) if free < COMFORTABLE => Finding::remark(format!("only {} MB {what}", disk::mega(free)), mend),
        Some(free) => Finding::fine(format!("{} GB {what}", disk::mega(free) / 1024)),
    }
}

fn open_files() -> Finding {
    // `maru-dev` raises its soft limit to the hard one at its start, so what is seen here is what the services get.
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < ENOUGH_FILES => Finding::remark(
            format!("only {limit} open files per process"),
            "enough for one person; for load tests raise the hard limit (`ulimit -Hn`)",
        ),
        Some(limit) => Finding::fine(format!("{limit} open files per process")),
        None => Finding::fine("open files without limit"),
    }
}

fn clock(settings: &Settings) -> Finding {
    let now = SystemTime::now();
    let built = fs::metadata(&settings.program).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since_epoch < PAST || now < built {
        Finding::blocks(
            "the clock of this machine is wrong (it shows a time before this program was built)",
            "set it, best by NTP: tokens and signatures expire by it",
        )
    } else {
        Finding::fine("the clock shows a plausible time")
    }
}

fn binaries(settings: &Settings) -> Finding {
    match services::require_built(settings) {
        Ok(()) => Finding::fine("all six services are built"),
        Err(fault) => Finding::remark(fault.what(), format!("{}, or let `maru-dev up` do it", fault.mend())),
    }
}

fn left_over(settings: &Settings) -> Finding {
    let left = run_directory::left_over(&settings.run());
    if left.is_empty() {
        return match writable(&settings.data) {
            Ok(()) => Finding::fine("nothing is left of an interrupted run"),
            Err(fault) => Finding::blocks(fault.what(), fault.mend()),
        };
    }
    let names: Vec<String> = left.iter().map(|(name, pid)| format!("{name} (pid {pid})")).collect();
    Finding::remark(
        format!("an interrupted run has left {}", names.join(", ")),
        "nothing to do: the next `maru-dev up` or `maru-dev down` ends them",
    )
}

/// Whether the data directory, if it exists, may be written by this user.
fn writable(data: &Path) -> Result<(), Fault> {
    if !data.exists() {
        return Ok(());
    }
    rustix::fs::access(data, rustix::fs::Access::WRITE_OK)
        .map_err(|error| Fault::io(format!("write in {}", data.display()), &error.into()))
}
