//! An object as something that a decoder reads and jumps in, a little of it in memory at a time.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use symphonia::core::io::MediaSource;
use tokio::runtime::Handle;

use crate::storage::ObjectStorage;

/// Bytes of one request: half a minute of speech, and 400 requests for the largest file.
const WINDOW: usize = 256 * 1024;

/// An object in the storage. To be read on a thread that may wait.
pub(super) struct ObjectSource {
    storage: Arc<ObjectStorage>,
    key: String,
    size: u64,
    position: u64,
    /// Where the bytes that are here begin.
    window_at: u64,
    window: Bytes,
    runtime: Handle,
    is_broken: Arc<AtomicBool>,
}

impl ObjectSource {
    /// Describes an object; call on the runtime.
    pub(super) fn new(storage: Arc<ObjectStorage>, key: String, size: i64) -> Self {
        let size = u64::try_from(size).unwrap_or_default();
        let runtime = Handle::current();
        let is_broken = Arc::default();
        Self { storage, key, size, position: 0, window_at: 0, window: Bytes::new(), runtime, is_broken }
    }

    /// Returns what tells later whether the storage was away in between.
    pub(super) fn is_broken(&self) -> Arc<AtomicBool> {
        self.is_broken.clone()
    }

    /// Returns what is here from the position on.
    fn here(&self) -> &[u8] {
        let skipped = self.position.checked_sub(self.window_at).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.window.get(skipped..)).unwrap_or_default()
    }
}

impl Read for ObjectSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size {
            return Ok(0);
        }
        if self.here().is_empty() {
            let read = self.runtime.block_on(self.storage.read(&self.key, self.position, WINDOW));
            self.window = read.map_err(|problem| {
                self.is_broken.store(true, Ordering::Relaxed);
                io::Error::other(problem.code())
            })?;
            self.window_at = self.position;
        }
        let read = self.here().read(into)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for ObjectSource {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl MediaSource for ObjectSource {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.size)
    }
}
