//! `maru-dev up`: from nothing to ready, and back.

use std::{
    collections::BTreeMap,
    process::{ExitCode, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::{
    compile,
    fault::Fault,
    home::Home,
    lock::Lock,
    log_file::{LogFile, run_into},
    parts::{Parts, Workshop},
    postgres::Purpose,
    probe,
    progress::Progress,
    run_directory::{self, RunDirectory},
    scripted_llm,
    secrets::Secrets,
    services::{self, Address, GATEWAY, Replicas, SERVICES, Surroundings},
    settings::Settings,
    signals::Interrupts,
    state::{self, Pids, State},
    summary,
    supervise::{Household, Watched, describe},
    terminal::Terminal,
};

/// How long a service may take from its start to ready.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// How often a starting service is asked.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// The usual exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// What `up` was asked for.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "a command line is made of switches")]
pub(crate) struct Options {
    /// Replicas of each service.
    pub(crate) replicas: Replicas,
    /// Whether to start what is there, without building.
    pub(crate) skip_build: bool,
    /// Whether to start a model that follows scripts.
    pub(crate) scripted_llm: bool,
    /// Whether PostgreSQL has a standby.
    pub(crate) postgres_standby: bool,
    /// Whether Redis is a cluster.
    pub(crate) redis_cluster: bool,
    /// Whether to start PostgreSQL, Redis and object storage only.
    pub(crate) parts_only: bool,
    /// Whether nobody watches: lines of the services go to their files only.
    pub(crate) in_background: bool,
}

/// Everything that runs.
struct Stack {
    state: State,
    parts: Parts,
    /// By service; the gateway too.
    processes: BTreeMap<String, Vec<Watched>>,
    took: Duration,
}

/// Starts the stack, keeps it running until a signal comes, and stops it.
pub(crate) async fn run(settings: &Settings, options: &Options, terminal: &Terminal) -> Result<ExitCode, Fault> {
    let interrupts = Interrupts::listen()?;
    let _lock = Lock::take(&settings.run())?;
    state::remove(settings);
    let reaped = run_directory::reap(&settings.run()).await?;
    if !reaped.is_empty() {
        terminal.notice(format!("ended what an interrupted run had left: {}", reaped.join(", ")));
    }
    let port = settings.gateway_port.choose()?;
    let records = RunDirectory::open(&settings.run(), "up")?;
    let household = Household::new(records, terminal, settings.logs(), interrupts.kill.clone());
    let started = tokio::select! {
        started = Box::pin(start(settings, options, &household, terminal, port)) => Some(started),
        () = interrupts.stop.cancelled() => None,
    };
    let outcome = match started {
        None => Ok(ExitCode::from(INTERRUPTED)),
        Some(Err(fault)) => Err(fault),
        Some(Ok(stack)) => {
            household.announce(!options.in_background);
            summary::show(terminal, &stack.state, stack.took, options.in_background);
            attend(settings, stack, &household, &interrupts, terminal).await?;
            Ok(ExitCode::SUCCESS)
        }
    };
    let ended = household.end().await;
    state::remove(settings);
    let outcome = outcome?;
    ended?;
    terminal.line("Maru is stopped.");
    Ok(outcome)
}

/// Keeps the document about the stack true until a signal comes, then stops everything. The object storage lives as
/// long as `stack`, so it outlives the services.
async fn attend(
    settings: &Settings,
    mut stack: Stack,
    household: &Household,
    interrupts: &Interrupts,
    terminal: &Terminal,
) -> Result<(), Fault> {
    while interrupts.stop.run_until_cancelled(household.changed()).await.is_some() {
        stack.state.pids = pids(&stack.parts, &stack.processes);
        if let Err(fault) = stack.state.write(settings) {
            terminal.fault(&fault);
        }
    }
    terminal.line("Stopping Maru (Ctrl-C once more stops it at once) ...");
    household.end().await
}

async fn start(
    settings: &Settings,
    options: &Options,
    household: &Household,
    terminal: &Terminal,
    port: u16,
) -> Result<Stack, Fault> {
    let begun = Instant::now();
    let progress = Progress::begin(terminal);
    let secrets = Secrets::load_or_make(&settings.data.join("secrets.json"))?;
    let kept_ports = Mutex::new(state::ports(settings));
    let workshop = Workshop {
        settings,
        household,
        ports: &kept_ports,
        secrets: &secrets,
        progress: &progress,
        purpose: Purpose::Development,
        standby: options.postgres_standby,
        redis_cluster: options.redis_cluster,
    };
    let built = async {
        if options.parts_only {
            return Ok(());
        }
        if !options.skip_build {
            compile::build(settings, &progress, options.scripted_llm).await?;
        }
        services::require_built(settings)
    };
    let ((), parts) = tokio::try_join!(built, workshop.start(|| Home::lasting(settings)))?;
    let scripted_llm = if options.scripted_llm { Some(scripted_llm::start(&workshop)?) } else { None };
    let around = Surroundings {
        environment: settings.environment.clone(),
        database_urls: services::database_urls(&parts.server)?,
        redis_url: parts.redis.url.clone(),
        store: parts.store.clone(),
        gateway_url: format!("http://127.0.0.1:{port}"),
        mail: settings.mail(),
        secrets: secrets.clone(),
        scripted_llm,
    };
    let (addresses, processes) = if options.parts_only {
        (Addresses::default(), BTreeMap::new())
    } else {
        prepare(settings, &around, &progress).await?;
        start_services(settings, options, &workshop, &around, port).await?
    };
    workshop.with_ports(|ports| ports.save())?;
    let state = State {
        environment: around.environment,
        gateway_url: around.gateway_url,
        gateway_urls: addresses.gateways,
        gateway_admin_urls: addresses.admins,
        services: addresses.services,
        database_urls: around.database_urls,
        postgres_standby_url: parts.standby.as_ref().map(|standby| standby.url.clone()),
        redis_url: around.redis_url,
        s3: around.store,
        demo_logins: State::demo_logins_of(settings),
        offline_llm: settings.offline_llm && !options.scripted_llm,
        scripted_llm_url: around.scripted_llm,
        pids: pids(&parts, &processes),
        logs: settings.logs(),
    };
    state.write(settings)?;
    Ok(Stack { state, parts, processes, took: begun.elapsed() })
}

/// Migrates every database and, in development, adds the demo data; all services at once.
async fn prepare(settings: &Settings, around: &Surroundings, progress: &Progress) -> Result<(), Fault> {
    progress.step("migrating the databases");
    let one = async |service: &str| {
        run_command(settings, around, service, "migrate").await?;
        if settings.is_development() { run_command(settings, around, service, "seed").await } else { Ok(()) }
    };
    let [auth, session, ticketing, emotion, memo] = SERVICES;
    tokio::try_join!(one(auth), one(session), one(ticketing), one(emotion), one(memo)).map(|_| ())
}

async fn run_command(settings: &Settings, around: &Surroundings, service: &str, verb: &str) -> Result<(), Fault> {
    let log = LogFile::open(&settings.logs(), &format!("{service}.{verb}"))?;
    let mut command = Command::new(services::executable(settings, service));
    command.arg(verb).current_dir(&settings.root).stdin(Stdio::null());
    around.environment_of(service, None).apply(&mut command);
    let status = run_into(&mut command, &log)
        .await
        .map_err(|error| Fault::io(format!("run `maru-{service} {verb}`"), &error))?;
    if status.success() {
        return Ok(());
    }
    let what = format!("`maru-{service} {verb}` {}", describe(status));
    let mend = "see the lines above; if the data is older than the program, `maru-dev reset` begins anew";
    Err(Fault::new(what, mend).with_evidence(log.recent()))
}

/// Where everything listens.
#[derive(Default)]
struct Addresses {
    services: BTreeMap<String, Vec<String>>,
    gateways: Vec<String>,
    /// The gateways' probes and metrics.
    admins: Vec<String>,
}

/// A process of a service.
struct Replica {
    service: &'static str,
    name: String,
    port: u16,
    admin: Option<u16>,
}

/// Gives everybody a port, before anybody starts: services call each other. The first gateway has the one that people
/// know.
fn place(replicas: &Replicas, workshop: &Workshop<'_>, port: u16) -> Result<(Addresses, Vec<Replica>), Fault> {
    let pick = |name: &str| workshop.with_ports(|ports| ports.pick(name));
    let mut addresses = Addresses::default();
    let mut all = Vec::new();
    for service in SERVICES {
        for number in 1..=replicas.of(service) {
            let name = format!("{service}.{number}");
            let port = pick(&name)?;
            addresses.services.entry(service.to_owned()).or_default().push(url(port));
            all.push(Replica { service, name, port, admin: None });
        }
    }
    for place in 0..replicas.of(GATEWAY) {
        let name = services::gateway_name(place);
        let port = if place == 0 { port } else { pick(&name)? };
        let admin = pick(&name.replacen(GATEWAY, "gateway-admin", 1))?;
        addresses.gateways.push(url(port));
        addresses.admins.push(url(admin));
        all.push(Replica { service: GATEWAY, name, port, admin: Some(admin) });
    }
    Ok((addresses, all))
}

async fn start_services(
    settings: &Settings,
    options: &Options,
    workshop: &Workshop<'_>,
    around: &Surroundings,
    port: u16,
) -> Result<(Addresses, BTreeMap<String, Vec<Watched>>), Fault> {
    workshop.progress.step("starting the services");
    let (addresses, replicas) = place(&options.replicas, workshop, port)?;
    let mut processes: BTreeMap<String, Vec<Watched>> = BTreeMap::new();
    let mut waiting = Vec::new();
    for Replica { service, name, port, admin } in replicas {
        let address = Address { port, admin, services: &addresses.services, gateways: &addresses.gateways };
        let watched = workshop.household.keep(services::program(settings, around, service, name, address))?;
        processes.entry(service.to_owned()).or_default().push(watched.clone());
        waiting.push((watched, admin.unwrap_or(port)));
    }
    wait_until_ready(waiting, workshop.progress).await?;
    Ok((addresses, processes))
}

/// Asks all that are not ready yet, again and again.
async fn wait_until_ready(mut waiting: Vec<(Watched, u16)>, progress: &Progress) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        let mut still = Vec::new();
        for (watched, port) in waiting {
            watched.check("see the lines above and its log")?;
            if !probe::is_ready(port).await {
                still.push((watched, port));
            }
        }
        waiting = still;
        let Some((slowest, _)) = waiting.first() else { return Ok(()) };
        if begun.elapsed() > READY_LIMIT {
            let what = format!("{} was not ready within {} s", slowest.name, READY_LIMIT.as_secs());
            return Err(Fault::new(what, "see the lines above and its log").with_evidence(slowest.recent_lines()));
        }
        let others = match waiting.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        progress.step(format!("waiting for {}{others}", slowest.name));
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn pids(parts: &Parts, processes: &BTreeMap<String, Vec<Watched>>) -> Pids {
    let of = |all: &Vec<Watched>| all.iter().filter_map(Watched::pid).collect();
    Pids {
        maru_dev: std::process::id(),
        postgres: parts.postgres.as_ref().and_then(Watched::pid),
        postgres_standby: parts.standby.as_ref().and_then(|standby| standby.watched.pid()),
        redis: parts.redis.server.as_ref().and_then(Watched::pid),
        redis_nodes: of(&parts.redis.nodes),
        services: processes.iter().map(|(name, all)| (name.clone(), of(all))).collect(),
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
