//! The rows of payments.
//!
//! Every change names the status that it starts from, and happens under the lock of the reservation: first what
//! `lock_reservation` locks, then its payments, then seats, then stock.

use std::time::Duration;

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{PaymentId, ReservationId, UserId},
    payment::{PAYMENT_KEY_USED, PaymentMethod, PaymentStatus},
    seat_hold::ReservationStatus,
};
use uuid::Uuid;

use super::provider::Charge;

/// What is read of a payment, in every statement that returns one.
const COLUMNS: &str = "id, reservation_id, provider, order_id, payment_key, method, amount, status, failure, attempts, \
                       round, captured_at, coalesce(authorised_at < clock_timestamp() - interval '15 minutes', false) \
                       AS is_old";

/// A payment.
#[derive(Clone, Debug, QueryableByName)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Payment {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub reservation_id: Uuid,
    #[diesel(sql_type = Text)]
    pub provider: String,
    #[diesel(sql_type = Text)]
    pub order_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub payment_key: Option<String>,
    #[diesel(sql_type = Text)]
    pub method: String,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub failure: Option<String>,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Integer)]
    pub round: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub captured_at: Option<DateTime<Utc>>,
    /// Whether it has been `authorising` for longer than any provider lets a consent wait.
    #[diesel(sql_type = Bool)]
    pub is_old: bool,
}

impl Payment {
    /// Returns where it stands.
    ///
    /// # Errors
    /// Returns an unexpected problem for a status that this version does not know: nothing must be done about it.
    pub fn status(&self) -> Outcome<PaymentStatus> {
        PaymentStatus::parse(&self.status)
            .ok_or_else(|| Problem::unexpected(format!("a payment has the unknown status {}", self.status)))
    }

    /// Returns its reservation.
    pub fn reservation(&self) -> ReservationId {
        ReservationId(self.reservation_id)
    }

    /// Returns what the provider is asked for.
    ///
    /// # Errors
    /// Returns an unexpected problem while there is no consent; the database keeps such a payment from being asked for.
    pub fn charge(&self) -> Outcome<Charge<'_>> {
        let payment_key = self.payment_key.as_deref();
        let payment_key = payment_key.ok_or_else(|| Problem::unexpected("a payment without a key is asked for"))?;
        Ok(Charge { order_id: &self.order_id, payment_key, amount: self.amount })
    }

    /// Returns the key under which the provider does something once.
    pub fn idempotency_key(&self, deed: &str) -> String {
        format!("maru-{deed}-{}-{}", self.id.simple(), self.round)
    }
}

/// What is read of a reservation that is to be paid for, under its lock.
#[derive(Debug, QueryableByName)]
pub struct Owed {
    /// The reservation.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// KRW.
    #[diesel(sql_type = BigInt)]
    pub total_amount: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

impl Owed {
    /// Returns where the reservation stood when it was locked.
    pub fn status(&self) -> ReservationStatus {
        ReservationStatus::at(self.now, &self.status, self.expires_at)
    }
}

/// Locks a reservation.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock_reservation(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<Option<Owed>> {
    lock_owed(conn, id, None).await
}

/// Locks a reservation of a person.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock_own_reservation(
    conn: &mut AsyncPgConnection,
    id: ReservationId,
    owner: UserId,
) -> Outcome<Option<Owed>> {
    lock_owed(conn, id, Some(owner.0)).await
}

async fn lock_owed(conn: &mut AsyncPgConnection, id: ReservationId, owner: Option<Uuid>) -> Outcome<Option<Owed>> {
    // The time is asked for after the wait for the lock: what was unexpired before may be expired by then.
    let locked = sql_query(
        "SELECT r.id, r.total_amount, r.status, r.expires_at, clock_timestamp() AS now \
         FROM reservations o, LATERAL lock_reservation(o.id) r \
         WHERE o.id = $1 AND ($2 IS NULL OR o.user_id = $2) AND ($2 IS NULL OR r.user_id = $2)",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<Nullable<SqlUuid>, _>(owner)
    .prepared()
    .get_result(conn)
    .await;
    Ok(locked.optional()?)
}

/// Finds the reservation that an order pays for, of a person.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_reservation(
    conn: &mut AsyncPgConnection,
    order_id: &str,
    owner: UserId,
) -> Outcome<Option<ReservationId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let found: Option<Row> = sql_query(
        "SELECT r.id FROM payments p JOIN reservations r ON r.id = p.reservation_id \
         WHERE p.order_id = $1 AND r.user_id = $2",
    )
    .bind::<Text, _>(order_id)
    .bind::<SqlUuid, _>(owner.0)
    .prepared()
    .get_result(conn)
    .await
    .optional()?;
    Ok(found.map(|row| ReservationId(row.id)))
}

/// Finds a payment by its order, without a lock.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_order(conn: &mut AsyncPgConnection, order_id: &str) -> Outcome<Option<Payment>> {
    let query = format!("SELECT {COLUMNS} FROM payments WHERE order_id = $1");
    Ok(sql_query(query).bind::<Text, _>(order_id).prepared().get_result(conn).await.optional()?)
}

/// Locks a payment by its order; its reservation is locked already.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock_order(conn: &mut AsyncPgConnection, order_id: &str) -> Outcome<Option<Payment>> {
    let query = format!("SELECT {COLUMNS} FROM payments WHERE order_id = $1 FOR UPDATE");
    Ok(sql_query(query).bind::<Text, _>(order_id).prepared().get_result(conn).await.optional()?)
}

/// Locks the one payment of a reservation that is prepared, being asked for or captured; the reservation is locked.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock_live(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<Option<Payment>> {
    let query = format!(
        "SELECT {COLUMNS} FROM payments WHERE reservation_id = $1 \
         AND status IN ('prepared', 'authorising', 'captured') FOR UPDATE"
    );
    Ok(sql_query(query).bind::<SqlUuid, _>(id.0).prepared().get_result(conn).await.optional()?)
}

/// Writes down that somebody is about to pay.
///
/// # Errors
/// Returns a problem when the database is away; a conflict when the reservation is being paid for.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    id: PaymentId,
    owed: &Owed,
    provider: &str,
    method: PaymentMethod,
) -> Outcome<Payment> {
    let query = format!(
        "INSERT INTO payments (id, reservation_id, provider, order_id, method, amount) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}"
    );
    let inserted = sql_query(query)
        .bind::<SqlUuid, _>(id.0)
        .bind::<SqlUuid, _>(owed.id)
        .bind::<Text, _>(provider)
        .bind::<Text, _>(format!("maru_{}", id.0.simple()))
        .bind::<Text, _>(method.name())
        .bind::<BigInt, _>(owed.total_amount)
        .prepared()
        .get_result(conn)
        .await;
    Ok(inserted?)
}

/// Claims a prepared payment: from now on the provider may be asked for the money.
///
/// # Errors
/// 409 `payment_key_used` when the consent belongs to another payment.
pub async fn claim(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    payment_key: &str,
    method: PaymentMethod,
    lease: Duration,
) -> Outcome<Option<Payment>> {
    let query = format!(
        "UPDATE payments SET status = 'authorising', payment_key = $2, method = $3, attempts = 0, \
         authorised_at = clock_timestamp(), next_try_at = clock_timestamp() + make_interval(secs => $4), \
         version = version + 1, updated_at = clock_timestamp() \
         WHERE id = $1 AND status = 'prepared' RETURNING {COLUMNS}"
    );
    let claimed = sql_query(query)
        .bind::<SqlUuid, _>(id)
        .bind::<Text, _>(payment_key)
        .bind::<Text, _>(method.name())
        .bind::<Double, _>(lease.as_secs_f64())
        .prepared()
        .get_result(conn)
        .await
        .optional();
    claimed.map_err(|error| match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => PAYMENT_KEY_USED.into(),
        error => error.into(),
    })
}

/// Takes what is due to be looked into, for as long as `lease`; what another replica is taking is left to it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn take_due(conn: &mut AsyncPgConnection, most: i32, lease: Duration) -> Outcome<Vec<Payment>> {
    let query = format!(
        "UPDATE payments SET attempts = attempts + 1, version = version + 1, \
         next_try_at = clock_timestamp() + make_interval(secs => $2) \
         WHERE id IN (SELECT id FROM payments WHERE next_try_at <= clock_timestamp() ORDER BY next_try_at LIMIT $1 \
         FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
    );
    let taken =
        sql_query(query).bind::<Integer, _>(most).bind::<Double, _>(lease.as_secs_f64()).prepared().load(conn).await;
    Ok(taken?)
}

/// Has a payment looked into again after `pause`, unless it is settled by now. A new `round` has the provider decide
/// afresh instead of repeating itself.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn postpone(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    why: Option<&str>,
    pause: Duration,
    is_new_round: bool,
) -> Outcome<()> {
    sql_query(
        "UPDATE payments SET next_try_at = clock_timestamp() + make_interval(secs => $2), \
         failure = coalesce($3, failure), round = $4, version = version + 1 \
         WHERE id = $1 AND status = $5 AND next_try_at IS NOT NULL",
    )
    .bind::<SqlUuid, _>(payment.id)
    .bind::<Double, _>(pause.as_secs_f64())
    .bind::<Nullable<Text>, _>(why)
    .bind::<Integer, _>(payment.round.saturating_add(i32::from(is_new_round)))
    .bind::<Text, _>(&payment.status)
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves a payment whose row is locked to another status. Returns whether it was in one of `from`.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn advance(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    to: PaymentStatus,
    payment_key: Option<&str>,
    failure: Option<&str>,
) -> Outcome<bool> {
    let moved = sql_query(
        "UPDATE payments SET status = $3, failure = $5, \
         payment_key = CASE WHEN $5 = 'order_mismatch' THEN NULL ELSE coalesce(payment_key, $4) END, \
         attempts = 0, round = 0, \
         next_try_at = CASE WHEN $3 = 'refund_pending' THEN clock_timestamp() END, \
         captured_at = CASE WHEN $3 IN ('captured', 'refund_pending', 'refunded') \
             THEN coalesce(captured_at, clock_timestamp()) END, \
         refunded_at = CASE WHEN $3 = 'refunded' THEN clock_timestamp() END, \
         version = version + 1, updated_at = clock_timestamp() WHERE id = $1 AND status = $2",
    )
    .bind::<SqlUuid, _>(payment.id)
    .bind::<Text, _>(&payment.status)
    .bind::<Text, _>(to.name())
    .bind::<Nullable<Text>, _>(payment_key)
    .bind::<Nullable<Text>, _>(failure)
    .prepared()
    .execute(conn)
    .await?;
    Ok(moved == 1)
}

/// Whether the reservation of a payment is being paid for otherwise; what was only prepared gives way.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_rival(conn: &mut AsyncPgConnection, payment: &Payment) -> Outcome<bool> {
    sql_query(
        "UPDATE payments SET status = 'failed', failure = 'superseded', version = version + 1, \
         updated_at = clock_timestamp() WHERE reservation_id = $1 AND id <> $2 AND status = 'prepared'",
    )
    .bind::<SqlUuid, _>(payment.reservation_id)
    .bind::<SqlUuid, _>(payment.id)
    .prepared()
    .execute(conn)
    .await?;
    is_there(
        conn,
        "SELECT EXISTS (SELECT FROM payments WHERE reservation_id = $1 AND id <> $2 \
         AND status IN ('authorising', 'captured')) AS is_there",
        payment,
    )
    .await
}

/// Returns whether the reservation of a payment can still be paid for.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn is_payable(conn: &mut AsyncPgConnection, payment: &Payment) -> Outcome<bool> {
    is_there(
        conn,
        "SELECT EXISTS (SELECT FROM payments p JOIN reservations r ON r.id = p.reservation_id \
         WHERE p.reservation_id = $1 AND p.id = $2 AND p.status = 'authorising' AND r.status = 'pending' \
         AND r.expires_at > clock_timestamp()) AS is_there",
        payment,
    )
    .await
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    is_there: bool,
}

async fn is_there(conn: &mut AsyncPgConnection, query: &str, payment: &Payment) -> Outcome<bool> {
    let Exists { is_there } = sql_query(query)
        .bind::<SqlUuid, _>(payment.reservation_id)
        .bind::<SqlUuid, _>(payment.id)
        .prepared()
        .get_result(conn)
        .await?;
    Ok(is_there)
}

/// Moves the captured payments of a reservation that is over to `refund_pending`; returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn owe_refunds(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<usize> {
    let owed = sql_query(
        "UPDATE payments p SET status = 'refund_pending', attempts = 0, round = 0, next_try_at = clock_timestamp(), \
         version = p.version + 1, updated_at = clock_timestamp() FROM reservations r \
         WHERE r.id = $1 AND p.reservation_id = r.id AND p.status = 'captured' AND r.status <> 'confirmed'",
    );
    Ok(owed.bind::<SqlUuid, _>(id.0).prepared().execute(conn).await?)
}

/// Writes on a reservation how its payment stands: that it failed, while the reservation waits for another one.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn mark_failed(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<()> {
    let mark = "UPDATE reservations SET payment_status = 'failed', updated_at = clock_timestamp() \
                WHERE id = $1 AND status = 'pending' AND payment_status = 'pending'";
    sql_query(mark).bind::<SqlUuid, _>(id.0).prepared().execute(conn).await?;
    Ok(())
}

/// Writes on a reservation that is over that its money went back, unless some of it is still here.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn mark_refunded(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<()> {
    let mark = "UPDATE reservations SET payment_status = 'refunded', updated_at = clock_timestamp() \
                WHERE id = $1 AND status IN ('cancelled', 'expired') AND payment_status <> 'refunded' \
                AND NOT EXISTS (SELECT FROM payments WHERE reservation_id = $1 \
                AND status IN ('authorising', 'captured', 'refund_pending'))";
    sql_query(mark).bind::<SqlUuid, _>(id.0).prepared().execute(conn).await?;
    Ok(())
}
