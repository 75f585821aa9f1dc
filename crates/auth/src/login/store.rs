//! The rows of logins.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{contract::Revocation, ids::LoginId, principal::Principal};
use uuid::Uuid;

use crate::schema::logins;

/// A login to be written.
#[derive(Debug, Insertable)]
#[diesel(table_name = logins)]
pub struct NewLogin {
    id: Uuid,
    user_id: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    user_agent: Option<String>,
}

impl NewLogin {
    /// Describes a login whose access token ends at `expires_at`.
    pub fn new(
        principal: Principal,
        created_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        user_agent: Option<String>,
    ) -> Self {
        Self { id: principal.login_id.0, user_id: principal.user_id.0, created_at, expires_at, user_agent }
    }
}

/// Writes a login.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, login: &NewLogin) -> Outcome<()> {
    diesel::insert_into(logins::table).values(login).execute(conn).await?;
    Ok(())
}

/// Writes many logins at once.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_all(conn: &mut AsyncPgConnection, logins: &[NewLogin]) -> Outcome<()> {
    diesel::insert_into(logins::table).values(logins).execute(conn).await?;
    Ok(())
}

/// Ends a login; returns what gateways must know, or nothing when it was ended before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn revoke(
    conn: &mut AsyncPgConnection,
    principal: Principal,
    reason: &str,
    now: DateTime<Utc>,
) -> Outcome<Option<Revocation>> {
    let live = logins::id
        .eq(principal.login_id.0)
        .and(logins::user_id.eq(principal.user_id.0))
        .and(logins::revoked_at.is_null());
    let expires_at: Option<DateTime<Utc>> = diesel::update(logins::table.filter(live))
        .set((logins::revoked_at.eq(now), logins::revoke_reason.eq(reason)))
        .returning(logins::expires_at)
        .get_result(conn)
        .await
        .optional()?;
    Ok(expires_at.map(|expires_at| Revocation { login_id: principal.login_id, expires_at: expires_at.into() }))
}

/// Lists the logins that gateways must refuse at `now`, or of those only what ended since a time.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_revoked(
    conn: &mut AsyncPgConnection,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Outcome<Vec<Revocation>> {
    let since = since.unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
    let rows: Vec<(Uuid, DateTime<Utc>)> = logins::table
        .filter(logins::revoked_at.is_not_null().and(logins::expires_at.gt(now)).and(logins::revoked_at.ge(since)))
        .select((logins::id, logins::expires_at))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, expires_at)| Revocation { login_id: LoginId(id), expires_at: expires_at.into() })
        .collect())
}
