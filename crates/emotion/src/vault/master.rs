//! The master key: it wraps people's keys and touches nothing else.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac, rand,
};
use chassis::problem::{Outcome, Problem};
use domain::ids::UserId;

use super::config::KEY_BYTES;

/// Bytes of a key's id, of which the name is the hexadecimal form.
const ID_BYTES: usize = 8;

/// The bytes of a person's key. They are cleared when they are not needed any more.
pub(super) struct RawKey(pub(super) [u8; KEY_BYTES]);

impl RawKey {
    /// Makes a fresh key.
    pub(super) fn make() -> Outcome<Self> {
        let mut key = Self([0; KEY_BYTES]);
        rand::fill(&mut key.0).map_err(|_unspecified| Problem::unexpected("there is no randomness for a key"))?;
        Ok(key)
    }
}

impl Drop for RawKey {
    fn drop(&mut self) {
        self.0.fill(0);
        // Read once more, so that the write above is not left out as useless.
        std::hint::black_box(&self.0);
    }
}

/// A master key and its name. It has no `Debug`.
pub(super) struct MasterKey {
    key: RandomizedNonceKey,
    id: String,
}

impl MasterKey {
    /// Takes a key; its name is a digest of it, so that nobody has to name keys, or can name two alike.
    pub(super) fn new(bytes: &[u8; KEY_BYTES]) -> Outcome<Self> {
        let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"maru emotion master key");
        let id = hex::encode(digest.as_ref().get(..ID_BYTES).unwrap_or_default());
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes);
        Ok(Self { key: key.map_err(|_unspecified| Problem::unexpected("a master key is not usable"))?, id })
    }

    /// Returns its name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Wraps a person's key.
    pub(super) fn wrap(&self, owner: UserId, key: &RawKey) -> Outcome<Vec<u8>> {
        let mut bytes = key.0.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(self.bound_to(owner)), &mut bytes);
        let nonce = nonce.map_err(|_unspecified| Problem::unexpected("a key cannot be wrapped"))?;
        Ok([nonce.as_ref().as_slice(), &bytes].concat())
    }

    /// Unwraps a person's key.
    pub(super) fn unwrap(&self, owner: UserId, wrapped: &[u8]) -> Outcome<RawKey> {
        let broken = || Problem::unexpected("a person's key cannot be unwrapped: it is not theirs, or was altered");
        let (nonce, sealed) = wrapped.split_at_checked(NONCE_LEN).ok_or_else(broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_unspecified| broken())?;
        let mut bytes = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(self.bound_to(owner)), &mut bytes);
        let key = opened.ok().and_then(|key| <[u8; KEY_BYTES]>::try_from(&*key).ok()).map(RawKey);
        bytes.fill(0);
        std::hint::black_box(&bytes);
        key.ok_or_else(broken)
    }

    /// What a wrapped key is bound to: nobody's key opens under another's name.
    fn bound_to(&self, owner: UserId) -> Vec<u8> {
        [b"person_keys\0".as_slice(), self.id.as_bytes(), owner.0.as_bytes()].concat()
    }
}
