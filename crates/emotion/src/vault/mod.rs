//! What people wrote, sealed at rest.
//!
//! Every person has a key of their own, which the master key wraps. Whoever erases that key has erased what it sealed,
//! wherever a copy of the table is: in a backup, a replica, a page that was not yet written over.
//!
//! A key is read from its row whenever it is needed and is remembered by nobody: an erasure counts on every replica with
//! its commit, without a notice that could be lost. That costs one read by primary key, about as much as taking the
//! connection; unwrapping takes a microsecond or two.

mod answer;
mod config;
mod master;
mod rewrap;
mod sealed;
mod store;

use std::sync::Arc;

use chassis::problem::{Outcome, Problem};
use diesel_async::AsyncPgConnection;
use domain::ids::UserId;

pub use answer::{open_answer, seal_answer};
pub use config::VaultConfig;
pub use rewrap::rewrap;
pub use sealed::{Column, Part, PersonVault, TEXT_ERASED};

use master::{MasterKey, RawKey};
pub(crate) use store::WrappedKey;

/// Opens people's vaults; clones share the master keys. It has no `Debug`.
#[derive(Clone)]
pub struct Vault(Arc<Masters>);

struct Masters {
    current: MasterKey,
    previous: Option<MasterKey>,
}

impl Vault {
    fn new(current: MasterKey, previous: Option<MasterKey>) -> Self {
        Self(Arc::new(Masters { current, previous }))
    }

    /// Opens a person's vault to write into it; their first time makes their key.
    ///
    /// In a transaction it keeps the key from being erased until the end, so that nothing is written with a key that is
    /// gone. Call it before any other row of the person's is locked: an erasure takes the key first, too.
    ///
    /// # Errors
    /// Returns a problem when the database is away, or the key was wrapped by a master key that is not known here.
    pub async fn open_for(&self, conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<PersonVault> {
        let held = self.hold(conn, owner).await?;
        self.open_held(conn, owner, held).await
    }

    /// Reads a person's key to write with it, for [`open_held`](Self::open_held): a statement of its own, to be asked
    /// together with others.
    ///
    /// # Errors
    /// Returns a problem when the database is away.
    pub(crate) async fn hold(&self, conn: &AsyncPgConnection, owner: UserId) -> Outcome<Option<WrappedKey>> {
        store::hold(conn, owner).await
    }

    /// Opens a person's vault with the key that was read; as [`open_for`](Self::open_for) else.
    ///
    /// # Errors
    /// As [`open_for`](Self::open_for).
    pub(crate) async fn open_held(
        &self,
        conn: &mut AsyncPgConnection,
        owner: UserId,
        held: Option<WrappedKey>,
    ) -> Outcome<PersonVault> {
        let wrapped = match held {
            Some(wrapped) => wrapped,
            None => self.make_key(conn, owner).await?,
        };
        PersonVault::with_key(&self.unwrap(owner, &wrapped)?)
    }

    /// Makes a person's first key, and returns the one that counts: somebody else may have been first.
    async fn make_key(&self, conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<WrappedKey> {
        let wrapped_key = self.0.current.wrap(owner, &RawKey::make()?)?;
        let made = WrappedKey { wrapped_key, master_key_id: self.0.current.id().to_owned() };
        store::insert_missing(conn, owner, &made).await?;
        let kept = store::hold(conn, owner).await?;
        kept.ok_or_else(|| Problem::unavailable("a person's key was erased in the moment it was made"))
    }

    /// Opens a person's vault and reads with it.
    ///
    /// Who had no key a moment ago may have got one meanwhile, and rows sealed with it: then it is read again.
    ///
    /// # Errors
    /// As [`open_for`](Self::open_for), and whatever `read` returns.
    pub async fn read<T>(
        &self,
        conn: &mut AsyncPgConnection,
        owner: UserId,
        read: impl AsyncFn(&mut AsyncPgConnection, &PersonVault) -> Outcome<T>,
    ) -> Outcome<T> {
        let vault = self.read_for(conn, owner).await?;
        match read(conn, &vault).await {
            Err(problem) if problem.code() == TEXT_ERASED.code && !vault.has_key() => {
                let vault = self.read_for(conn, owner).await?;
                read(conn, &vault).await
            }
            answered => answered,
        }
    }

    /// Opens a person's vault to read in it. Who has no key has nothing sealed; see [`read`](Self::read) for whoever may
    /// just be getting one.
    ///
    /// # Errors
    /// As [`open_for`](Self::open_for).
    pub async fn read_for(&self, conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<PersonVault> {
        match store::find(conn, owner).await? {
            Some(wrapped) => PersonVault::with_key(&self.unwrap(owner, &wrapped)?),
            None => Ok(PersonVault::without_key()),
        }
    }

    fn unwrap(&self, owner: UserId, wrapped: &WrappedKey) -> Outcome<RawKey> {
        let known = [Some(&self.0.current), self.0.previous.as_ref()];
        let master = known.into_iter().flatten().find(|master| master.id() == wrapped.master_key_id);
        // The id is a digest, and worth the operator's time: it says which key is missing.
        let unknown = || format!("a person's key was wrapped by master key {}", wrapped.master_key_id);
        master.ok_or_else(|| Problem::unexpected(unknown()))?.unwrap(owner, &wrapped.wrapped_key)
    }
}

/// Erases a person's key, after everybody who writes with it; returns whether there was one.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn erase_key(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    store::delete(conn, owner).await
}

/// Returns whether a person has a key.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_key(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    store::exists(conn, owner).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(number: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_wrapped_key_opens_for_its_owner_under_its_master_only() {
        let [first, second] = [[1; 32], [2; 32]].map(|bytes| MasterKey::new(&bytes).unwrap());
        assert_ne!(first.id(), second.id());
        let key = RawKey::make().unwrap();
        let wrapped = first.wrap(owner(1), &key).unwrap();
        assert_eq!(first.unwrap(owner(1), &wrapped).unwrap().0, key.0);
        assert!(first.unwrap(owner(2), &wrapped).is_err(), "moved to another person");
        assert!(second.unwrap(owner(1), &wrapped).is_err());
        for place in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[place] ^= 0x80;
            assert!(first.unwrap(owner(1), &altered).is_err(), "{place}");
        }
        assert!(first.unwrap(owner(1), b"short").is_err());
    }

    #[test]
    fn a_key_of_the_master_before_is_read_and_one_of_an_unknown_master_is_not() {
        let [first, second, third] = [[1; 32], [2; 32], [3; 32]].map(|bytes| MasterKey::new(&bytes).unwrap());
        let wrapped_by = |master: &MasterKey| WrappedKey {
            wrapped_key: master.wrap(owner(1), &RawKey([9; 32])).unwrap(),
            master_key_id: master.id().to_owned(),
        };
        let (old, lost) = (wrapped_by(&first), wrapped_by(&third));
        let vault = Vault::new(second, Some(first));
        assert_eq!(vault.unwrap(owner(1), &old).unwrap().0, [9; 32]);
        assert!(vault.unwrap(owner(1), &lost).is_err());
    }
}
