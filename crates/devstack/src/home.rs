//! Where the data of PostgreSQL and Redis lives.
//!
//! An ordinary user's data lies in the data directory. Root's lies below `/var/lib/maru-dev`, because the user that
//! PostgreSQL runs as often cannot enter the checkout. A record in the data directory says which directory is meant, so
//! that a checkout that was moved finds its data again, and one that was copied does not open the other's.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    account::{self, Account},
    disk,
    fault::Fault,
    files,
    settings::Settings,
};

/// The directory below which root's stacks keep their data.
const SHARED: &str = "/var/lib/maru-dev";

/// Memory-backed storage; throw-away databases are twice as fast there.
const MEMORY: &str = "/dev/shm";

/// How much must be free in memory-backed storage to use it.
const ENOUGH_MEMORY: u64 = 1024 * 1024 * 1024;

/// A directory for data and the user it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The directory.
    pub(crate) path: PathBuf,
    /// Who owns what lies in it, if not the user of this process.
    pub(crate) account: Option<Account>,
}

/// The record of where the data is: `.data/postgres.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The directory that holds the data.
    pub(crate) directory: PathBuf,
    /// The data directory it was made for.
    made_for: PathBuf,
    /// The port of the last start.
    pub(crate) port: Option<u16>,
}

impl Home {
    /// The home of a stack that comes back.
    pub(crate) fn lasting(settings: &Settings) -> Result<Self, Fault> {
        let account = Account::for_children(&["postgres", "nobody"])?;
        files::private_directory(&settings.data)?;
        let data = settings
            .data
            .canonicalize()
            .map_err(|error| Fault::io(format!("enter {}", settings.data.display()), &error))?;
        let kept = read(settings).filter(|record| record.is_valid_for(&data));
        let path = match kept {
            Some(record) => record.directory,
            None if account.is_some() => Path::new(SHARED).join(short_hash(&data)),
            None => data.clone(),
        };
        let home = Self { path, account };
        home.create()?;
        let port = read(settings).and_then(|record| record.port);
        let record = Record { directory: home.path.clone(), made_for: data, port };
        files::replace_json(&record_file(settings), &record)?;
        Ok(home)
    }

    /// The home of a stack that is thrown away, named by `name`; in memory where there is room.
    pub(crate) fn passing(settings: &Settings, name: &str) -> Result<Self, Fault> {
        let account = Account::for_children(&["postgres", "nobody"])?;
        let in_memory = disk::free_bytes(Path::new(MEMORY)).is_some_and(|free| free > ENOUGH_MEMORY)
            && rustix::fs::access(MEMORY, rustix::fs::Access::WRITE_OK).is_ok();
        let path = if in_memory {
            Path::new(MEMORY).join(format!("maru-dev-{name}"))
        } else if account.is_some() {
            Path::new(SHARED).join(name)
        } else {
            settings.data.join(name)
        };
        let home = Self { path, account };
        home.create()?;
        Ok(home)
    }

    /// A directory inside, for its owner only.
    pub(crate) fn room(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.path.join(name);
        files::private_directory(&path)?;
        account::give(&path, self.account)?;
        Ok(path)
    }

    /// The other user must be able to pass through, so its directories are open for that; the rooms inside are not.
    fn create(&self) -> Result<(), Fault> {
        let doing = |error| Fault::io(format!("create {}", self.path.display()), &error);
        let mode = if self.account.is_some() { 0o755 } else { 0o700 };
        fs::DirBuilder::new().recursive(true).mode(mode).create(&self.path).map_err(doing)?;
        if self.account.is_some() {
            // A strict umask would have taken the right to pass.
            fs::set_permissions(&self.path, fs::Permissions::from_mode(mode)).map_err(doing)?;
        }
        Ok(())
    }
}

impl Record {
    /// Whether it speaks of this data directory, or of one that was moved here.
    fn is_valid_for(&self, data: &Path) -> bool {
        self.directory.is_dir() && (self.made_for == data || !self.made_for.exists())
    }
}

/// The record, if there is one.
pub(crate) fn read(settings: &Settings) -> Option<Record> {
    files::read_json(&record_file(settings))
}

/// Notes the port of this start in the record.
pub(crate) fn note_port(settings: &Settings, port: u16) -> Result<(), Fault> {
    match read(settings) {
        Some(record) => files::replace_json(&record_file(settings), &Record { port: Some(port), ..record }),
        None => Ok(()),
    }
}

/// Deletes the data of PostgreSQL and Redis that the record speaks of, where it is ours to delete.
pub(crate) fn delete(settings: &Settings) -> Result<(), Fault> {
    let Some(record) = read(settings) else { return Ok(()) };
    let data = settings.data.canonicalize().unwrap_or_else(|_| settings.data.clone());
    if record.is_valid_for(&data) && record.directory.parent() == Some(Path::new(SHARED)) {
        files::delete_directory(&record.directory)?;
    }
    Ok(())
}

fn record_file(settings: &Settings) -> PathBuf {
    settings.data.join("postgres.json")
}

fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    hex::encode(digest.as_slice().get(..6).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_checkout_keeps_its_data_and_a_copied_one_does_not_share_it() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let record = |made_for: &Path| Record { directory: here.to_owned(), made_for: made_for.to_owned(), port: None };
        assert!(record(here).is_valid_for(here));
        assert!(record(Path::new("/was/moved/away")).is_valid_for(here));
        assert!(!record(&here.join("src")).is_valid_for(here));
    }

    #[test]
    fn each_checkout_has_a_directory_of_its_own() {
        assert_eq!(short_hash(Path::new("/srv/maru/.data")).len(), 12);
        assert_ne!(short_hash(Path::new("/srv/maru/.data")), short_hash(Path::new("/srv/maru2/.data")));
    }
}
