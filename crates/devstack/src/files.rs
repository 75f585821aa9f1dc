//! Small files: written atomically, readable by their owner only.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::fault::Fault;

/// Creates a directory and its parents; new ones are for their owner only, as they hold keys and personal data.
pub(crate) fn private_directory(path: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Fault::io(format!("create {}", path.display()), &error))
}

/// Replaces a file in one step, mode 0600: a reader sees the old or the new content, never half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|error| Fault::io(format!("write {}", path.display()), &error))
}

/// Replaces a file by a JSON document.
pub(crate) fn replace_json(path: &Path, value: &impl Serialize) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| {
        Fault::new(format!("could not shape {}: {error}", path.display()), "this is a defect of maru-dev, report it")
    })?;
    replace(path, &text)
}

/// Reads a JSON document; `None` when the file does not exist or says something else.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Deletes a directory with everything in it; one that is not there is deleted already.
pub(crate) fn delete_directory(path: &Path) -> Result<(), Fault> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Fault::io(format!("delete {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}
