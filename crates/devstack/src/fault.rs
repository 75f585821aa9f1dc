//! Set-up faults.
//!
//! A person who runs `maru-dev` and meets a fault gets one sentence: what is wrong, and what to do about it. Every
//! fault of this crate is therefore built from these two halves, and may carry the last log lines of the program that
//! failed.

use std::{fmt, io};

/// What is wrong and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    what: String,
    mend: String,
    evidence: Vec<String>,
}

impl Fault {
    /// A fault in two halves of one sentence, without a final full stop.
    pub(crate) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into(), evidence: Vec::new() }
    }

    /// An operating system fault met while `doing` something ("write /x/y"). A full disk and missing rights are the two
    /// that a person can mend, so these get a sentence of their own.
    pub(crate) fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(format!("the disk is full (could not {doing})"), "free some space and run this again")
            }
            io::ErrorKind::PermissionDenied => Self::new(
                format!("no rights to {doing}"),
                "run this as the user who ran it first, or set MARU_DATA_DIR to a directory of your own",
            ),
            _ => Self::new(format!("could not {doing}: {error}"), "`maru-dev doctor` may tell more"),
        }
    }

    /// Adds the last lines of a log, shown beneath the sentence.
    pub(crate) fn with_evidence(mut self, lines: Vec<String>) -> Self {
        self.evidence = lines;
        self
    }

    /// What is wrong, without the mend.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// How to mend it.
    pub(crate) fn mend(&self) -> &str {
        &self.mend
    }

    /// The log lines that belong to the fault.
    pub(crate) fn evidence(&self) -> &[String] {
        &self.evidence
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.mend)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_mend() {
        let fault = Fault::io("write /x", &io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(fault.to_string(), "the disk is full (could not write /x): free some space and run this again");
    }
}
