//! `maru-dev auth ...` and `maru-dev tokens`: the auth service's own commands, in the surroundings of the running stack.

use std::process::{ExitCode, Stdio};

use tokio::process::Command;

use crate::{
    fault::Fault,
    secrets::Secrets,
    services::{self, Surroundings},
    settings::{DEVELOPMENT, Settings},
    state::{self, State},
};

/// Runs `maru-auth` with these arguments, as in `grant --email somebody@example.com --role organizer`.
pub(crate) async fn run(settings: &Settings, arguments: &[String]) -> Result<ExitCode, Fault> {
    run_beside(settings, state::of_running(settings)?, arguments).await
}

/// Prints `id<TAB>access_token` of fresh development users, `count` times, for load drivers.
pub(crate) async fn tokens(settings: &Settings, count: u32) -> Result<ExitCode, Fault> {
    let state = state::of_running(settings)?;
    if !settings.is_development() || state.environment != DEVELOPMENT {
        return Err(Fault::new(
            "tokens are made in development only",
            "start the stack without MARU_ENV, or with MARU_ENV=development",
        ));
    }
    run_beside(settings, state, &["tokens".to_owned(), "--count".to_owned(), count.to_string()]).await
}

async fn run_beside(settings: &Settings, state: State, arguments: &[String]) -> Result<ExitCode, Fault> {
    services::require_built(settings)?;
    let around = Surroundings {
        environment: state.environment,
        database_urls: state.database_urls,
        redis_url: state.redis_url,
        store: state.s3,
        gateway_url: state.gateway_url,
        mail: settings.mail(),
        secrets: Secrets::load_or_make(&settings.data.join("secrets.json"))?,
        scripted_llm: None,
    };
    let mut command = Command::new(services::executable(settings, "auth"));
    command.args(arguments).current_dir(&settings.root).stdin(Stdio::null());
    around.environment_of("auth", None).apply(&mut command);
    let status = command.status().await.map_err(|error| Fault::io("run `maru-auth`", &error))?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
