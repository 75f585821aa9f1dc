//! The rows of accounts.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable,
    QueryableByName, Selectable, SelectableHelper,
    result::{DatabaseErrorKind, Error},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    fault::{Fault, Kind},
    ids::UserId,
    locale::Locale,
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
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct User {
    pub id: Uuid,
    pub name: String,
    pub email: String,
    pub email_key: String,
    pub phone: Option<String>,
    pub password_hash: Option<String>,
    pub role: String,
    pub provider: String,
    pub locale: String,
    pub timezone: String,
    pub picture: Option<String>,
    pub created_at: DateTime<Utc>,
    pub email_verified_at: Option<DateTime<Utc>>,
}

impl User {
    /// Returns what the account may do; a role this version does not know may nothing special.
    pub fn role(&self) -> Role {
        Role::parse(&self.role).unwrap_or_default()
    }

    /// Returns the language of mails.
    pub fn locale(&self) -> Locale {
        Locale::parse(&self.locale).unwrap_or_default()
    }
}

/// An account to be made.
#[derive(Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewUser {
    pub id: Uuid,
    pub name: String,
    pub email: String,
    pub email_key: String,
    pub phone: Option<String>,
    pub password_hash: Option<String>,
    pub role: &'static str,
    pub provider: &'static str,
    pub locale: &'static str,
    pub picture: Option<String>,
    pub created_at: DateTime<Utc>,
    pub email_verified_at: Option<DateTime<Utc>>,
}

impl NewUser {
    /// Describes an account that cannot log in yet.
    pub fn new(id: Uuid, name: String, email: String, created_at: DateTime<Utc>) -> Self {
        Self {
            id,
            name,
            email_key: email.to_lowercase(),
            email,
            phone: None,
            password_hash: None,
            role: Role::User.name(),
            provider: "password",
            locale: Locale::Ko.code(),
            picture: None,
            created_at,
            email_verified_at: None,
        }
    }
}

/// What its owner may change of an account; `None` leaves a field as it is.
#[derive(AsChangeset, Default)]
#[diesel(table_name = users)]
#[expect(missing_docs, reason = "as the columns; an inner `None` takes a value away")]
pub struct Changes {
    pub name: Option<String>,
    pub phone: Option<Option<String>>,
    pub locale: Option<&'static str>,
    pub timezone: Option<String>,
    pub picture: Option<Option<String>>,
    pub updated_at: Option<DateTime<Utc>>,
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

/// Finds an account.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, user_id: UserId) -> Outcome<Option<User>> {
    Ok(users::table.find(user_id.0).select(User::as_select()).first(conn).await.optional()?)
}

/// Finds the account of an e-mail address.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_by_email(mut conn: &AsyncPgConnection, email_key: &str) -> Outcome<Option<User>> {
    let found = users::table.filter(users::email_key.eq(email_key)).select(User::as_select()).first(&mut conn).await;
    Ok(found.optional()?)
}

/// Keeps an account as it is until the transaction ends; returns it, unless it is gone. Whoever locks an account and
/// logins of it locks the account first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock(conn: &mut AsyncPgConnection, user_id: UserId) -> Outcome<Option<User>> {
    let found = users::table.find(user_id.0).select(User::as_select()).for_update().first(conn).await;
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
pub async fn find_by_login(mut conn: &AsyncPgConnection, principal: Principal) -> Outcome<Option<User>> {
    let found = logins::table
        .inner_join(users::table)
        .filter(logins::id.eq(principal.login_id.0))
        .filter(users::id.eq(principal.user_id.0))
        .filter(logins::revoked_at.is_null())
        .select(User::as_select())
        .first(&mut conn)
        .await;
    Ok(found.optional()?)
}

/// Changes an account; returns it as it is then.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn update(conn: &mut AsyncPgConnection, user_id: UserId, changes: &Changes) -> Outcome<Option<User>> {
    let updating = diesel::update(users::table.find(user_id.0)).set(changes).returning(User::as_returning());
    Ok(updating.get_result(conn).await.optional()?)
}

/// Puts a new hash in the place of another; returns whether it was still that one.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn replace_password(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    (old, new): (&str, &str),
    now: DateTime<Utc>,
) -> Outcome<bool> {
    let unchanged = users::table.filter(users::id.eq(user_id.0).and(users::password_hash.eq(old)));
    let change = (users::password_hash.eq(new), users::updated_at.eq(now));
    Ok(diesel::update(unchanged).set(change).execute(conn).await? > 0)
}

/// Sets a password, or takes it away.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn set_password(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    hash: Option<&str>,
    now: DateTime<Utc>,
) -> Outcome<()> {
    let change = (users::password_hash.eq(hash), users::updated_at.eq(now));
    diesel::update(users::table.find(user_id.0)).set(change).execute(conn).await?;
    Ok(())
}

/// Notes that mail to the account's address reaches its owner; the first proof counts.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn verify_email(conn: &mut AsyncPgConnection, user_id: UserId, now: DateTime<Utc>) -> Outcome<()> {
    let unproved = users::table.filter(users::id.eq(user_id.0).and(users::email_verified_at.is_null()));
    diesel::update(unproved).set(users::email_verified_at.eq(now)).execute(conn).await?;
    Ok(())
}

/// Gives an account a role.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn set_role(conn: &mut AsyncPgConnection, user_id: UserId, role: Role, now: DateTime<Utc>) -> Outcome<()> {
    let change = (users::role.eq(role.name()), users::updated_at.eq(now));
    diesel::update(users::table.find(user_id.0)).set(change).execute(conn).await?;
    Ok(())
}

/// Deletes an account and everything this database keeps under it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete(conn: &mut AsyncPgConnection, user_id: UserId) -> Outcome<()> {
    diesel::delete(users::table.find(user_id.0)).execute(conn).await?;
    Ok(())
}
