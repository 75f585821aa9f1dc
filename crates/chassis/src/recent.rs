//! A bounded memory of recent values.
//!
//! Two generations: when the young one is full it becomes the old one, and what the old one held is forgotten. A value
//! in use moves to the young generation, so that a flood of new keys cannot push out what everybody needs, and no
//! insertion ever walks the whole memory.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
};

/// For keys that are hashes already, nobody outside being able to choose what they begin with: of those one hash more is
/// for nothing.
pub type AsTheyAre = BuildHasherDefault<Beginning>;

/// Remembers at least the last `capacity / 2` values and at most `capacity`.
#[derive(Debug)]
pub struct Recent<K, V, S = RandomState> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    generation: usize,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// Starts with nothing remembered.
    pub fn new(capacity: usize) -> Self {
        Self::hashed_by(capacity)
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher + Default> Recent<K, V, S> {
    /// Starts with nothing remembered, for keys that are better hashed in another way than the usual one.
    pub fn hashed_by(capacity: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), generation: (capacity / 2).max(1) }
    }

    /// Returns the remembered value.
    pub fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    /// Remembers a value in place of any other under the key.
    pub fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Takes the first eight bytes of a key for its hash: of a `u64`, or of an array of bytes that is as long at least. Of a key
/// in several parts only the last would count.
#[derive(Debug, Default)]
pub struct Beginning(u64);

impl Hasher for Beginning {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(beginning) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*beginning);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_hashes_are_taken_as_they_are() {
        let hash = AsTheyAre::default();
        assert_eq!(hash.hash_one(7_u64), 7);
        let digest: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        assert_eq!(hash.hash_one(digest), u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7]));
        let mut recent: Recent<u64, &str, AsTheyAre> = Recent::hashed_by(4);
        recent.put(1, "one");
        recent.put(1 << 63, "another");
        assert_eq!((recent.get(&1), recent.get(&(1 << 63)), recent.get(&2)), (Some("one"), Some("another"), None));
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut recent = Recent::new(8);
        for key in 0..1_000 {
            recent.put(key, key);
            assert!(recent.len() <= 8, "{}", recent.len());
        }
        assert_eq!((recent.get(&999), recent.get(&1)), (Some(999), None));
    }

    #[test]
    fn what_is_in_use_outlives_a_flood() {
        let mut recent = Recent::new(8);
        recent.put(-1, "in use");
        for key in 0..1_000 {
            recent.put(key, "flood");
            assert_eq!(recent.get(&-1), Some("in use"));
        }
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let mut recent = Recent::new(4);
        recent.put(1, "first");
        recent.put(2, "other");
        recent.put(3, "third");
        recent.put(1, "second");
        assert_eq!(recent.get(&1), Some("second"));
    }
}
