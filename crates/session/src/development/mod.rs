//! Commands for development machines. They refuse to run anywhere else.

mod seed;

use chassis::problem::Outcome;
use clap::Subcommand;

use crate::app::App;

/// `maru-session`'s own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes the demo sessions that are missing (development only)
    Seed,
}

/// Runs a command.
///
/// # Errors
/// Returns a problem outside development, or when the database is away.
pub async fn run(app: App, command: Command) -> Outcome<()> {
    app.ground.config.only_in_development()?;
    match command {
        Command::Seed => seed::run(&app).await,
    }
}
