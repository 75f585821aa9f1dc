//! Where programs are put that are no part of the workspace: fetched or built once for all tests.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Returns a directory below `target`, and its lock, for which other tests wait: they run side by side in processes of their
/// own. It is released with the file.
pub(crate) fn claim(name: &str) -> (PathBuf, File) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name);
    fs::create_dir_all(&directory).expect("make a directory below target");
    let lock = File::create(directory.join("lock")).expect("make a lock file");
    lock.lock().expect("wait for the other tests");
    (directory, lock)
}

/// Runs `program` to its end, which is to do something.
///
/// # Errors
/// Says what it says itself when it cannot.
pub(crate) fn run(command: &mut Command, program: &str, doing: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program} cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} cannot {doing}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(())
}
