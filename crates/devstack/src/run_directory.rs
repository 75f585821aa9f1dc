//! Records of what runs.
//!
//! Every `maru-dev` that starts children keeps one directory of records: who it is itself, one file per child, and the
//! directories it made to throw away. An orderly end removes all of it. After a crash the next `maru-dev` finds records
//! whose owner is gone, ends what is left and deletes what was to be thrown away.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    files,
    process::{Identity, Stop},
};

/// How long a left-over child may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long it may take when pressed.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);

const OWNER: &str = "owner.json";
const SCRATCH: &str = "scratch.json";
const CHILD_PREFIX: &str = "child-";

/// The records of one run.
pub(crate) struct RunDirectory {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Child {
    identity: Identity,
    stop: Stop,
}

impl RunDirectory {
    /// Opens the records of a run of this process.
    pub(crate) fn open(run: &Path, name: &str) -> Result<Self, Fault> {
        let path = run.join(name);
        files::private_directory(&path)?;
        files::replace_json(&path.join(OWNER), &Identity::own())?;
        Ok(Self { path })
    }

    /// Records a child that has just started.
    pub(crate) fn started(&self, name: &str, identity: Identity, stop: Stop) -> Result<(), Fault> {
        files::replace_json(&self.child(name), &Child { identity, stop })
    }

    /// Forgets a child that has ended.
    pub(crate) fn ended(&self, name: &str) {
        let _ = fs::remove_file(self.child(name));
    }

    /// Records a directory to delete at the end of the run.
    pub(crate) fn throw_away(&self, directory: &Path) -> Result<(), Fault> {
        files::replace_json(&self.path.join(SCRATCH), &directory)
    }

    /// Ends the run: deletes what was to be thrown away, and the records.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        delete(&self.path)
    }

    fn child(&self, name: &str) -> PathBuf {
        self.path.join(format!("{CHILD_PREFIX}{name}.json"))
    }
}

/// Ends and deletes what runs without an owner have left, and tells the names of the children that were still there.
pub(crate) async fn reap(run: &Path) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for directory in abandoned(run) {
        let mut children = children(&directory);
        children.retain(|(_, child)| child.identity.is_alive());
        for (_, child) in &children {
            child.identity.ask(child.stop);
        }
        for (name, child) in children {
            end(&child).await;
            names.push(name);
        }
        delete(&directory)?;
    }
    Ok(names)
}

/// The children that runs without an owner have left.
pub(crate) fn left_over(run: &Path) -> Vec<(String, u32)> {
    let all = abandoned(run).into_iter().flat_map(|directory| children(&directory));
    all.filter(|(_, child)| child.identity.is_alive()).map(|(name, child)| (name, child.identity.pid)).collect()
}

/// Waits for a process that was asked to end, and insists.
pub(crate) async fn insist(identity: &Identity, stop: Stop) {
    end(&Child { identity: identity.clone(), stop }).await;
}

async fn end(child: &Child) {
    if child.identity.ended_within(PATIENCE).await {
        return;
    }
    child.identity.press(child.stop);
    if child.identity.ended_within(SHORT_PATIENCE).await {
        return;
    }
    child.identity.kill(child.stop);
    child.identity.ended_within(SHORT_PATIENCE).await;
}

fn abandoned(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.is_dir())
        .filter(|path| {
            let owner: Option<Option<Identity>> = files::read_json(&path.join(OWNER));
            !owner.flatten().is_some_and(|identity| identity.is_alive())
        })
        .collect()
}

fn children(directory: &Path) -> Vec<(String, Child)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let file = entry.file_name();
            let name = file.to_str()?.strip_prefix(CHILD_PREFIX)?.strip_suffix(".json")?.to_owned();
            Some((name, files::read_json(&entry.path())?))
        })
        .collect()
}

fn delete(directory: &Path) -> Result<(), Fault> {
    if let Some(scratch) = files::read_json::<PathBuf>(&directory.join(SCRATCH)) {
        files::delete_directory(&scratch)?;
    }
    files::delete_directory(directory)
}
