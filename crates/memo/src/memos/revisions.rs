//! What memos were before they were changed: `GET /memo/{memo_id}/revisions`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::MemoId, time::Instant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    private,
    store::{self, Memo},
};
use crate::{app::App, schema::memo_revisions};

/// Revisions that are kept of a memo, the newest ones: 8 MB of the longest.
pub const KEPT: i64 = 20;

/// What a memo was.
// No `Debug`: no log line may show what somebody wrote.
#[derive(Queryable, Selectable)]
#[diesel(table_name = memo_revisions, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Revision {
    pub version: i64,
    pub content: String,
    pub tags: Vec<String>,
    pub category: Option<String>,
    pub session_id: Option<Uuid>,
    pub metadata: serde_json::Value,
    pub written_at: DateTime<Utc>,
    pub replaced_at: DateTime<Utc>,
}

/// What a memo was for a while.
#[derive(Serialize, ToSchema)]
pub struct RevisionView {
    /// Its version then.
    version: i64,
    /// What was written.
    content: String,
    /// As they were.
    tags: Vec<String>,
    /// What it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// The focus session it belonged to.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<Uuid>,
    /// Free fields.
    #[schema(value_type = Object)]
    metadata: serde_json::Value,
    /// Since when it was so.
    written_at: Instant,
    /// Until when.
    replaced_at: Instant,
}

impl From<Revision> for RevisionView {
    fn from(row: Revision) -> Self {
        Self {
            version: row.version,
            content: row.content,
            tags: row.tags,
            category: row.category,
            session_id: row.session_id,
            metadata: row.metadata,
            written_at: row.written_at.into(),
            replaced_at: row.replaced_at.into(),
        }
    }
}

/// Lists what a memo was before, newest first; the last 20 changes are kept.
///
/// **Permissions**: its owner.
#[utoipa::path(
    get, path = "/memo/{memo_id}/revisions", tag = "memos", security(("bearer" = [])),
    params(("memo_id" = Uuid, Path)),
    responses((status = 200, body = [RevisionView]), (status = 404, description = "`memo_not_found`", body = ProblemView))
)]
pub async fn revisions(app: Data<App>, person: Person, memo_id: Path<MemoId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let memo = store::get(&mut conn, person.0.user_id, *memo_id).await?;
    let rows: Vec<Revision> = memo_revisions::table
        .filter(memo_revisions::memo_id.eq(memo.id))
        .order(memo_revisions::version.desc())
        .limit(KEPT)
        .select(Revision::as_select())
        .load(&mut conn)
        .await?;
    drop(conn);
    let views: Vec<RevisionView> = rows.into_iter().map(RevisionView::from).collect();
    Ok(private(HttpResponse::Ok().json(views)))
}

/// Keeps what a locked memo is, and no more than [`KEPT`] of what it was.
///
/// # Errors
/// Returns a problem when the database is away.
pub(super) async fn keep(conn: &mut AsyncPgConnection, memo: &Memo, now: DateTime<Utc>) -> Outcome<()> {
    let row = (
        memo_revisions::memo_id.eq(memo.id),
        memo_revisions::version.eq(memo.version),
        memo_revisions::content.eq(&memo.content),
        memo_revisions::tags.eq(&memo.tags),
        memo_revisions::category.eq(&memo.category),
        memo_revisions::session_id.eq(memo.session_id),
        memo_revisions::metadata.eq(&memo.metadata),
        memo_revisions::written_at.eq(memo.updated_at),
        memo_revisions::replaced_at.eq(now),
    );
    diesel::insert_into(memo_revisions::table).values(row).execute(conn).await?;
    let old = memo_revisions::table
        .filter(memo_revisions::memo_id.eq(memo.id))
        .filter(memo_revisions::version.le(memo.version - KEPT));
    diesel::delete(old).execute(conn).await?;
    Ok(())
}
