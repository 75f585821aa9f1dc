//! `maru-dev tokens`: access tokens of fresh development users, for load drivers.

use std::process::{ExitCode, Stdio};

use tokio::process::Command;

use crate::{
    fault::Fault,
    secrets::Secrets,
    services::{self, Surroundings},
    settings::{DEVELOPMENT, Settings},
    state,
};

/// Prints `id<TAB>access_token`, `count` times, by the auth service with the environment of the running stack.
pub(crate) async fn run(settings: &Settings, count: u32) -> Result<ExitCode, Fault> {
    let state = state::of_running(settings)?;
    if !settings.is_development() || state.environment != DEVELOPMENT {
        return Err(Fault::new(
            "tokens are made in development only",
            "start the stack without MARU_ENV, or with MARU_ENV=development",
        ));
    }
    services::require_built(settings)?;
    let around = Surroundings {
        environment: state.environment,
        database_urls: state.database_urls,
        redis_url: state.redis_url,
        store: state.s3,
        gateway_url: state.gateway_url,
        mail: settings.mail(),
        secrets: Secrets::load_or_make(&settings.data.join("secrets.json"))?,
    };
    let mut command = Command::new(services::executable(settings, "auth"));
    command.args(["tokens", "--count", &count.to_string()]).current_dir(&settings.root).stdin(Stdio::null());
    around.environment_of("auth", None).apply(&mut command);
    let status = command.status().await.map_err(|error| Fault::io("run `maru-auth tokens`", &error))?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
