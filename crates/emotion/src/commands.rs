//! `maru-emotion`'s own commands.

use std::{io::Write, path::PathBuf};

use chassis::problem::{Outcome, Problem};
use clap::Subcommand;

use crate::{app::App, context::instruction_store, development};

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sets what models are told beside the safety policy, for every replica that is not configured with a file
    SystemPrompt {
        /// What to do.
        #[command(subcommand)]
        what: SystemPromptCommand,
    },
    /// Makes the demo conversation unless it is there (development only)
    Seed,
}

/// What to do with the system prompt.
#[derive(Debug, Subcommand)]
pub enum SystemPromptCommand {
    /// Sets it to the text of a file of at most 8 KiB; what is said from two seconds later on is answered with it
    Set {
        /// The file.
        file: PathBuf,
    },
    /// Prints it
    Show,
    /// Removes it
    Unset,
}

/// Runs a command.
///
/// # Errors
/// Returns a problem when the database is away, a file cannot be read, or a command for development is run elsewhere.
pub async fn run(app: App, command: Command) -> Outcome<()> {
    match command {
        Command::SystemPrompt { what } => system_prompt(&app, what, &mut std::io::stdout()).await,
        Command::Seed => {
            app.ground.config.only_in_development()?;
            development::seed(&app).await
        }
    }
}

async fn system_prompt(app: &App, what: SystemPromptCommand, out: &mut impl Write) -> Outcome<()> {
    let mut conn = app.ground.pg.conn().await?;
    match what {
        SystemPromptCommand::Set { file } => {
            let text = tokio::fs::read_to_string(file).await.map_err(Problem::unexpected)?;
            instruction_store::put(&mut conn, &text).await
        }
        SystemPromptCommand::Show => {
            let text = instruction_store::find(&conn).await?.unwrap_or_default();
            writeln!(out, "{text}").map_err(Problem::unexpected)
        }
        SystemPromptCommand::Unset => instruction_store::delete(&mut conn).await,
    }
}
