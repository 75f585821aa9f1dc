//! Room on the disk.

use std::path::Path;

use crate::fault::Fault;

/// What a new PostgreSQL cluster needs: its files take 40 MB, its first WAL segments up to 80 MB.
pub(crate) const ENOUGH_FOR_A_CLUSTER: u64 = 200 * 1024 * 1024;

/// Bytes that an ordinary user may still write where `path`, or its nearest existing parent, lies.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|candidate| candidate.exists())?;
    let found = rustix::fs::statvfs(existing).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Refuses to begin what a full disk would break half-way.
pub(crate) fn require(path: &Path, bytes: u64) -> Result<(), Fault> {
    match free_bytes(path) {
        Some(free) if free < bytes => Err(Fault::new(
            format!("the disk is full ({} MB free at {}, {} MB needed)", mega(free), path.display(), mega(bytes)),
            "free some space and run this again",
        )),
        _ => Ok(()),
    }
}

/// Whole megabytes.
pub(crate) const fn mega(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_room_than_any_disk_has_is_refused_with_a_sentence() {
        let fault = require(Path::new("/nowhere/at/all"), u64::MAX).expect_err("no such disk");
        assert!(fault.to_string().starts_with("the disk is full"), "{fault}");
    }
}
