//! Commands for development machines: the demo events. They refuse to run anywhere else.

mod programme;
mod seed;

use chassis::problem::Outcome;
use clap::Subcommand;

use crate::app::App;

/// `maru-ticketing`'s own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes the demo events that are missing, and puts those whose sale has ended on sale again (development only)
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
