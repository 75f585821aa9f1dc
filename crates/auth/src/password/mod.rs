//! Hashing and checking passwords with argon2id, off the threads that serve requests.
//!
//! A hash takes about 20 ms of a core and 19 MiB, so only a few are computed at once, each in memory that is kept for the
//! next; who does not get a turn in time gets 503. The permit travels into the blocking task: a client that hangs up does
//! not free a turn that is still used. There are twice as many turns as memories, so that whoever is next waits where the
//! hash is computed already: to call them only then would leave a core idle for a twentieth of the time.

pub mod change;
mod memory;
pub mod reset;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::web::{self, ServiceConfig};
use aws_lc_rs::rand;
use chassis::problem::{Outcome, Problem};
use domain::fault::common;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use self::memory::{Memories, Memory};

/// Mounts the routes of passwords.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/change-password").post(change::change_password))
        .service(web::resource("/auth/password-reset").post(reset::password_reset))
        .service(web::resource("/auth/password-reset/confirm").post(reset::confirm));
}

/// How far hashing stands back, of 19: about a tenth of the weight of a thread that serves.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;
/// Longest to wait for a turn.
const TURN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Bytes of a salt: what RFC 9106, 3.1, recommends.
const SALT_BYTES: usize = 16;

/// Hashes and checks passwords; clones share the turns.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// As many as hashes are computed at once.
    memories: Arc<Memories>,
    /// What an unknown account's password is checked against, so that its answer takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    /// Allows `at_once` hashes at the same time; 0 takes one per core.
    ///
    /// # Errors
    /// Returns a problem when the machine has no randomness.
    pub fn new(at_once: usize) -> Outcome<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let at_once = if at_once == 0 { cores } else { at_once };
        let memories = Memories::new(at_once);
        let nobody = memories.lend(|memory| hash(&SecretString::from("a password nobody has"), memory))?;
        let turns = Arc::new(Semaphore::new(2 * at_once));
        Ok(Self { turns, memories: Arc::new(memories), nobody: nobody.into() })
    }

    /// Hashes a new password to a PHC string (argon2id, 19 MiB, 2 passes, 1 lane, random salt).
    ///
    /// # Errors
    /// 503 when there is no turn in time.
    pub async fn hash(&self, password: SecretString) -> Outcome<String> {
        self.in_turn(move |memory| hash(&password, memory)).await?
    }

    /// Returns whether a password is the one that was hashed; without a hash it takes as long and is `false`.
    ///
    /// # Errors
    /// 503 when there is no turn in time.
    pub async fn matches(&self, password: SecretString, hash: Option<String>) -> Outcome<bool> {
        let nobody = self.nobody.clone();
        self.in_turn(move |memory| {
            let known = hash.is_some();
            let same = memory.verify(password.expose_secret().as_bytes(), hash.as_deref().unwrap_or(&nobody));
            same.unwrap_or(false) && known
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce(&mut Memory) -> T + Send + 'static) -> Outcome<T> {
        let asked = Instant::now();
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned()).await;
        metrics::histogram!("password_turn_wait_seconds").record(asked.elapsed());
        let turn = turn.map_err(|_elapsed| Problem::from(common::UNAVAILABLE))?.map_err(Problem::unexpected)?;
        let memories = self.memories.clone();
        let working = tokio::task::spawn_blocking(move || {
            let_others_go_first();
            let done = memories.lend(work);
            drop(turn);
            done
        });
        working.await.map_err(Problem::unexpected)
    }
}

/// Lowers the priority of this thread, once: a hash keeps a core busy for 20 ms, and a request that needs a fraction of
/// one must not wait behind it. Hashes lose nothing by it but what others need.
fn let_others_go_first() {
    // Elsewhere a priority is the whole process's.
    #[cfg(target_os = "linux")]
    {
        thread_local! {
            static LOWERED: bool = rustix::process::setpriority_process(None, NICENESS).is_ok();
        }
        LOWERED.with(|_| ());
    }
}

fn hash(password: &SecretString, memory: &mut Memory) -> Outcome<String> {
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(Problem::unexpected)?;
    memory.hash(password.expose_secret().as_bytes(), &salt).map_err(|error| Problem::unexpected(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::new(1).unwrap();
        let hash = passwords.hash(SecretString::from("마루 위에서 잔다")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.matches(SecretString::from("마루 위에서 잔다"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.matches(SecretString::from("마루 위에서 잔다 "), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let passwords = Passwords::new(1).unwrap();
        assert!(!passwords.matches(SecretString::from("a password nobody has"), None).await.unwrap());
    }
}
