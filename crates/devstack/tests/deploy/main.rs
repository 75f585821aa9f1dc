//! What is deployed fits what is built: manifests, compose file, dashboards, alerts and the reference, against the binaries
//! and the sources. No cluster and no container engine is needed.
//!
//! Three files are made here, with `UPDATE=1`: the reference in `docs/operations.md`, the list in `.env.example`, and the
//! alert rules in the form of the Prometheus operator.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod alerts;
mod compose;
mod documents;
mod environment;
mod keys;
mod kustomize;
mod metrics;
mod network;
mod query;
mod reference;
mod selectors;
mod workloads;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Every service, the gateway first.
pub(crate) const SERVICES: [&str; 6] = ["gateway", "auth", "session", "ticketing", "emotion", "memo"];

/// A file or a directory of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A place of its own for each call, in no test's way.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deploy-{name}-{}-{number}", std::process::id()))
}

/// The text of a file of the repository.
pub(crate) fn text_of(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files with this ending under a directory of the repository, in order.
pub(crate) fn files_under(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![repository(directory)];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                waiting.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == ending) {
                found.push(entry);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{ending} under {directory}");
    found
}
