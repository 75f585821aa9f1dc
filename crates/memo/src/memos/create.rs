//! `POST /memo`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    fault::Violations,
    ids::FocusId,
    memo::{check_metadata, parse_content, parse_label, parse_tags},
    principal::Principal,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    MemoView, focus,
    precondition::tagged,
    store::{self, NewMemo},
};
use crate::{app::App, attachments::form::document::CreateMemoForm};

/// A memo to be written.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMemoRequest {
    /// 1-100,000 characters.
    pub(super) content: String,
    /// At most 50, each of 1-50 characters.
    #[serde(default)]
    pub(super) tags: Vec<String>,
    /// What it is about, 1-50 characters.
    pub(super) category: Option<String>,
    /// The focus session it is written in, one of the person's own.
    pub(super) session_id: Option<String>,
    /// Free fields: an object of at most 64 KiB, 8 levels and 200 keys.
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<serde_json::Value>,
}

/// A memo whose fields were judged, all but whose the focus session is.
pub(crate) struct Draft {
    /// The text.
    pub(crate) content: String,
    /// As they are kept.
    pub(crate) tags: Vec<String>,
    /// As it is kept.
    pub(crate) category: Option<String>,
    /// What [`focus::check`] is asked about before this is written.
    pub(crate) session_id: Option<FocusId>,
    /// An object.
    pub(crate) metadata: serde_json::Value,
}

impl TryFrom<CreateMemoRequest> for Draft {
    type Error = Violations;

    fn try_from(request: CreateMemoRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let content = parse_content(request.content, &mut violations);
        let tags = parse_tags(&request.tags, &mut violations);
        let category = request.category.and_then(|text| parse_label(&text, "/category", &mut violations));
        let session_id = request.session_id.and_then(|text| focus::parse(&text, &mut violations));
        let metadata = request.metadata.unwrap_or_else(|| json!({}));
        check_metadata(&metadata, &mut violations);
        match (content, violations.into_result()) {
            (Some(content), Ok(())) => Ok(Self { content, tags, category, session_id, metadata }),
            (_, Err(violations)) => Err(violations),
            // The parser records a violation whenever it returns nothing.
            (None, Ok(())) => Err(Violations::new()),
        }
    }
}

/// Writes a memo. The same `Idempotency-Key` with the same body makes one memo, however often it is sent.
///
/// As a form it may bring files, which are checked and kept as they come.
///
/// **Permissions**: a signed-in person, for themselves.
#[utoipa::path(
    post, path = "/memo", tag = "memos", security(("bearer" = [])),
    request_body(content((CreateMemoRequest = "application/json"), (CreateMemoForm = "multipart/form-data"))),
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 201, body = MemoView),
        (
            status = 409, description = "`idempotency_in_progress`; of a form `too_many_attachments`, `quota_exceeded`",
            body = ProblemView
        ),
        (status = 413, description = "`too_large`", body = ProblemView),
        (status = 415, description = "`unsupported_media_type`", body = ProblemView),
        (
            status = 422, description = "`invalid`, `idempotency_key_reused`; of a form `type_mismatch`",
            body = ProblemView
        ),
        (status = 503, description = "`unavailable`: the focus session could not be checked", body = ProblemView)
    )
)]
pub async fn create(
    app: Data<App>,
    person: Person,
    key: IdempotencyKey,
    body: Json<CreateMemoRequest>,
) -> Outcome<HttpResponse> {
    let attempt = Attempt::new(person.0.user_id, "POST /memo", key, &*body)?;
    let draft = Draft::try_from(body.into_inner())?;
    Ok(tagged(write(&app, person.0, draft, attempt).await?.into(), store::FIRST_VERSION))
}

async fn write(app: &App, person: Principal, draft: Draft, attempt: Attempt) -> Outcome<Answer> {
    if let Some(session) = draft.session_id {
        // What was answered before is answered again, whatever has become of the session.
        let answer = {
            let mut conn = app.ground.pg.conn().await?;
            conn.transaction(async |conn| attempt.replay(conn).await).await?
        };
        if let Some(answer) = answer {
            return Ok(answer);
        }
        focus::check(app, person, session).await?;
    }
    let new = NewMemo::new(app.ground.clock.uuid(), person.user_id, draft, app.ground.clock.now());
    let made = |memo| Answer::created(&MemoView::new(memo, &[], &app.storage));
    let mut conn = app.ground.pg.conn().await?;
    if attempt.key().is_none() {
        // One statement needs no transaction around it.
        return made(store::insert(&mut conn, &new).await?);
    }
    conn.transaction(async |conn| {
        if let Some(answer) = attempt.replay(conn).await? {
            return Ok(answer);
        }
        let answer = made(store::insert(conn, &new).await?)?;
        attempt.keep(conn, &answer).await?;
        Outcome::Ok(answer)
    })
    .await
}
