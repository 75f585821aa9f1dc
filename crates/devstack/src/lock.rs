//! One stack per data directory.
//!
//! The lock is the operating system's, on an open file: it ends with the process that holds it, also after `kill -9`.
//! The file says who holds it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{fault::Fault, files, process::Identity};

/// Longest for a killed process to let go of its files.
const LAST_MOMENT: Duration = Duration::from_secs(2);
/// How often to look whether it has.
const POLL: Duration = Duration::from_millis(5);

/// The right to run the stack of a data directory, until dropped.
pub(crate) struct Lock {
    _file: File,
}

/// Whether someone holds the lock.
pub(crate) enum Holder {
    /// Nobody.
    Nobody,
    /// A running `maru-dev`; its identity is missing only in the instant in which it starts.
    Running(Option<Identity>),
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(run: &Path) -> Result<Self, Fault> {
        files::private_directory(run)?;
        let path = path(run);
        let doing = |error| Fault::io(format!("lock {}", path.display()), &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(doing)?;
        match patiently(&mut file, File::try_lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(already_running(read(&mut file).as_ref())),
            Err(TryLockError::Error(error)) => return Err(doing(error)),
        }
        let own = serde_json::to_vec(&Identity::own()).unwrap_or_default();
        // Looking at who had it has moved the position.
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&own)).map_err(doing)?;
        Ok(Self { _file: file })
    }
}

/// Who runs the stack.
pub(crate) fn holder(run: &Path) -> Holder {
    let Ok(mut file) = File::open(path(run)) else { return Holder::Nobody };
    match patiently(&mut file, File::try_lock_shared) {
        Err(TryLockError::WouldBlock) => Holder::Running(read(&mut file)),
        _ => Holder::Nobody,
    }
}

/// Tries to lock, and once more for as long as the holder is a process in its last moment.
///
/// A killed process counts as ended before the last of its threads has let go of its files.
fn patiently(file: &mut File, try_lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    let give_up = Instant::now() + LAST_MOMENT;
    loop {
        match try_lock(file) {
            Err(TryLockError::WouldBlock)
                if Instant::now() < give_up && read(file).is_some_and(|holder| !holder.is_alive()) =>
            {
                std::thread::park_timeout(POLL);
            }
            outcome => return outcome,
        }
    }
}

fn path(run: &Path) -> PathBuf {
    run.join("up.lock")
}

fn read(file: &mut File) -> Option<Identity> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn already_running(holder: Option<&Identity>) -> Fault {
    let pid = holder.map(|identity| format!(", pid {}", identity.pid)).unwrap_or_default();
    Fault::new(
        format!("Maru is already running{pid}"),
        "see `maru-dev status`, or stop it with `maru-dev down` (MARU_DATA_DIR runs a second one beside it)",
    )
}
