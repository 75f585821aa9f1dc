//! `GET /api/v1/queue/audit/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{fault::Violations, ids::EventId, page::Limit, time::Instant};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::log::{self, Entry};
use crate::app::App;

/// Entries per page when the client does not say.
const LIMIT_DEFAULT: i64 = 100;
/// Most entries per page: about 300 kB.
const LIMIT_MAX: i64 = 1_000;

/// Which part of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// The index after which to begin, default 0.
    after: Option<i64>,
    /// Entries, 1-1,000, default 100.
    limit: Option<i64>,
}

/// A part of the admission log.
///
/// `hash` is SHA-256 of the bytes `maru queue entry`, the 32 bytes of `prevHash`, and the text
/// `eventId index generation incarnation seq userHash milliseconds restored`, where milliseconds are those of
/// `admittedAt` since 1970 and restored is 0 or 1. The first `prevHash` is 32 zero bytes. Within a generation `seq`
/// grows from entry to entry, but for places that were given back (`restored`).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditView {
    event_id: EventId,
    /// What stands for you: SHA-256 of the bytes `maru queue person`, of the event's and of your account's id.
    your_hash: String,
    /// Entries of the whole log.
    total: i64,
    entries: Vec<EntryView>,
    /// The `after` of the next part.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// Somebody was let in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryView {
    index: i64,
    generation: i32,
    incarnation: i32,
    seq: i64,
    user_hash: String,
    admitted_at: Instant,
    restored: bool,
    prev_hash: String,
    hash: String,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            index: entry.index,
            generation: entry.generation,
            incarnation: entry.incarnation,
            seq: entry.seq,
            user_hash: hex::encode(&entry.user_hash),
            admitted_at: entry.admitted_at.into(),
            restored: entry.restored,
            prev_hash: hex::encode(&entry.prev_hash),
            hash: hex::encode(&entry.hash),
        }
    }
}

/// Shows who was let in and in which order, so that anybody can check that nobody was let past the line.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    get, path = "/api/v1/queue/audit/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path), AuditQuery),
    responses(
        (status = 200, body = AuditView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn show_audit(
    app: Data<App>,
    person: Person,
    event_id: Path<EventId>,
    query: Query<AuditQuery>,
) -> Outcome<HttpResponse> {
    let after = query.after.unwrap_or_default();
    let mut violations = Violations::new();
    violations.require(
        after >= 0,
        "?after",
        "out_of_range",
        "after는 0 이상이어야 합니다.",
        "The index is not negative.",
    );
    violations.into_result()?;
    let limit = Limit::parse(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?.rows();
    app.queue.event(*event_id).await?;
    let mut conn = app.ground.pg.conn().await?;
    let total = log::count(&mut conn, *event_id).await?;
    let entries = log::list(&mut conn, *event_id, after, limit).await?;
    let next = entries.last().map(|last| last.index).filter(|last| *last < total);
    let your_hash = hex::encode(log::user_hash(*event_id, person.0.user_id));
    let entries = entries.into_iter().map(EntryView::from).collect();
    Ok(HttpResponse::Ok().json(AuditView { event_id: *event_id, your_hash, total, entries, next }))
}
