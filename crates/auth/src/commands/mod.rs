//! Commands for development machines: demo accounts, and tokens for load drivers. They refuse to run anywhere else.

mod seed;
mod tokens;

use chassis::problem::Outcome;
use clap::Subcommand;

use crate::app::App;

/// `maru-auth`'s own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes the demo accounts that are missing (development only)
    Seed,
    /// Prints access tokens of new accounts, id and token separated by a tab (development only)
    Tokens {
        /// How many accounts to make.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
}

/// Runs a command.
///
/// # Errors
/// Returns a problem outside development, or when the database is away.
pub async fn run(app: App, command: Command) -> Outcome<()> {
    app.ground.config.only_in_development()?;
    match command {
        Command::Seed => seed::run(&app).await,
        Command::Tokens { count } => tokens::run(&app, count, &mut std::io::stdout().lock()).await,
    }
}
