//! The rows of accounts.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
    result::{DatabaseErrorKind, Error},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    fault::{Fault, Kind},
    ids::UserId,
    principal::{Principal, Role},
};
use uuid::Uuid;

use crate::schema::{logins, users};

/// Somebody was first.
pub const EMAIL_TAKEN: Fault = Fault::new(
    Kind::Conflict,
    "email_taken",
    "이미 가입된 이메일입니다.",
    "This e-mail address already has an account.",
);

/// An account.
#[derive(Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct User {
    pub id: Uuid,
    pub name: String,
    pub email: String,
    pub password_hash: Option<String>,
    pub role: String,
    pub provider: String,
    pub locale: String,
    pub timezone: String,
    pub picture: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl User {
    /// Returns what the account may do; a role this version does not know may nothing special.
    pub fn role(&self) -> Role {
        Role::parse(&self.role).unwrap_or_default()
    }
}

/// An account to be made.
#[derive(Insertable)]
#[diesel(table_name = users)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewUser {
    pub id: Uuid,
    pub name: String,
    pub email: String,
    pub email_key: String,
    pub phone: Option<String>,
    pub password_hash: Option<String>,
    pub role: &'static str,
    pub locale: &'static str,
    pub created_at: DateTime<Utc>,
}

/// Makes an account.
///
/// # Errors
/// [`EMAIL_TAKEN`] when the address has one.
pub async fn insert(conn: &mut AsyncPgConnection, user: &NewUser) -> Outcome<User> {
    diesel::insert_into(users::table).values(user).returning(User::as_returning()).get_result(conn).await.map_err(
        |error| match error {
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => EMAIL_TAKEN.into(),
            other => Problem::from(other),
        },
    )
}

/// Makes accounts that may be there already; returns how many were new.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_missing(conn: &mut AsyncPgConnection, users: &[NewUser]) -> Outcome<usize> {
    Ok(diesel::insert_into(users::table).values(users).on_conflict_do_nothing().execute(conn).await?)
}

/// Finds the account of an e-mail address.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_by_email(conn: &mut AsyncPgConnection, email_key: &str) -> Outcome<Option<User>> {
    let found = users::table.filter(users::email_key.eq(email_key)).select(User::as_select()).first(conn).await;
    Ok(found.optional()?)
}

/// Returns which of these accounts exist.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn existing(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Outcome<Vec<UserId>> {
    let found: Vec<Uuid> = users::table.filter(users::id.eq_any(ids)).select(users::id).load(conn).await?;
    Ok(found.into_iter().map(UserId).collect())
}

/// Finds the account behind a login that still counts.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_by_login(conn: &mut AsyncPgConnection, principal: Principal) -> Outcome<Option<User>> {
    let found = logins::table
        .inner_join(users::table)
        .filter(logins::id.eq(principal.login_id.0))
        .filter(users::id.eq(principal.user_id.0))
        .filter(logins::revoked_at.is_null())
        .select(User::as_select())
        .first(conn)
        .await;
    Ok(found.optional()?)
}
