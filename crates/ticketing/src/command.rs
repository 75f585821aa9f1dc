//! `maru-ticketing`'s own commands.

use chassis::problem::Outcome;
use clap::Subcommand;

use crate::{app::App, development, verify};

/// What the binary can do beside serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes the demo events that are missing, and puts those whose sale has ended on sale again (development only)
    Seed,
    /// Checks that stock, seats, holds, limits and payments agree with each other, on a live database; fails when not
    Verify,
}

/// Runs a command.
///
/// # Errors
/// Returns a problem when the database is away, `Seed` outside development, `Verify` when something is broken.
pub async fn run(app: App, command: Command) -> Outcome<()> {
    match command {
        Command::Seed => development::seed(&app).await,
        Command::Verify => verify::run(&app).await,
    }
}
