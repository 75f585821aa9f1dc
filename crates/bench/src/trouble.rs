//! Why a scenario could not be measured.

/// A reason for which there are no figures; the text is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Something is missing on this machine; the text says how to get it.
    #[error("{0}")]
    Missing(String),
    /// Something that was started did not do what it must.
    #[error("{0}")]
    Broken(String),
    /// A person or a supervisor ended the run.
    #[error("interrupted")]
    Interrupted,
    /// The system refused something.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Trouble {
    /// Returns the process's exit code: 2 for what a person has to mend first.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Missing(_) => 2,
            Self::Broken(_) | Self::Io(_) => 1,
            Self::Interrupted => 130,
        }
    }
}
