//! Memos: text, tags and free metadata of one person. Whoever else asks for one is told that it is not there.

pub mod create;
pub mod cursor;
pub mod daily;
pub mod focus;
pub mod internal;
pub mod keys;
pub mod list;
pub mod precondition;
pub mod read;
pub mod revisions;
pub mod search;
pub mod stats;
pub mod store;
pub mod tags;
pub mod trash;
pub mod update;

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, JsonConfig, ServiceConfig},
};
use chassis::{edge::json_refused, problem::Outcome};
use diesel_async::AsyncPgConnection;
use domain::{
    fault::{Fault, Kind},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use self::precondition::tagged;
use crate::{
    attachments::{
        AttachmentView,
        store::{self as attachments, Attachment},
    },
    storage::ObjectStorage,
};

/// No such memo, or not the caller's.
pub const MEMO_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "memo_not_found", "메모를 찾을 수 없습니다.", "There is no such memo.");

/// Largest body of a memo as JSON: 100,000 Korean characters have 300 kB, and 600 kB when a client escapes them.
const BODY_LIMIT: usize = 1024 * 1024;

/// Mounts the routes of memos.
pub fn routes(cfg: &mut ServiceConfig) {
    let body = JsonConfig::default().limit(BODY_LIMIT).error_handler(|error, _req| json_refused(error).into());
    cfg.service(web::resource("/internal/memos").app_data(body.clone()).post(internal::write))
        .service(web::resource(["/memo", "/memo/"]).app_data(body.clone()).post(create::create))
        .service(web::resource(["/memo/list", "/memo/list/"]).get(list::list))
        .service(web::resource("/memo/daily").get(daily::daily))
        .service(web::resource(["/memo/stats", "/memo/stats/"]).get(stats::stats))
        .service(web::resource(["/memo/tags", "/memo/tags/"]).get(tags::tags))
        .service(
            web::resource("/memo/{memo_id}").app_data(body).get(read::read).put(update::update).delete(trash::delete),
        )
        .service(web::resource("/memo/{memo_id}/restore").post(trash::restore))
        .service(web::resource("/memo/{memo_id}/revisions").get(revisions::revisions));
}

/// A memo as its owner sees it.
// No `Debug`: no log line may show what somebody wrote.
#[derive(Serialize, ToSchema)]
pub struct MemoView {
    /// The memo.
    pub id: Uuid,
    /// Its owner.
    pub user_id: Uuid,
    /// What was written.
    pub content: String,
    /// In the order they were given, each once.
    pub tags: Vec<String>,
    /// The files that are there, in the order they were added.
    pub attachments: Vec<AttachmentView>,
    /// The focus session it was written in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How sure the category is, 0-1, when nobody chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_confidence: Option<f32>,
    /// Whether it was put aside.
    pub is_archived: bool,
    /// Free fields.
    #[schema(value_type = Object)]
    pub metadata: serde_json::Value,
    /// When it was written.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// Grows with every change of what was written.
    pub version: i64,
}

impl MemoView {
    /// Shows a memo with those of its files that are ready; their URLs are signed now.
    pub fn new(memo: store::Memo, attachments: &[Attachment], storage: &ObjectStorage) -> Self {
        Self {
            id: memo.id,
            user_id: memo.user_id,
            content: memo.content,
            tags: memo.tags,
            attachments: attachments.iter().map(|attachment| AttachmentView::new(attachment, storage)).collect(),
            session_id: memo.session_id,
            category: memo.category,
            category_confidence: memo.category_confidence,
            is_archived: memo.is_archived,
            metadata: memo.metadata,
            created_at: memo.created_at.into(),
            updated_at: memo.updated_at.into(),
            version: memo.version,
        }
    }
}

/// Shows memos with their files, in the order they come.
///
/// # Errors
/// Returns a problem when the database is away.
pub(crate) async fn show_all(
    conn: &mut AsyncPgConnection,
    memos: Vec<store::Memo>,
    storage: &ObjectStorage,
) -> Outcome<Vec<MemoView>> {
    let ids: Vec<Uuid> = memos.iter().map(|memo| memo.id).collect();
    let mut files: HashMap<Uuid, Vec<Attachment>> = HashMap::new();
    for file in attachments::list_ready(conn, &ids).await? {
        files.entry(file.memo_id).or_default().push(file);
    }
    let views = memos.into_iter().map(|memo| {
        let own = files.remove(&memo.id).unwrap_or_default();
        MemoView::new(memo, &own, storage)
    });
    Ok(views.collect())
}

/// Answers with a memo and its version.
pub(crate) fn answer(view: &MemoView) -> HttpResponse {
    tagged(private(HttpResponse::Ok().json(view)), view.version)
}

/// Answers with something private that holds presigned URLs: no cache may keep it.
pub(crate) fn private(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
