//! argon2id in memory that is kept from one hash to the next.
//!
//! The library asks the allocator for 19 MiB each time, aligned, and glibc hardly ever uses such a piece again: with two
//! hashes at once, a flood of logins left a process with more than a gigabyte. So there are as many memories as hashes are
//! computed at once, and whoever computes one has to be lent one of them.

use std::sync::{Condvar, Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        Error, Result,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};

/// The memory of one hash; takes up nothing until the first.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

/// The memories there are.
pub(super) struct Memories {
    free: Mutex<Vec<Memory>>,
    given_back: Condvar,
}

impl Memories {
    /// Makes so many.
    pub(super) fn new(count: usize) -> Self {
        let free = (0..count.max(1)).map(|_| Memory::default()).collect();
        Self { free: Mutex::new(free), given_back: Condvar::new() }
    }

    /// Lends one for as long as `work` takes; blocks until one is free.
    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let mut lent = Lent { memories: self, memory: self.take() };
        work(&mut lent.memory)
    }

    fn take(&self) -> Memory {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // The one that was used last: its pages are there.
            if let Some(memory) = free.pop() {
                return memory;
            }
            free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A memory that goes back, also when the work panics.
struct Lent<'a> {
    memories: &'a Memories,
    memory: Memory,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.memories.free.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        self.memories.given_back.notify_one();
    }
}

impl Memory {
    /// Hashes a password to a PHC string with the library's defaults: argon2id, 19 MiB, 2 passes, 1 lane.
    pub(super) fn hash(&mut self, password: &[u8], salt: &[u8]) -> Result<String> {
        let argon = Argon2::default();
        let hash = PasswordHash {
            algorithm: Algorithm::default().ident(),
            version: Some(Version::default().into()),
            params: ParamsString::try_from(argon.params())?,
            salt: Some(Salt::new(salt)?),
            hash: Some(self.compute(&argon, password, salt)?),
        };
        Ok(hash.to_string())
    }

    /// Returns whether a password is the one that was hashed, with whatever parameters.
    pub(super) fn verify(&mut self, password: &[u8], hash: &str) -> Result<bool> {
        let known = PasswordHash::new(hash)?;
        let (Some(salt), Some(expected)) = (&known.salt, &known.hash) else { return Ok(false) };
        let algorithm = Algorithm::try_from(known.algorithm.as_str())?;
        let version = known.version.map(Version::try_from).transpose()?.unwrap_or_default();
        let argon = Argon2::new(algorithm, version, Params::try_from(&known)?);
        // Outputs compare in constant time.
        Ok(self.compute(&argon, password, salt)? == *expected)
    }

    fn compute(&mut self, argon: &Argon2<'_>, password: &[u8], salt: &[u8]) -> Result<Output> {
        let blocks = argon.params().block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::new());
        }
        let memory = self.0.get_mut(..blocks).ok_or(Error::Internal)?;
        let mut buffer = [0; Output::MAX_LENGTH];
        let length = argon.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let out = buffer.get_mut(..length).ok_or(Error::OutputSize)?;
        argon.hash_password_into_with_memory(password, salt, out, memory)?;
        Ok(Output::new(out)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    const SALT: &[u8] = b"sixteen bytes :)";

    #[test]
    fn memory_that_was_used_before_makes_no_difference() {
        let mut memory = Memory::default();
        let first = memory.hash("마루 위에서 잔다".as_bytes(), SALT).unwrap();
        memory.hash(b"another password", b"another salt 16b").unwrap();
        assert_eq!(memory.hash("마루 위에서 잔다".as_bytes(), SALT).unwrap(), first);
        assert!(memory.verify("마루 위에서 잔다".as_bytes(), &first).unwrap());
        assert!(!memory.verify(b"another password", &first).unwrap());
    }

    #[test]
    fn its_hashes_are_the_librarys() {
        let mut memory = Memory::default();
        let ours = memory.hash(b"a password", SALT).unwrap();
        let theirs = Argon2::default().hash_password_with_salt(b"a password", SALT).unwrap();
        assert_eq!(ours, theirs.to_string());
        Argon2::default().verify_password(b"a password", &PasswordHash::new(&ours).unwrap()).unwrap();

        // Other parameters than today's, smaller and larger, in one memory.
        for m_cost in [64, 32_768, 8] {
            let other = Argon2::new(Algorithm::Argon2i, Version::V0x10, Params::new(m_cost, 1, 1, Some(24)).unwrap());
            let hash = other.hash_password_with_salt(b"a password", SALT).unwrap().to_string();
            assert!(memory.verify(b"a password", &hash).unwrap() && !memory.verify(b"b", &hash).unwrap());
        }
    }

    #[test]
    fn no_more_hashes_are_computed_at_once_than_there_are_memories() {
        let (memories, inside, most) = (Memories::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let lent = || {
                        memories.lend(|memory| {
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            let hash = memory.hash(b"a password", SALT).unwrap();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            assert!(!hash.is_empty());
                        });
                    };
                    lent();
                    lent();
                });
            }
        });
        assert!((1..=2).contains(&most.into_inner()));
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| memories.lend(|_| panic!("on the way"))));
        assert!(broken.is_err());
        assert_eq!(memories.free.lock().map(|free| free.len()).unwrap_or_default(), 2, "both came back");
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        let mut memory = Memory::default();
        for bad in ["", "x", "$argon2id$v=19$m=19456,t=2,p=1", "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbg"] {
            assert!(!memory.verify(b"a password", bad).unwrap_or(false), "{bad}");
        }
    }
}
