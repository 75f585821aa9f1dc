//! The command line.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    auth_command, detach, doctor, down,
    fault::Fault,
    services::Replicas,
    settings::Settings,
    status,
    suite::{self, Shape},
    terminal::Terminal,
    up::{self, Options},
};

/// Open files that the children may have, where the hard limit allows it: two per socket through the gateway.
const OPEN_FILES: u64 = 65_536;

/// Maru on this machine: PostgreSQL, Redis, object storage and the six services, private to this checkout.
///
/// Environment: MARU_PORT (8080; `auto` = next free), MARU_DATA_DIR (.data), PG_BIN. DATABASE_URL, REDIS_URL, S3_* and
/// OPENAI_API_KEY switch each part to a real one. MARU_PROGRAMS names directories of other builds, old:new, from which the
/// replicas of each service take their programs in turn.
#[derive(Parser)]
#[command(name = "maru-dev", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything, and stop it on Ctrl-C
    Up(UpArguments),
    /// Stop what runs, and end what an interrupted run has left
    Down,
    /// Show what runs; exit code 0 only when all of it is ready
    Status {
        /// As one JSON document, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Look for what could be in the way, and say how to mend it
    Doctor,
    /// Stop, and delete all data, keys and logs
    Reset {
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
    /// Print `id<TAB>access token` of fresh development users
    Tokens {
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
    /// Run one of the auth service's commands beside the running stack, as in `auth grant --email a@b.kr --role admin`
    Auth {
        /// Passed on to `maru-auth`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
    /// Run all tests against throw-away parts
    Test {
        /// On Redis as a cluster of three nodes
        #[arg(long)]
        redis_cluster: bool,
        /// On PostgreSQL with a standby that streams from it
        #[arg(long)]
        postgres_standby: bool,
        /// Passed on to the test runner (after `--`), as in `-- -p auth` or `-- a_name`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "a command line is made of switches")]
struct UpArguments {
    /// Return when everything is ready; it runs on in the background
    #[arg(long)]
    detach: bool,
    /// More than one replica of a service, as in gateway=2,auth=2,ticketing=3; a further gateway has an address of its
    /// own
    #[arg(long, default_value = "", hide_default_value = true)]
    replicas: String,
    /// Start what is built, without building
    #[arg(long)]
    skip_build: bool,
    /// Start a model that follows scripts, and have the emotion service ask it; OPENAI_MODEL is the script, as in
    /// ttft=200,itl=20,n=100
    #[arg(long)]
    scripted_llm: bool,
    /// Start a standby of PostgreSQL too, which goes on in its place once it is promoted
    #[arg(long)]
    postgres_standby: bool,
    /// Start Redis as a cluster of three nodes
    #[arg(long)]
    redis_cluster: bool,
    /// PostgreSQL, Redis and object storage only
    #[arg(long, hide = true)]
    parts_only: bool,
    /// This process is the one that `--detach` has started
    #[arg(long, hide = true, conflicts_with = "detach")]
    in_background: bool,
}

/// Runs `maru-dev`.
pub fn run() -> ExitCode {
    let command_line = CommandLine::parse();
    let terminal = Terminal::new();
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(Box::pin(dispatch(command_line.command, &terminal))),
        Err(error) => Err(Fault::io("start threads", &error)),
    };
    outcome.unwrap_or_else(|fault| {
        terminal.fault(&fault);
        ExitCode::FAILURE
    })
}

async fn dispatch(command: Command, terminal: &Terminal) -> Result<ExitCode, Fault> {
    let settings = Settings::from_environment()?;
    match command {
        Command::Up(arguments) => up(&settings, &arguments, terminal).await,
        Command::Down => down::run(&settings, terminal).await,
        Command::Status { json } => status::run(&settings, json, terminal).await,
        Command::Doctor => Ok(doctor::run(&settings, terminal)),
        Command::Reset { yes } => down::reset(&settings, yes, terminal).await,
        Command::Tokens { count } => auth_command::tokens(&settings, count).await,
        Command::Auth { arguments } => auth_command::run(&settings, &arguments).await,
        Command::Test { redis_cluster, postgres_standby, arguments } => {
            suite::run(&settings, Shape { redis_cluster, postgres_standby }, &arguments, terminal).await
        }
    }
}

async fn up(settings: &Settings, arguments: &UpArguments, terminal: &Terminal) -> Result<ExitCode, Fault> {
    let replicas = Replicas::parse(&arguments.replicas)
        .map_err(|what| Fault::new(format!("--replicas: {what}"), "write it as in --replicas auth=2,ticketing=2"))?;
    if arguments.detach {
        return detach::run(settings, &arguments.for_the_other(), terminal).await;
    }
    if arguments.in_background {
        detach::leave_terminal();
    }
    let options = Options {
        replicas,
        skip_build: arguments.skip_build,
        scripted_llm: arguments.scripted_llm,
        postgres_standby: arguments.postgres_standby,
        redis_cluster: arguments.redis_cluster,
        parts_only: arguments.parts_only,
        in_background: arguments.in_background,
    };
    up::run(settings, &options, terminal).await
}

impl UpArguments {
    /// The arguments of the `up` that runs in the background.
    fn for_the_other(&self) -> Vec<String> {
        let mut all = vec!["up".to_owned(), "--in-background".to_owned(), format!("--replicas={}", self.replicas)];
        all.extend(self.skip_build.then(|| "--skip-build".to_owned()));
        all.extend(self.scripted_llm.then(|| "--scripted-llm".to_owned()));
        all.extend(self.postgres_standby.then(|| "--postgres-standby".to_owned()));
        all.extend(self.redis_cluster.then(|| "--redis-cluster".to_owned()));
        all.extend(self.parts_only.then(|| "--parts-only".to_owned()));
        all
    }
}

/// The usual soft limit of 1024 is less than one load test needs; children inherit what is set here.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES));
    if limit.current.is_some_and(|soft| soft < wanted) {
        // Where it is refused the old limit stays, which `doctor` shows.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_other_process_gets_the_same_wishes() {
        let parsed = CommandLine::parse_from(["maru-dev", "up", "--detach", "--replicas", "auth=2", "--skip-build"]);
        let Command::Up(arguments) = parsed.command else { panic!("up was asked for") };
        let other = arguments.for_the_other();
        assert_eq!(other, ["up", "--in-background", "--replicas=auth=2", "--skip-build"]);
    }
}
