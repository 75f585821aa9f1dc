//! Codes of eight characters that are mailed and typed in.
//!
//! A code is a MAC over its row's id: it is not kept anywhere, and a new row is a new code. It is good for ten minutes,
//! five tries, one purpose and the address it was mailed to, and once. A program that opens every link in a mail finds
//! none to open.

use std::time::Duration;

use chassis::{mac::Mac, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, upsert::excluded};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    fault::{Fault, Kind},
    ids::UserId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{account::store::User, schema::action_codes};

/// Letters and digits that no font confuses: 32 of them, 5 bits each.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a code: 40 bits, of which five tries find none.
const LENGTH: usize = 8;
/// How long a code is good: the most OWASP ASVS 6.5.5 allows.
pub const LIFE: Duration = Duration::from_mins(10);
/// Wrong tries a code forgives.
const TRIES: i32 = 5;

/// Wrong, used, too old, or of another purpose: which of them is nobody's business.
pub const WRONG_CODE: Fault = Fault::new(
    Kind::Invalid,
    "wrong_code",
    "코드가 올바르지 않거나 만료되었습니다.",
    "The code is wrong or has expired.",
);

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To prove that mail reaches the account's owner.
    VerifyEmail,
    /// To set a new password.
    ResetPassword,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }
}

/// Makes the code of a row.
fn write(mac: &Mac, id: Uuid, purpose: Purpose, email_key: &str) -> String {
    spell(mac.tag(&message(id, purpose, email_key)).as_ref())
}

fn message(id: Uuid, purpose: Purpose, email_key: &str) -> Vec<u8> {
    format!("{}\n{}\n{email_key}", id.simple(), purpose.name()).into_bytes()
}

fn spell(tag: &[u8]) -> String {
    // Five bits a character: 256 is a multiple of 32, so none is likelier than another.
    tag.iter().take(LENGTH).filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).map(|c| char::from(*c)).collect()
}

/// Brings what was typed into the form of a code.
fn normalise(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(LENGTH + 1).collect::<String>().to_uppercase()
}

/// Makes a code for an account, in place of any other for the same purpose. The same `id` is the same code, so that a
/// letter that is written twice says the same.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn issue(
    conn: &mut AsyncPgConnection,
    mac: &Mac,
    (id, purpose): (Uuid, Purpose),
    user: &User,
    now: DateTime<Utc>,
) -> Outcome<String> {
    let row = (
        action_codes::user_id.eq(user.id),
        action_codes::purpose.eq(purpose.name()),
        action_codes::id.eq(id),
        action_codes::email_key.eq(&user.email_key),
        action_codes::attempts.eq(0),
        action_codes::expires_at.eq(now + LIFE),
    );
    diesel::insert_into(action_codes::table)
        .values(row)
        .on_conflict((action_codes::user_id, action_codes::purpose))
        .do_update()
        .set((
            action_codes::id.eq(excluded(action_codes::id)),
            action_codes::email_key.eq(excluded(action_codes::email_key)),
            action_codes::attempts.eq(0),
            action_codes::expires_at.eq(excluded(action_codes::expires_at)),
        ))
        .execute(conn)
        .await?;
    Ok(write(mac, id, purpose, &user.email_key))
}

/// Counts a try and judges it. Call outside any transaction: a wrong try counts, whatever comes after it.
///
/// # Errors
/// [`WRONG_CODE`].
pub async fn check(
    conn: &mut AsyncPgConnection,
    mac: &Mac,
    (purpose, typed): (Purpose, &str),
    user: Option<&User>,
    now: DateTime<Utc>,
) -> Outcome<Proof> {
    let user_id = user.map_or_else(Uuid::nil, |user| user.id);
    let open = action_codes::user_id
        .eq(user_id)
        .and(action_codes::purpose.eq(purpose.name()))
        .and(action_codes::attempts.lt(TRIES))
        .and(action_codes::expires_at.gt(now));
    let tried: Option<(Uuid, String)> = diesel::update(action_codes::table.filter(open))
        .set(action_codes::attempts.eq(action_codes::attempts + 1))
        .returning((action_codes::id, action_codes::email_key))
        .get_result(conn)
        .await
        .optional()?;
    let (Some((id, email_key)), Some(user)) = (tried, user) else { return Err(WRONG_CODE.into()) };
    let typed = normalise(typed);
    let message = message(id, purpose, &email_key);
    let is_right = mac.tags(&message).any(|tag| {
        aws_lc_rs::constant_time::verify_slices_are_equal(spell(tag.as_ref()).as_bytes(), typed.as_bytes()).is_ok()
    });
    // An address that was changed since was not proved.
    if is_right && email_key == user.email_key {
        Ok(Proof { id, user_id: UserId(user.id) })
    } else {
        Err(WRONG_CODE.into())
    }
}

/// Forgets the codes of an account.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget(conn: &mut AsyncPgConnection, user_id: UserId) -> Outcome<()> {
    diesel::delete(action_codes::table.filter(action_codes::user_id.eq(user_id.0))).execute(conn).await?;
    Ok(())
}

/// A code that was right, and is still to be used up.
#[derive(Debug)]
pub struct Proof {
    id: Uuid,
    /// Whose code it was.
    pub user_id: UserId,
}

impl Proof {
    /// Uses the code up; call in the transaction of what it proves. Of two requests with the same code one succeeds.
    ///
    /// # Errors
    /// [`WRONG_CODE`] when it was used meanwhile.
    pub async fn spend(self, conn: &mut AsyncPgConnection) -> Outcome<()> {
        let spent = diesel::delete(action_codes::table.filter(action_codes::id.eq(self.id))).execute(conn).await?;
        if spent == 0 { Err(WRONG_CODE.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use chassis::access::AccessConfig;
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_code_has_eight_readable_characters_and_one_purpose() {
        let access = AccessConfig { jwt_secret: SecretString::from("a secret"), jwt_secret_previous: None };
        let mac = access.mac("codes");
        let id = chassis::clock::Clock::system().uuid();
        let code = write(&mac, id, Purpose::VerifyEmail, "a@b.kr");
        assert_eq!(code.len(), LENGTH);
        assert!(code.bytes().all(|c| ALPHABET.contains(&c)), "{code}");
        assert_eq!(code, write(&mac, id, Purpose::VerifyEmail, "a@b.kr"));
        assert_ne!(code, write(&mac, id, Purpose::ResetPassword, "a@b.kr"));
        assert_ne!(code, write(&mac, id, Purpose::VerifyEmail, "c@b.kr"));
    }

    #[test]
    fn what_is_typed_may_be_grouped_and_small() {
        assert_eq!(normalise(" abcd-efgh "), "ABCDEFGH");
        assert_eq!(normalise(&"x".repeat(1_000)).len(), LENGTH + 1);
    }
}
