//! The command line every binary has: `serve`, `migrate`, `healthcheck`, `check-config`, `openapi`, and its own.

use std::{io::Write, process::ExitCode, time::Duration};

use clap::{Command, FromArgMatches, Subcommand};
use diesel_migrations::EmbeddedMigrations;
use domain::principal::Service;

use crate::{
    config::{self, Config, EXIT_CONFIG},
    migrate, openapi,
    pg::PgConfig,
    problem::{Outcome, Problem},
    server::Bound,
    telemetry::{self, TelemetryConfig},
};

/// Threads for background loops; requests are served by the HTTP workers' own.
const BACKGROUND_THREADS: usize = 2;

/// A binary of the platform.
pub trait Program {
    /// Its configuration.
    type Config: Config;
    /// Its own commands.
    type Command: Subcommand;

    /// Which process it is.
    const SERVICE: Service;
    /// The binary's name, `maru-<service>`.
    const BINARY: &'static str;
    /// One line for `--help`.
    const ABOUT: &'static str;

    /// Returns the telemetry part of the configuration.
    fn telemetry(config: &Self::Config) -> &TelemetryConfig;
    /// Returns the port its probes are on.
    fn probe_port(config: &Self::Config) -> u16;
    /// Returns its database and the migrations of it, if it has one.
    fn database(config: &Self::Config) -> Option<(&PgConfig, EmbeddedMigrations)>;
    /// Returns its API document.
    fn openapi() -> utoipa::openapi::OpenApi;
    /// Builds the process and starts to listen.
    fn build(config: Self::Config) -> impl Future<Output = Outcome<Bound>>;
    /// Runs one of its own commands.
    fn command(config: Self::Config, command: Self::Command) -> impl Future<Output = Outcome<()>>;
}

/// For binaries without commands of their own.
#[derive(Debug, Subcommand)]
pub enum NoCommand {}

/// Runs a binary to its exit status.
pub fn main<P: Program>() -> ExitCode {
    let matches = command::<P>().get_matches();
    let Some((name, flags)) = matches.subcommand() else { return ExitCode::from(EXIT_CONFIG) };
    if name == "openapi" {
        return print(&openapi::complete(P::openapi()).to_pretty_json().unwrap_or_default());
    }
    let config = match config::read::<P::Config>(Some(flags), &config::process_vars()) {
        Ok(config) => config,
        Err(faults) => return complain(&faults.to_string(), EXIT_CONFIG),
    };
    let outcome = match name {
        "check-config" => return print("the configuration is sound\n"),
        "migrate" => migrate_database::<P>(&config),
        "healthcheck" => healthcheck(P::probe_port(&config)),
        "serve" => in_runtime::<P, _>(config, |config| async {
            P::build(config).await?.run().await.map_err(Problem::unexpected)
        }),
        _ => match P::Command::from_arg_matches(&matches) {
            Ok(command) => in_runtime::<P, _>(config, |config| P::command(config, command)),
            Err(error) => return complain(&error.to_string(), EXIT_CONFIG),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => complain(&format!("maru-{} {name}: {problem:?}\n", P::SERVICE), 1),
    }
}

fn command<P: Program>() -> Command {
    let shared = [
        ("serve", "Serves until SIGTERM"),
        ("migrate", "Applies pending schema changes; safe to run twice at once"),
        ("healthcheck", "Asks this machine's own /readyz; for container images without a shell"),
        ("check-config", "Reports every fault of the configuration"),
    ];
    let mut command = Command::new(P::BINARY)
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true);
    command = P::Command::augment_subcommands(command)
        .about(P::ABOUT)
        .long_about(P::ABOUT)
        .mut_subcommands(config::declare::<P::Config>);
    for (name, about) in shared {
        command = command.subcommand(config::declare::<P::Config>(Command::new(name).about(about)));
    }
    command.subcommand(Command::new("openapi").about("Prints the API document (OpenAPI 3.1, JSON)"))
}

fn in_runtime<P: Program, F: Future<Output = Outcome<()>>>(
    config: P::Config,
    run: impl FnOnce(P::Config) -> F,
) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(BACKGROUND_THREADS)
        .thread_name("background")
        .enable_all()
        .build()
        .map_err(Problem::unexpected)?;
    let telemetry = P::telemetry(&config).clone();
    runtime.block_on(async {
        let _flushed_at_the_end = telemetry::init(P::SERVICE.name(), &telemetry);
        run(config).await
    })
}

fn migrate_database<P: Program>(config: &P::Config) -> Outcome<()> {
    let _flushed_at_the_end = telemetry::init(P::SERVICE.name(), P::telemetry(config));
    if let Some((pg, migrations)) = P::database(config) {
        let applied = migrate::run(&pg.database_url, migrations)?;
        tracing::info!(applied, "the schema is up to date");
    }
    Ok(())
}

fn healthcheck(port: u16) -> Outcome<()> {
    use std::io::Read;
    let limit = Duration::from_secs(2);
    let ask = || -> std::io::Result<bool> {
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = std::net::TcpStream::connect_timeout(&addr, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.starts_with(b"HTTP/1.1 200"))
    };
    match ask() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Problem::unavailable("not ready")),
        Err(error) => Err(Problem::unavailable(error)),
    }
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed_pipe) => ExitCode::FAILURE,
    }
}

fn complain(text: &str, status: u8) -> ExitCode {
    // Nobody is left to tell when the error stream is closed.
    _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(status)
}
