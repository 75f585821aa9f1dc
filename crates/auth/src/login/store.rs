//! The rows of logins that have begun.

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, QueryableByName, Selectable,
    SelectableHelper,
    dsl::sql,
    prelude::Queryable,
    sql_query,
    sql_types::{Array, BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    contract::{LoginSeen, Revocation},
    ids::{LoginId, UserId},
    principal::{Principal, Role},
    refresh::Chain,
};
use uuid::Uuid;

use super::begin::Lasting;
use crate::schema::{logins, revoked_logins, users};

/// A login as its owner's list shows it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = logins, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Login {
    pub id: Uuid,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub idle_expires_at: DateTime<Utc>,
    pub method: String,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
}

/// A login as an exchange of its refresh token finds it.
#[derive(Clone, Copy, Debug)]
pub struct Exchangeable {
    /// Whose it is; the role is the account's of now.
    pub principal: Principal,
    /// Its refresh tokens.
    pub chain: Chain,
    /// Whether it has ended, by itself or by somebody.
    pub has_ended: bool,
}

#[derive(QueryableByName)]
struct Exchanged {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    role: String,
}

/// Exchanges refresh token number `counter` for the next; of all who show it, exactly one does. Returns whose login it
/// is, or nothing when the token is not the current one or the login has ended.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn exchange(
    conn: &mut AsyncPgConnection,
    login_id: LoginId,
    counter: u32,
    now: DateTime<Utc>,
    access_ends_at: DateTime<Utc>,
) -> Outcome<Option<Principal>> {
    // `domain::refresh::Chain::exchanged`, and the login's own times, in one statement.
    let exchanged: Option<Exchanged> = sql_query(
        "UPDATE logins l SET refresh_counter = refresh_counter + 1, refreshed_at = $3, successor_used = false, \
         run_counter = CASE WHEN run_began_at > $4 THEN run_counter ELSE refresh_counter END, \
         run_began_at = CASE WHEN run_began_at > $4 THEN run_began_at ELSE $3 END, \
         last_seen_at = $3, expires_at = greatest(expires_at, $5), \
         idle_expires_at = least(CASE u.role WHEN 'admin' THEN $6 ELSE $7 END, absolute_expires_at) \
         FROM users u WHERE l.id = $1 AND l.refresh_counter = $2 AND l.revoked_at IS NULL AND l.idle_expires_at > $3 \
         AND u.id = l.user_id RETURNING l.user_id, u.role",
    )
    .bind::<SqlUuid, _>(login_id.0)
    .bind::<Integer, _>(i32::try_from(counter).unwrap_or(-1))
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now - domain::refresh::GRACE)
    .bind::<Timestamptz, _>(access_ends_at)
    .bind::<Timestamptz, _>(now + Lasting::of(Role::Admin).idle)
    .bind::<Timestamptz, _>(now + Lasting::of(Role::User).idle)
    .prepared()
    .get_result(conn)
    .await
    .optional()?;
    Ok(exchanged.map(|row| Principal {
        user_id: UserId(row.user_id),
        login_id,
        role: Role::parse(&row.role).unwrap_or_default(),
    }))
}

type ExchangeableRow = (
    Uuid,
    String,
    i32,
    Option<DateTime<Utc>>,
    bool,
    Option<i32>,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
    DateTime<Utc>,
);

/// Finds a login with its refresh tokens.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_exchangeable(
    conn: &mut AsyncPgConnection,
    login_id: LoginId,
    now: DateTime<Utc>,
) -> Outcome<Option<Exchangeable>> {
    let row: Option<ExchangeableRow> = logins::table
        .inner_join(users::table)
        .filter(logins::id.eq(login_id.0))
        .select((
            users::id,
            users::role,
            logins::refresh_counter,
            logins::refreshed_at,
            logins::successor_used,
            logins::run_counter,
            logins::run_began_at,
            logins::revoked_at,
            logins::idle_expires_at,
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((user_id, role, counter, refreshed_at, is_in_use, run_counter, run_began_at, revoked_at, idle)) = row
    else {
        return Ok(None);
    };
    let number = |counter: i32| u32::try_from(counter).unwrap_or_default();
    Ok(Some(Exchangeable {
        principal: Principal { user_id: UserId(user_id), login_id, role: Role::parse(&role).unwrap_or_default() },
        chain: Chain {
            counter: number(counter),
            refreshed_at,
            is_in_use,
            run: run_counter.map(number).zip(run_began_at),
        },
        has_ended: revoked_at.is_some() || idle <= now,
    }))
}

/// Which logins are ended.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// One of a person's.
    One(LoginId),
    /// All of them but one.
    AllBut(LoginId),
    /// All of them.
    All,
}

/// Ends logins of a person; returns what gateways must know of those that had not ended before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn end(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    which: Which,
    reason: &str,
    now: DateTime<Utc>,
) -> Outcome<Vec<Revocation>> {
    let live = logins::user_id.eq(user_id.0).and(logins::revoked_at.is_null());
    let change = (logins::revoked_at.eq(now), logins::revoke_reason.eq(reason));
    let returned = (logins::id, logins::expires_at);
    let rows: Vec<(Uuid, DateTime<Utc>)> = match which {
        Which::One(login_id) => {
            let one = logins::table.filter(live.and(logins::id.eq(login_id.0)));
            diesel::update(one).set(change).returning(returned).prepared().get_results(conn).await?
        }
        Which::AllBut(login_id) => {
            let others = logins::table.filter(live.and(logins::id.ne(login_id.0)));
            diesel::update(others).set(change).returning(returned).prepared().get_results(conn).await?
        }
        Which::All => {
            diesel::update(logins::table.filter(live)).set(change).returning(returned).get_results(conn).await?
        }
    };
    Ok(rows.into_iter().map(revocation).collect())
}

#[derive(QueryableByName)]
struct Ended {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
}

/// Ends what a person has beyond `most` logins, those first that were not used for the longest time.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn end_surplus(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    most: i64,
    now: DateTime<Utc>,
) -> Outcome<Vec<Revocation>> {
    let ended: Vec<Ended> = sql_query(
        "UPDATE logins SET revoked_at = $3, revoke_reason = 'surplus' WHERE id IN (SELECT id FROM logins \
         WHERE user_id = $1 AND revoked_at IS NULL ORDER BY last_seen_at DESC, id DESC OFFSET $2) \
         AND revoked_at IS NULL RETURNING id, expires_at",
    )
    .bind::<SqlUuid, _>(user_id.0)
    .bind::<BigInt, _>(most)
    .bind::<Timestamptz, _>(now)
    .prepared()
    .load(conn)
    .await?;
    Ok(ended.into_iter().map(|row| revocation((row.id, row.expires_at))).collect())
}

/// Keeps ended logins where gateways ask for them.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn remember_revoked(conn: &mut AsyncPgConnection, ended: &[Revocation], now: DateTime<Utc>) -> Outcome<()> {
    let rows: Vec<_> = ended
        .iter()
        .map(|revocation| {
            (
                revoked_logins::login_id.eq(revocation.login_id.0),
                revoked_logins::revoked_at.eq(now),
                revoked_logins::expires_at.eq(revocation.expires_at.0),
            )
        })
        .collect();
    diesel::insert_into(revoked_logins::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
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
    let rows: Vec<(Uuid, DateTime<Utc>)> = revoked_logins::table
        .filter(revoked_logins::expires_at.gt(now).and(revoked_logins::revoked_at.ge(since)))
        .select((revoked_logins::login_id, revoked_logins::expires_at))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(revocation).collect())
}

/// Lists a person's logins that still count, newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_live(conn: &mut AsyncPgConnection, user_id: UserId, now: DateTime<Utc>) -> Outcome<Vec<Login>> {
    let live = logins::user_id.eq(user_id.0).and(logins::revoked_at.is_null());
    // An access token may outlive the refresh token of a login that was hardly used.
    let still = logins::idle_expires_at.gt(now).or(logins::expires_at.gt(now));
    let found = logins::table.filter(live.and(still)).order((logins::created_at.desc(), logins::id.desc()));
    Ok(found.select(Login::as_select()).load(conn).await?)
}

/// Finds when and how a login that still counts began.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_beginning(
    conn: &mut AsyncPgConnection,
    principal: Principal,
) -> Outcome<Option<(DateTime<Utc>, String)>> {
    let mine = logins::id.eq(principal.login_id.0).and(logins::user_id.eq(principal.user_id.0));
    let found = logins::table.filter(mine.and(logins::revoked_at.is_null()));
    Ok(found.select((logins::created_at, logins::method)).first(conn).await.optional()?)
}

/// Returns whether somebody has logged in to an account from this place since a time.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn is_known_place(
    conn: &mut AsyncPgConnection,
    email_key: &str,
    place: &str,
    since: DateTime<Utc>,
) -> Outcome<bool> {
    let known = logins::table
        .inner_join(users::table)
        .filter(users::email_key.eq(email_key).and(logins::ip_prefix.eq(place)).and(logins::created_at.gt(since)));
    Ok(diesel::select(diesel::dsl::exists(known)).get_result(conn).await?)
}

fn revocation((id, expires_at): (Uuid, DateTime<Utc>)) -> Revocation {
    Revocation { login_id: LoginId(id), expires_at: expires_at.into() }
}

/// Lets gateways know for how long they must remember a login whose current token is given out again; returns whether
/// it still counts.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn extend(conn: &mut AsyncPgConnection, login_id: LoginId, access_ends_at: DateTime<Utc>) -> Outcome<bool> {
    let live = logins::table.filter(logins::id.eq(login_id.0).and(logins::revoked_at.is_null()));
    let later = sql::<Timestamptz>("greatest(expires_at, ").bind::<Timestamptz, _>(access_ends_at).sql(")");
    Ok(diesel::update(live).set(logins::expires_at.eq(later)).prepared().execute(conn).await? > 0)
}

/// Notes logins that were seen at work; returns how many there were. What gateways say of the future is not believed.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn note_seen(conn: &mut AsyncPgConnection, seen: &[LoginSeen], now: DateTime<Utc>) -> Outcome<u64> {
    let ids: Vec<Uuid> = seen.iter().map(|login| login.login_id.0).collect();
    let counters: Vec<i32> = seen.iter().map(|l| i32::try_from(l.refresh_counter).unwrap_or(-1)).collect();
    let times: Vec<DateTime<Utc>> = seen.iter().map(|login| login.at.0.min(now)).collect();
    let noted = sql_query(
        "UPDATE logins l SET last_seen_at = greatest(l.last_seen_at, s.at), \
         successor_used = l.successor_used OR l.refresh_counter = s.counter \
         FROM (SELECT id, max(counter) AS counter, max(at) AS at \
               FROM unnest($1, $2, $3) AS t (id, counter, at) GROUP BY id ORDER BY id) s \
         WHERE l.id = s.id AND l.revoked_at IS NULL",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Integer>, _>(counters)
    .bind::<Array<Timestamptz>, _>(times)
    .prepared()
    .execute(conn)
    .await?;
    Ok(u64::try_from(noted).unwrap_or_default())
}
