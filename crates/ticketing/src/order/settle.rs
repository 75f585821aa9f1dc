//! What becomes of a reservation: paid for, given back, run out.
//!
//! Each change is one call of a database function that locks in the order of all others, moves stock, seats and the
//! buyer's count together, writes the notices of it, and happens once however often it is asked for. They run in the
//! transaction of the caller, who wakes the outbox after the commit.

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Bool, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::ReservationId,
    seat_hold::{RESERVATION_NOT_FOUND, ReservationStatus},
};

/// What a payment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The reservation is confirmed now: tickets are sold, seats reserved.
    Confirmed,
    /// It was confirmed before; nothing has changed.
    AlreadyConfirmed,
    /// It cannot be confirmed any more; nothing has changed.
    TooLate(TooLate),
}

/// Why a reservation cannot be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLate {
    /// Its time has passed; when it was to be seated again: what it held is gone, or its buyer's limit is reached.
    Expired,
    /// It was given back, or the event was called off.
    Cancelled,
}

/// Why a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Its owner or the organizer gives it back, pending or confirmed.
    Cancelled,
    /// Its time has passed.
    Expired,
    /// The payment was refused; only a pending one ends for that, and its payment has failed.
    Refused,
}

impl Release {
    const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }
}

/// What came of ending a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It has ended now, and everything it held is on sale again.
    Now,
    /// It stands elsewhere and nothing has changed: ended before, expired when it was to be cancelled, confirmed when it
    /// was to expire, or pending with time left.
    No(ReservationStatus),
}

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Text)]
    told: String,
}

/// Confirms a pending reservation whose time has not passed: it is paid for by `method`.
///
/// # Errors
/// 404 when there is no such reservation; 503 when the database is away or a lock is not free in time.
pub async fn confirm(conn: &mut AsyncPgConnection, id: ReservationId, method: &str) -> Outcome<Confirmed> {
    sell(conn, id, method, None).await
}

/// Confirms a reservation that was paid for after its time had passed: takes stock and seats again if all of them are
/// free and its buyer stays within `most_per_event`.
///
/// # Errors
/// 404 when there is no such reservation; 503 when the database is away or a lock is not free in time.
pub async fn reseat(
    conn: &mut AsyncPgConnection,
    id: ReservationId,
    method: &str,
    most_per_event: usize,
) -> Outcome<Confirmed> {
    sell(conn, id, method, Some(most_per_event)).await
}

async fn sell(
    conn: &mut AsyncPgConnection,
    id: ReservationId,
    method: &str,
    late_within: Option<usize>,
) -> Outcome<Confirmed> {
    let most = late_within.map_or(0, |most| i32::try_from(most).unwrap_or(i32::MAX));
    let Told { told } = sql_query("SELECT confirm_reservation($1, $2, $3, $4) AS told")
        .bind::<SqlUuid, _>(id.0)
        .bind::<Text, _>(method)
        .bind::<Bool, _>(late_within.is_some())
        .bind::<Integer, _>(most)
        .prepared()
        .get_result(conn)
        .await?;
    match told.as_str() {
        "confirmed" => Ok(Confirmed::Confirmed),
        "already_confirmed" => Ok(Confirmed::AlreadyConfirmed),
        "expired" => Ok(Confirmed::TooLate(TooLate::Expired)),
        "cancelled" => Ok(Confirmed::TooLate(TooLate::Cancelled)),
        "not_found" => Err(RESERVATION_NOT_FOUND.into()),
        other => Err(Problem::unexpected(format!("confirm_reservation returned {other}"))),
    }
}

/// Ends a reservation, once. One that was paid for keeps its payment status, and a message `refund` asks for its money
/// back after the commit.
///
/// # Errors
/// 404 when there is no such reservation; 503 when the database is away or a lock is not free in time.
pub async fn release(conn: &mut AsyncPgConnection, id: ReservationId, how: Release) -> Outcome<Released> {
    let Told { told } = sql_query("SELECT release_reservation($1, $2) AS told")
        .bind::<SqlUuid, _>(id.0)
        .bind::<Text, _>(how.name())
        .prepared()
        .get_result(conn)
        .await?;
    match told.as_str() {
        "released" => Ok(Released::Now),
        "cancelled" => Ok(Released::No(ReservationStatus::Cancelled)),
        "expired" => Ok(Released::No(ReservationStatus::Expired)),
        "confirmed" => Ok(Released::No(ReservationStatus::Confirmed)),
        "not_due" => Ok(Released::No(ReservationStatus::Pending)),
        "not_found" => Err(RESERVATION_NOT_FOUND.into()),
        other => Err(Problem::unexpected(format!("release_reservation returned {other}"))),
    }
}
