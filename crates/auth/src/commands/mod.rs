//! `maru-auth`'s own commands: roles, erasures and the audit chain for operators; demo accounts and tokens for development
//! machines, which refuse to run anywhere else.

mod audit;
mod erase;
mod grant;
mod seed;
mod tokens;

use chassis::problem::Outcome;
use clap::{Subcommand, ValueEnum};
use domain::principal::Role;
use uuid::Uuid;

use crate::app::App;

/// `maru-auth`'s own commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Gives an account a role; taking one away ends its logins
    Grant {
        /// The account's e-mail address.
        #[arg(long)]
        email: String,
        /// The role.
        #[arg(long, value_enum)]
        role: RoleName,
    },
    /// Erases accounts in every service, as their owners would, and prints the receipt of each: for who was erased before
    /// and came back with a backup
    Erase {
        /// The account's id; may be given more than once.
        #[arg(long, required = true)]
        user: Vec<Uuid>,
    },
    /// Reads the audit log
    Audit {
        /// What to do.
        #[command(subcommand)]
        what: AuditCommand,
    },
    /// Makes the demo accounts that are missing (development only)
    Seed,
    /// Prints access tokens of new accounts, id and token separated by a tab (development only)
    Tokens {
        /// How many accounts to make.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
    },
}

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Walks the chain and says whether it is whole
    Verify,
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleName {
    /// A person with their own things.
    User,
    /// May run events of their own.
    Organizer,
    /// May run everybody's events.
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::User => Self::User,
            RoleName::Organizer => Self::Organizer,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// Runs a command.
///
/// # Errors
/// Returns a problem when the database is away, when there is no such account, when the chain is broken, and for a
/// development command anywhere else.
pub async fn run(app: App, command: Command) -> Outcome<()> {
    match command {
        Command::Grant { email, role } => grant::run(&app, &email, role.into()).await,
        Command::Erase { user } => erase::run(&app, &user, &mut std::io::stdout().lock()).await,
        Command::Audit { what: AuditCommand::Verify } => audit::run(&app, &mut std::io::stdout().lock()).await,
        Command::Seed => {
            app.ground.config.only_in_development()?;
            seed::run(&app).await
        }
        Command::Tokens { count } => {
            app.ground.config.only_in_development()?;
            tokens::run(&app, count, &mut std::io::stdout().lock()).await
        }
    }
}
