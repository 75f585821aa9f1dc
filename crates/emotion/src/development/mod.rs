//! Commands for development machines: a demo conversation. They refuse to run anywhere else.

mod seed;

use chassis::problem::Outcome;
use clap::Subcommand;

use crate::app::App;

/// `maru-emotion`'s own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes the demo conversation unless it is there (development only)
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
