//! `maru-dev test`: every test against real, throw-away parts.
//!
//! PostgreSQL (without durability, in memory where there is room), Redis and object storage are started for this run
//! only; the tests find them through `MARU_TEST_*`. Whatever happens, including Ctrl-C, they end with the run. With
//! `MARU_TEST_S3_ENDPOINT` and its keys set, the tests meet that object storage instead of the built-in one.

use std::{
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus, Stdio},
    sync::Mutex,
};

use tokio::process::{Child, Command};

use crate::{
    fault::Fault,
    home::Home,
    locate,
    parts::{Parts, Workshop},
    ports::Ports,
    postgres::Purpose,
    process::{Identity, Stop, output_of},
    progress::Progress,
    run_directory::{self, RunDirectory},
    secrets::Secrets,
    settings::Settings,
    signals::Interrupts,
    supervise::Household,
    terminal::Terminal,
};

/// The usual exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// What the tests meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Whether Redis is a cluster.
    pub(crate) redis_cluster: bool,
    /// Whether PostgreSQL has a standby.
    pub(crate) postgres_standby: bool,
}

/// Runs the tests with these further arguments for their runner, and passes its exit code on.
pub(crate) async fn run(
    settings: &Settings,
    shape: Shape,
    arguments: &[String],
    terminal: &Terminal,
) -> Result<ExitCode, Fault> {
    // Tests never see a server of the caller: they make and drop databases, and sweep buckets. An object store that is
    // named as theirs is another matter.
    let object_store = settings.test_object_store.clone();
    let settings = Settings { database_url: None, redis_url: None, object_store, ..settings.clone() };
    let interrupts = Interrupts::listen()?;
    run_directory::reap(&settings.run()).await?;
    let name = format!("test-{}", std::process::id());
    let records = RunDirectory::open(&settings.run(), &name)?;
    let household = Household::new(records, terminal, settings.logs().join("test"), interrupts.kill.clone());
    let started = tokio::select! {
        started = Box::pin(start(&settings, shape, &household, terminal, &name)) => Some(started),
        () = interrupts.stop.cancelled() => None,
    };
    let outcome = match started {
        None => Ok(ExitCode::from(INTERRUPTED)),
        Some(Err(fault)) => Err(fault),
        Some(Ok(parts)) => test(&settings, arguments, &parts, &household, &interrupts).await,
    };
    let ended = household.end().await;
    let outcome = outcome?;
    ended?;
    Ok(outcome)
}

async fn start(
    settings: &Settings,
    shape: Shape,
    household: &Household,
    terminal: &Terminal,
    name: &str,
) -> Result<Parts, Fault> {
    let progress = Progress::begin(terminal);
    let secrets = Secrets::make()?;
    let ports = Mutex::new(Ports::transient());
    let workshop = Workshop {
        settings,
        household,
        ports: &ports,
        secrets: &secrets,
        progress: &progress,
        purpose: Purpose::Tests,
        standby: shape.postgres_standby,
        redis_cluster: shape.redis_cluster,
    };
    workshop
        .start(|| {
            let home = Home::passing(settings, name)?;
            household.throw_away(&home.path)?;
            Ok(home)
        })
        .await
}

async fn test(
    settings: &Settings,
    arguments: &[String],
    parts: &Parts,
    household: &Household,
    interrupts: &Interrupts,
) -> Result<ExitCode, Fault> {
    let mut command = runner(arguments)?;
    command.current_dir(&settings.root).envs(variables(parts));
    // A group of its own, so that an interrupt ends the tests and not only cargo; and no terminal to read from, which
    // would stop a group in the background.
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| Fault::io("run cargo", &error))?;
    household.note("runner", child.id(), Stop::Group)?;
    let status = tokio::select! {
        status = child.wait() => Some(status),
        () = interrupts.stop.cancelled() => None,
    };
    if let Some(status) = status {
        return Ok(code_of(status.map_err(|error| Fault::io("wait for the tests", &error))?));
    }
    end(child, interrupts).await;
    Ok(ExitCode::from(INTERRUPTED))
}

/// cargo-nextest when it is here: it runs each test in a process of its own.
fn runner(arguments: &[String]) -> Result<Command, Fault> {
    let cargo = locate::in_search_path("cargo")
        .ok_or_else(|| Fault::new("cargo is not in PATH", "install Rust from https://rustup.rs"))?;
    let with_nextest = output_of(&cargo, &["nextest", "--version"]).is_some();
    let mut command = Command::new(cargo);
    command.args(if with_nextest { ["nextest", "run"].as_slice() } else { &["test"] });
    if !arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package")) {
        command.arg("--workspace");
    }
    command.args(arguments);
    Ok(command)
}

fn variables(parts: &Parts) -> [(&'static str, &str); 8] {
    let (store, redis) = (&parts.store, &parts.redis);
    [
        ("MARU_TEST_DATABASE_URL", &parts.server),
        ("MARU_TEST_REDIS_URL", &redis.url),
        ("MARU_TEST_SINGLE_REDIS_URL", redis.single_url.as_deref().unwrap_or_default()),
        ("MARU_TEST_S3_ENDPOINT", &store.endpoint),
        ("MARU_TEST_S3_BUCKET", &store.bucket),
        ("MARU_TEST_S3_REGION", &store.region),
        ("MARU_TEST_S3_ACCESS_KEY", &store.access_key_id),
        ("MARU_TEST_S3_SECRET_KEY", &store.secret_access_key),
    ]
}

async fn end(mut child: Child, interrupts: &Interrupts) {
    if let Some(identity) = child.id().and_then(Identity::of) {
        identity.ask(Stop::Group);
        let patient = async {
            tokio::select! {
                _ = child.wait() => {}
                () = run_directory::insist(&identity, Stop::Group) => {}
            }
        };
        if interrupts.kill.run_until_cancelled(patient).await.is_none() {
            identity.kill(Stop::Group);
        }
    }
    let _ = child.wait().await;
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
