//! The rows of erasures, and of who somebody is elsewhere.

use std::collections::BTreeMap;

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{principal::Service, time::Instant};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::schema::{erasure_services, erasures, identities};

/// One service's part of an erasure: its name, what it erased, and when it was done.
pub type Part = (String, Value, Option<DateTime<Utc>>);

/// Lists who an account is elsewhere.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_identities(conn: &mut AsyncPgConnection, user_id: Uuid) -> Outcome<Vec<Value>> {
    let rows: Vec<(String, String, DateTime<Utc>)> = identities::table
        .filter(identities::user_id.eq(user_id))
        .select((identities::provider, identities::subject, identities::created_at))
        .load(conn)
        .await?;
    let view = rows.into_iter().map(|(provider, subject, created_at)| {
        json!({ "provider": provider, "subject": subject, "created_at": Instant(created_at) })
    });
    Ok(view.collect())
}

/// Writes an erasure with a part for each service; those in `finished` are done.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn begin(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    services: &[(Service, Option<Value>)],
    now: DateTime<Utc>,
) -> Outcome<()> {
    let row = (erasures::id.eq(id), erasures::requested_at.eq(now));
    diesel::insert_into(erasures::table).values(row).execute(conn).await?;
    let parts: Vec<_> = services
        .iter()
        .map(|(service, erased)| {
            (
                erasure_services::erasure_id.eq(id),
                erasure_services::service.eq(service.name()),
                erasure_services::erased.eq(erased.clone().unwrap_or_else(|| json!({}))),
                erasure_services::finished_at.eq(erased.as_ref().map(|_| now)),
            )
        })
        .collect();
    diesel::insert_into(erasure_services::table).values(parts).execute(conn).await?;
    Ok(())
}

/// Finds an erasure: when it was asked for, and its parts.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, id: Uuid) -> Outcome<Option<(DateTime<Utc>, Vec<Part>)>> {
    let asked = erasures::table.find(id).select(erasures::requested_at).first(conn).await.optional()?;
    let Some(requested_at) = asked else { return Ok(None) };
    let parts = erasure_services::table
        .filter(erasure_services::erasure_id.eq(id))
        .order(erasure_services::service)
        .select((erasure_services::service, erasure_services::erased, erasure_services::finished_at))
        .load(conn)
        .await?;
    Ok(Some((requested_at, parts)))
}

/// Adds what a service has erased, and notes when it is done; call in a transaction.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn note_erased(
    conn: &mut AsyncPgConnection,
    (id, service): (Uuid, &str),
    erased: &BTreeMap<String, u64>,
    finished_at: Option<DateTime<Utc>>,
) -> Outcome<()> {
    let part = erasure_services::erasure_id.eq(id).and(erasure_services::service.eq(service));
    let locked = erasure_services::table.filter(part).select(erasure_services::erased).for_update();
    let Some(before): Option<Value> = locked.first(conn).await.optional()? else { return Ok(()) };
    let mut sum: BTreeMap<String, u64> = serde_json::from_value(before).unwrap_or_default();
    for (what, count) in erased {
        *sum.entry(what.clone()).or_default() += count;
    }
    let change = (erasure_services::erased.eq(json!(sum)), erasure_services::finished_at.eq(finished_at));
    diesel::update(erasure_services::table.filter(part)).set(change).execute(conn).await?;
    Ok(())
}
