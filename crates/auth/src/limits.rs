//! How often passwords, codes and mails may be tried, for each account.
//!
//! Nobody can lock somebody else out: the strict count is for one account from one place, a try that succeeds clears it,
//! and the count of an account from everywhere never applies to a place its owner has logged in from. Counts are kept
//! under a digest of the address, so that Redis holds none. How often one address may ask at all is the gateway's to say.

use std::time::Duration;

use chassis::{
    limit::{Count, Local, Profile, Shared},
    problem::{Outcome, Problem},
    redis::Redis,
};
use domain::{
    fault::common,
    ids::{LoginId, UserId},
    rate::{Decision, Rate},
};
use sha2::{Digest, Sha256};

const fn rate(burst: u32, every_seconds: u64) -> Rate {
    Rate { burst, every: Duration::from_secs(every_seconds) }
}

/// Passwords for one account from one place.
const PASSWORD_HERE: [Rate; 2] = [rate(5, 30), rate(30, 2)];
/// Passwords for one account from everywhere it is not known to be used: a botnet has many places.
const PASSWORD_ANYWHERE: [Rate; 2] = [rate(100, 10), rate(1_000, 1)];
/// Wrong current passwords of somebody who is logged in: five in a quarter of an hour.
const OWN_PASSWORD: [Rate; 2] = [rate(5, 180), rate(30, 2)];
/// Tries to enter a code, besides the five that each code allows: twenty an hour.
const CODE: [Rate; 2] = [rate(20, 180), rate(60, 1)];
/// Mails to one address: three, and then three an hour.
const MAIL: [Rate; 2] = [rate(3, 1_200), rate(30, 10)];
/// Exchanges of one login's refresh token; a client needs one for each access token.
const REFRESH: [Rate; 2] = [rate(30, 6), Rate { burst: 10_000, every: Duration::from_micros(10) }];

/// Counts tries.
pub struct Limits {
    shared: Shared,
    refreshes: Local,
    profile: Profile,
}

impl Limits {
    /// Counts together with every replica on `redis`.
    pub fn new(redis: Redis, profile: Profile) -> Self {
        Self { shared: Shared::new(redis), refreshes: Local::default(), profile }
    }

    /// Counts a password for the account of `email_key` from `place`; `is_known_here` is asked only when the account has
    /// been tried from many places.
    ///
    /// # Errors
    /// 429 `too_many_requests`.
    pub async fn password(
        &self,
        email_key: &str,
        place: &str,
        is_known_here: impl AsyncFnOnce() -> Outcome<bool>,
    ) -> Outcome<()> {
        let account = password_of(email_key);
        let [here, anywhere] = [Count { group: &account, part: place }, Count::from(account.as_str())];
        let counts = [(here, self.pick(PASSWORD_HERE)), (anywhere, self.pick(PASSWORD_ANYWHERE))];
        let [here, anywhere] = self.shared.take_each(counts).await;
        judge(here)?;
        match judge(anywhere) {
            Err(_) if is_known_here().await? => Ok(()),
            judged => judged,
        }
    }

    /// Forgets the tries from a place that has shown the right password.
    pub async fn password_was_right(&self, email_key: &str, place: &str) {
        self.shared.forget(Count { group: &password_of(email_key), part: place }).await;
    }

    /// Counts a current password that somebody who is logged in has to show again.
    ///
    /// # Errors
    /// 429 `too_many_requests`.
    pub async fn own_password(&self, user_id: UserId) -> Outcome<()> {
        self.count(&format!("own-password:{user_id}"), OWN_PASSWORD).await
    }

    /// Forgets those tries.
    pub async fn own_password_was_right(&self, user_id: UserId) {
        self.shared.forget(format!("own-password:{user_id}").as_str()).await;
    }

    /// Counts a code for the account of `email_key`.
    ///
    /// # Errors
    /// 429 `too_many_requests`.
    pub async fn code(&self, email_key: &str) -> Outcome<()> {
        self.count(&format!("code:{}", digest(email_key)), CODE).await
    }

    /// Counts a mail to `email_key`, whether or not anybody has that address.
    ///
    /// # Errors
    /// 429 `too_many_requests`.
    pub async fn mail(&self, email_key: &str) -> Outcome<()> {
        self.count(&format!("mail:{}", digest(email_key)), MAIL).await
    }

    /// Counts an exchange of a login's refresh token, in this process only: it must not cost a call.
    ///
    /// # Errors
    /// 429 `too_many_requests`.
    pub fn refresh(&self, login_id: LoginId) -> Outcome<()> {
        judge(self.refreshes.take(&login_id, self.pick(REFRESH)))
    }

    async fn count(&self, key: &str, rates: [Rate; 2]) -> Outcome<()> {
        judge(self.shared.take(key, self.pick(rates)).await)
    }

    fn pick(&self, [strict, generous]: [Rate; 2]) -> Rate {
        self.profile.pick(strict, generous)
    }
}

fn judge(decision: Decision) -> Outcome<()> {
    if decision.is_allowed {
        return Ok(());
    }
    Err(Problem::from(common::TOO_MANY).retry_after(decision.retry_after_seconds()))
}

fn password_of(email_key: &str) -> String {
    format!("password:{}", digest(email_key))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()).get(..16).unwrap_or_default())
}
