//! The platform that runs on this machine, as `maru-dev status --json` tells it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use tokio::process::Command;

use crate::{report::target_directory, trouble::Trouble};

/// What is needed of the status.
#[derive(Debug, Deserialize)]
pub(crate) struct Platform {
    /// The address people use.
    pub(crate) gateway_url: String,
    /// Process ids by name.
    pub(crate) pids: BTreeMap<String, Pids>,
    /// Where each service's database is.
    #[serde(default)]
    pub(crate) database_urls: BTreeMap<String, String>,
    /// Where Redis is.
    #[serde(default)]
    pub(crate) redis_url: String,
    /// Where the model is that follows scripts, when the platform was started with one.
    #[serde(default)]
    pub(crate) scripted_llm_url: Option<String>,
}

/// One process, or the replicas of a service.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Pids {
    One(u32),
    Several(Vec<u32>),
}

impl Pids {
    /// Returns all of them.
    pub(crate) fn list(&self) -> &[u32] {
        match self {
            Self::One(pid) => std::slice::from_ref(pid),
            Self::Several(pids) => pids,
        }
    }
}

impl Platform {
    /// Asks what runs.
    pub(crate) async fn ask() -> Result<Self, Trouble> {
        let program = find_maru_dev()?;
        let output = Command::new(&program).args(["status", "--json"]).kill_on_drop(true).output().await?;
        serde_json::from_slice(&output.stdout).map_err(|fault| {
            let said = String::from_utf8_lossy(&output.stderr);
            Trouble::Missing(format!("the platform does not run ({fault}): start it with `make run` first\n{said}"))
        })
    }

    /// Returns the processes of a part.
    pub(crate) fn pids_of(&self, name: &str) -> &[u32] {
        self.pids.get(name).map_or(&[], Pids::list)
    }
}

/// Finds `maru-dev` beside this program, else among what was built.
fn find_maru_dev() -> Result<PathBuf, Trouble> {
    let beside = std::env::current_exe()?.with_file_name("maru-dev");
    let target = target_directory();
    [beside, target.join("release/maru-dev"), target.join("debug/maru-dev")]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Trouble::Missing("maru-dev is not built: start the platform with `make run` first".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_lists_and_single_pids() {
        let json = r#"{ "gateway_url": "http://127.0.0.1:8080", "offline_llm": true,
            "pids": { "gateway": [11], "auth": [12, 13], "postgres": 14, "maru_dev": 15 } }"#;
        let status: Platform = serde_json::from_str(json).unwrap();
        assert_eq!(status.pids["auth"].list(), [12, 13]);
        assert_eq!(status.pids["postgres"].list(), [14]);
    }
}
