//! `GET /internal/users/{id}/export`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::AuthPeer,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use domain::{contract::UserExport, ids::UserId, person::ExportDocument, principal::Service, time::Instant};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::store;
use crate::{
    app::App,
    attachments::{
        permit_download,
        store::{Attachment, State},
    },
    memos::{private, revisions::RevisionView, store::Memo},
    storage::ObjectStorage,
};

/// The part of the document that holds memos.
const MEMOS: &str = "memos";
/// The part that holds what they were before they were changed.
const REVISIONS: &str = "revisions";
/// The part of the document that holds their files. Beside them and not in them: uploads that never came have no end.
const ATTACHMENTS: &str = "attachments";

/// A memo with everything that is kept of it.
#[derive(Serialize)]
struct ExportedMemo {
    id: Uuid,
    content: String,
    tags: Vec<String>,
    category: Option<String>,
    category_confidence: Option<f32>,
    session_id: Option<Uuid>,
    metadata: Value,
    is_archived: bool,
    version: i64,
    created_at: Instant,
    updated_at: Instant,
    /// In the trash since then.
    deleted_at: Option<Instant>,
}

impl ExportedMemo {
    fn new(memo: Memo, deleted_at: Option<DateTime<Utc>>) -> Self {
        Self {
            id: memo.id,
            content: memo.content,
            tags: memo.tags,
            category: memo.category,
            category_confidence: memo.category_confidence,
            session_id: memo.session_id,
            metadata: memo.metadata,
            is_archived: memo.is_archived,
            version: memo.version,
            created_at: memo.created_at.into(),
            updated_at: memo.updated_at.into(),
            deleted_at: deleted_at.map(Instant),
        }
    }
}

/// What a memo was for a while.
#[derive(Serialize)]
struct ExportedRevision {
    memo_id: Uuid,
    #[serde(flatten)]
    revision: RevisionView,
}

/// A file with everything that is kept of it, and where its bytes are.
#[derive(Serialize)]
struct ExportedAttachment {
    id: Uuid,
    memo_id: Uuid,
    r#type: String,
    filename: String,
    content_type: String,
    size: i64,
    state: String,
    width: Option<i32>,
    height: Option<i32>,
    duration_ms: Option<i64>,
    created_at: Instant,
    /// Where to `GET` it, once it is there.
    url: Option<String>,
    /// When the URL ends.
    url_expires_at: Option<Instant>,
}

impl ExportedAttachment {
    fn new(file: Attachment, created_at: DateTime<Utc>, storage: &ObjectStorage) -> Outcome<Self> {
        let permit = (file.state()? == State::Ready).then(|| permit_download(&file, storage));
        let (url, url_expires_at) = permit.map(|permit| (permit.url, permit.expires_at.into())).unzip();
        Ok(Self {
            id: file.id,
            memo_id: file.memo_id,
            r#type: file.kind,
            filename: file.filename,
            content_type: file.content_type,
            size: file.size,
            state: file.state,
            width: file.width,
            height: file.height,
            duration_ms: file.duration_ms,
            created_at: created_at.into(),
            url,
            url_expires_at,
        })
    }
}

/// Shows everything that is kept about a person, as of one instant; the URLs live 15 minutes. Idempotency keys are left
/// out: they repeat answers of the last day.
pub async fn export(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    let data = snapshot.run(async |conn| collect(conn, *id, &app.storage).await).await?;
    Ok(private(HttpResponse::Ok().json(UserExport { service: Service::Memo, data })))
}

async fn collect(conn: &mut AsyncPgConnection, person: UserId, storage: &ObjectStorage) -> Outcome<Value> {
    let mut document = ExportDocument::new(&[MEMOS, REVISIONS, ATTACHMENTS]);
    add_memos(conn, person, &mut document).await?;
    add_revisions(conn, person, &mut document).await?;
    add_attachments(conn, person, storage, &mut document).await?;
    Ok(document.into_value())
}

async fn add_memos(conn: &mut AsyncPgConnection, person: UserId, document: &mut ExportDocument) -> Outcome<()> {
    let mut last = None;
    loop {
        let page = store::list_memos(conn, person, last).await?;
        last = page.last().map(|(memo, _)| memo.id);
        if last.is_none() {
            return Ok(());
        }
        for (memo, deleted_at) in page {
            let row = ExportedMemo::new(memo, deleted_at);
            if !document.push(MEMOS, &row).map_err(Problem::unexpected)? {
                return Ok(());
            }
        }
    }
}

async fn add_revisions(conn: &mut AsyncPgConnection, person: UserId, document: &mut ExportDocument) -> Outcome<()> {
    let mut last = None;
    loop {
        let page = store::list_revisions(conn, person, last).await?;
        last = page.last().map(|(memo, revision)| (*memo, revision.version));
        if last.is_none() {
            return Ok(());
        }
        for (memo, revision) in page {
            let row = ExportedRevision { memo_id: memo, revision: revision.into() };
            if !document.push(REVISIONS, &row).map_err(Problem::unexpected)? {
                return Ok(());
            }
        }
    }
}

async fn add_attachments(
    conn: &mut AsyncPgConnection,
    person: UserId,
    storage: &ObjectStorage,
    document: &mut ExportDocument,
) -> Outcome<()> {
    let mut last = None;
    loop {
        let page = store::list_files(conn, person, last).await?;
        last = page.last().map(|(file, _)| file.id);
        if last.is_none() {
            return Ok(());
        }
        for (file, created_at) in page {
            let row = ExportedAttachment::new(file, created_at, storage)?;
            if !document.push(ATTACHMENTS, &row).map_err(Problem::unexpected)? {
                return Ok(());
            }
        }
    }
}
