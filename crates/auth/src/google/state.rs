//! The state of a login that was begun here: random, bound to one browser, and good once.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Duration, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::fault::{Fault, Kind};
use sha2::{Digest, Sha256};

use crate::schema::oauth_states;

/// The cookie that knows the browser a login was begun in.
pub const BROWSER_COOKIE: &str = "maru_oauth";
/// How long a login may take.
pub const LIFE: Duration = Duration::minutes(10);

/// Not a login that was begun in this browser and is still open.
pub const INVALID_STATE: Fault = Fault::new(
    Kind::Malformed,
    "invalid_state",
    "로그인을 처음부터 다시 시작해 주세요.",
    "Please begin the login again.",
);

/// Makes 32 random bytes, written for an address.
///
/// # Errors
/// Returns an unexpected problem when the machine has no randomness.
pub fn random() -> Outcome<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Problem::unexpected)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Keeps a login that was begun.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn keep(
    conn: &mut AsyncPgConnection,
    (state, browser): (&str, &str),
    redirect_uri: &str,
    now: DateTime<Utc>,
) -> Outcome<()> {
    let row = (
        oauth_states::state_hash.eq(digest(state)),
        oauth_states::browser_hash.eq(digest(browser)),
        oauth_states::redirect_uri.eq(redirect_uri),
        oauth_states::expires_at.eq(now + LIFE),
    );
    diesel::insert_into(oauth_states::table).values(row).execute(conn).await?;
    Ok(())
}

/// Takes a login back; of two who show the same state one gets it. Returns where it was to come back to.
///
/// # Errors
/// 400 `invalid_state`.
pub async fn take(conn: &mut AsyncPgConnection, (state, browser): (&str, &str), now: DateTime<Utc>) -> Outcome<String> {
    let mine = oauth_states::state_hash
        .eq(digest(state))
        .and(oauth_states::browser_hash.eq(digest(browser)))
        .and(oauth_states::expires_at.gt(now));
    let taken = diesel::delete(oauth_states::table.filter(mine)).returning(oauth_states::redirect_uri);
    taken.get_result(conn).await.optional()?.ok_or_else(|| INVALID_STATE.into())
}

fn digest(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}
