//! What a child is: a program, its environment, its user and its place in the order of the end.

use std::path::PathBuf;

use tokio::process::Command;

use crate::{account::Account, process::Stop, settings};

/// A program to keep running.
pub(crate) struct Program {
    /// Unique name; also that of its log file.
    pub(crate) name: String,
    /// The file to execute.
    pub(crate) executable: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its environment: whole, or on top of this process's.
    pub(crate) environment: Environment,
    /// Where it works.
    pub(crate) directory: PathBuf,
    /// The user it runs as, if not this process's.
    pub(crate) account: Option<Account>,
    /// How it is asked to end.
    pub(crate) stop: Stop,
    /// When it ends.
    pub(crate) stage: Stage,
}

/// The environment of a child.
pub(crate) enum Environment {
    /// These variables only, and the search path.
    Only(Vec<(String, String)>),
    /// This process's environment with these changes; `None` removes.
    Changed(Vec<(String, Option<String>)>),
}

impl Environment {
    /// Applies it to a command.
    pub(crate) fn apply(&self, command: &mut Command) {
        match self {
            Self::Only(variables) => {
                command
                    .env_clear()
                    .env("PATH", settings::search_path_variable())
                    .envs(variables.iter().map(|(key, value)| (key, value)));
            }
            Self::Changed(changes) => {
                for (key, value) in changes {
                    match value {
                        Some(value) => command.env(key, value),
                        None => command.env_remove(key),
                    };
                }
            }
        }
    }
}

/// When a child ends. The order of the variants is the order of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Takes no more requests, first of all.
    Gateway,
    /// Then the services finish theirs.
    Services,
    /// Then what they need is no longer needed.
    Redis,
    /// PostgreSQL last: it is the truth.
    Postgres,
}
