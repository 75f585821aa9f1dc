//! `PUT /memo/{memo_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    precondition::IfMatch,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::Violations,
    ids::{FocusId, MemoId},
    memo::{check_metadata, parse_caption, parse_label, parse_tags, refuse_empty, search::Searchable},
    principal::Principal,
};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    MemoView, answer, focus, precondition, revisions,
    store::{self, Changed, Memo},
};
use crate::{
    app::App,
    attachments::{
        form::document::UpdateMemoForm,
        store::{self as attachments, Attachment},
    },
};

/// What is to be changed; whatever is absent stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "`null` takes away, nothing leaves alone")]
pub struct UpdateMemoRequest {
    /// 1-100,000 characters; may be empty beside a file.
    content: Option<String>,
    /// All of them: at most 50, each of 1-50 characters.
    tags: Option<Vec<String>>,
    /// What it is about, 1-50 characters; `null` for nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    category: Option<Option<String>>,
    /// The focus session it belongs to, one of the person's own; `null` for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    session_id: Option<Option<String>>,
    /// All free fields: an object of at most 64 KiB, 8 levels and 200 keys; `null` for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<serde_json::Value>>,
    /// Whether it is put aside.
    is_archived: Option<bool>,
}

/// Tells `null` from nothing.
#[expect(clippy::option_option, reason = "`null` takes away, nothing leaves alone")]
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A change whose fields were judged, all but whose the focus session is.
#[derive(Default)]
#[expect(clippy::option_option, reason = "`null` takes away, nothing leaves alone")]
pub(crate) struct Change {
    pub(crate) content: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) category: Option<Option<String>>,
    pub(crate) session_id: Option<Option<FocusId>>,
    pub(crate) metadata: Option<serde_json::Value>,
    pub(crate) is_archived: Option<bool>,
}

impl TryFrom<UpdateMemoRequest> for Change {
    type Error = Violations;

    fn try_from(request: UpdateMemoRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let change = Self {
            content: request.content.and_then(|text| parse_caption(text, &mut violations)),
            tags: request.tags.map(|tags| parse_tags(&tags, &mut violations)),
            category: request
                .category
                .map(|category| category.and_then(|text| parse_label(&text, "/category", &mut violations))),
            session_id: request.session_id.map(|session| session.and_then(|text| focus::parse(&text, &mut violations))),
            metadata: request.metadata.map(|metadata| metadata.unwrap_or_else(|| json!({}))),
            is_archived: request.is_archived,
        };
        if let Some(metadata) = &change.metadata {
            check_metadata(metadata, &mut violations);
        }
        violations.into_result().map(|()| change)
    }
}

/// Changes a memo. With `If-Match` only the version it names; what it was before is kept among its revisions.
///
/// **Permissions**: its owner.
#[utoipa::path(
    put, path = "/memo/{memo_id}", tag = "memos", security(("bearer" = [])),
    request_body(content((UpdateMemoRequest = "application/json"), (UpdateMemoForm = "multipart/form-data"))),
    params(("memo_id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`\"<version>\"`")),
    responses(
        (status = 200, body = MemoView),
        (status = 404, description = "`memo_not_found`", body = ProblemView),
        (status = 409, description = "Of a form: `too_many_attachments`, `quota_exceeded`", body = ProblemView),
        (status = 412, description = "`memo_changed`", body = ProblemView),
        (status = 422, description = "`invalid`; of a form `type_mismatch`", body = ProblemView),
        (status = 503, description = "`unavailable`: the focus session could not be checked", body = ProblemView)
    )
)]
pub async fn update(
    app: Data<App>,
    person: Person,
    memo_id: Path<MemoId>,
    meant: IfMatch,
    body: Json<UpdateMemoRequest>,
) -> Outcome<HttpResponse> {
    let change = Change::try_from(body.into_inner())?;
    check_session(&app, person.0, *memo_id, &change).await?;
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    let (memo, files) = conn
        .transaction(async |conn| {
            let memo = store::get_for_change(conn, person.0.user_id, *memo_id).await?;
            precondition::check(meant, memo.version)?;
            let files = attachments::list_ready(conn, &[memo.id]).await?;
            let memo = apply(conn, memo, &files, change, now).await?;
            Outcome::Ok((memo, files))
        })
        .await?;
    Ok(answer(&MemoView::new(memo, &files, &app.storage)))
}

/// Checks the focus session that a memo is to be linked to, unless it is already. The session service is asked without
/// a connection in hand: it may take its time.
pub(crate) async fn check_session(app: &App, person: Principal, id: MemoId, change: &Change) -> Outcome<()> {
    let Some(Some(session)) = change.session_id else { return Ok(()) };
    let linked = {
        let mut conn = app.ground.pg.conn().await?;
        store::get(&mut conn, person.user_id, id).await?.session_id
    };
    if linked == Some(session.0) { Ok(()) } else { focus::check(app, person, session).await }
}

/// Writes a change of a locked memo and keeps what it was. What changes nothing is not written.
pub(crate) async fn apply(
    conn: &mut AsyncPgConnection,
    before: Memo,
    files: &[Attachment],
    change: Change,
    now: DateTime<Utc>,
) -> Outcome<Memo> {
    let mut after = changed(&before, change);
    if after.content.is_empty() && files.is_empty() {
        let mut violations = Violations::new();
        refuse_empty(&mut violations);
        return Err(violations.into());
    }
    let is_same_text = after.content == before.content && after.tags == before.tags;
    let is_same_rest =
        after.category == before.category && after.session_id == before.session_id && after.metadata == before.metadata;
    if is_same_text && is_same_rest {
        if after.is_archived == before.is_archived {
            return Ok(before);
        }
    } else {
        after.version = before.version + 1;
        revisions::keep(conn, &before, now).await?;
    }
    after.updated_at = now;
    let owner = domain::ids::UserId(before.user_id);
    let keys = (!is_same_text).then(|| Searchable::of(&after.content, &after.tags).keys(owner));
    store::change(conn, before.id, &after, keys).await
}

fn changed(before: &Memo, change: Change) -> Changed {
    // Whoever names a category is sure of it.
    let category_confidence = if change.category.is_some() { None } else { before.category_confidence };
    let session_id = change.session_id.map(|session| session.map(|session| session.0));
    Changed {
        content: change.content.unwrap_or_else(|| before.content.clone()),
        tags: change.tags.unwrap_or_else(|| before.tags.clone()),
        category: change.category.unwrap_or_else(|| before.category.clone()),
        category_confidence,
        session_id: session_id.unwrap_or(before.session_id),
        metadata: change.metadata.unwrap_or_else(|| before.metadata.clone()),
        is_archived: change.is_archived.unwrap_or(before.is_archived),
        version: before.version,
        updated_at: before.updated_at,
    }
}
