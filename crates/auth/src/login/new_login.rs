//! The rows that a login begins with.

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    Insertable, OptionalExtension, QueryableByName, sql_query,
    sql_types::{BigInt, Bool, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{LoginId, UserId},
    principal::Role,
};
use uuid::Uuid;

use super::begin::Lasting;
use crate::{account::store::User, audit::Waiting, schema::logins, visitor::Visitor};

/// A login to be written.
#[derive(Debug, Insertable)]
#[diesel(table_name = logins, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewLogin {
    pub id: Uuid,
    pub user_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub idle_expires_at: DateTime<Utc>,
    pub absolute_expires_at: DateTime<Utc>,
    pub method: &'static str,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
    pub ip_prefix: Option<String>,
}

impl NewLogin {
    /// Describes a login that ends at once; say how long it lasts with the other fields.
    pub fn new(user_id: UserId, login_id: LoginId, method: &'static str, now: DateTime<Utc>) -> Self {
        Self {
            id: login_id.0,
            user_id: user_id.0,
            created_at: now,
            last_seen_at: now,
            expires_at: now,
            idle_expires_at: now,
            absolute_expires_at: now,
            method,
            user_agent: None,
            ip: None,
            ip_prefix: None,
        }
    }

    /// Says where it comes from.
    #[must_use]
    pub fn from(self, visitor: &Visitor) -> Self {
        Self {
            user_agent: visitor.user_agent.clone(),
            ip: visitor.ip.map(|ip| ip.to_string()),
            ip_prefix: visitor.ip.map(|_| visitor.place()),
            ..self
        }
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

/// A login that has been written.
#[derive(QueryableByName)]
pub struct Begun {
    /// Its account, as it is now.
    #[diesel(embed)]
    pub user: User,
    /// Whether the person has more logins than may count at the same time.
    #[diesel(sql_type = Bool)]
    pub is_one_too_many: bool,
}

/// Writes a login and its audit entry, if the account has still the password of this hash, and keeps the account so while
/// they are written. The login lasts as long as one of the account's role does.
///
/// This is most of what a login costs beside the hash, so it is one statement: one round trip and a transaction of its own.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn begin_with_password(
    conn: &mut AsyncPgConnection,
    hash: &str,
    login: NewLogin,
    entry: Waiting,
    most: i64,
) -> Outcome<Option<Begun>> {
    let [admins, others] = [Role::Admin, Role::User].map(Lasting::of);
    let begun = sql_query(
        "WITH account AS (SELECT * FROM users WHERE id = $1 AND password_hash = $2 FOR SHARE), \
         login AS (INSERT INTO logins (id, user_id, created_at, last_seen_at, expires_at, method, user_agent, ip, \
           ip_prefix, idle_expires_at, absolute_expires_at) \
           SELECT $3, id, $4, $4, $5, $6, $7, $8, $9, $4 + CASE role WHEN 'admin' THEN $10 ELSE $11 END, \
             $4 + CASE role WHEN 'admin' THEN $12 ELSE $13 END FROM account), \
         entry AS (INSERT INTO audit_pending (id, at, action, user_id, meta, personal) \
           SELECT $14, $15, $16, id, $17, $18 FROM account) \
         SELECT id, name, email, email_key, phone, password_hash, role, provider, locale, timezone, picture, created_at, \
           email_verified_at, EXISTS (SELECT FROM logins WHERE user_id = $1 AND revoked_at IS NULL OFFSET $19) \
           AS is_one_too_many FROM account",
    )
    .bind::<SqlUuid, _>(login.user_id)
    .bind::<Text, _>(hash)
    .bind::<SqlUuid, _>(login.id)
    .bind::<Timestamptz, _>(login.created_at)
    .bind::<Timestamptz, _>(login.expires_at)
    .bind::<Text, _>(login.method)
    .bind::<Nullable<Text>, _>(login.user_agent)
    .bind::<Nullable<Text>, _>(login.ip)
    .bind::<Nullable<Text>, _>(login.ip_prefix)
    .bind::<Interval, _>(admins.idle)
    .bind::<Interval, _>(others.idle)
    .bind::<Interval, _>(admins.at_most)
    .bind::<Interval, _>(others.at_most)
    .bind::<SqlUuid, _>(entry.id)
    .bind::<Timestamptz, _>(entry.at)
    .bind::<Text, _>(entry.action)
    .bind::<Jsonb, _>(entry.meta)
    .bind::<Jsonb, _>(entry.personal)
    // The statement does not see the login that it writes: beyond so many, that one is too many.
    .bind::<BigInt, _>(most - 1)
    .prepared();
    Ok(begun.get_result(conn).await.optional()?)
}
