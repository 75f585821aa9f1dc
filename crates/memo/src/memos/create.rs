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
    ids::UserId,
    memo::{check_metadata, parse_content, parse_label, parse_tags},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    MemoView,
    store::{self, NewMemo},
};
use crate::app::App;

/// A memo to be written.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMemoRequest {
    /// 1-100,000 characters.
    content: String,
    /// At most 50, each of 1-50 characters.
    #[serde(default)]
    tags: Vec<String>,
    /// What it is about, 1-50 characters.
    category: Option<String>,
    /// Free fields: an object of at most 64 KiB, 8 levels and 200 keys.
    #[schema(value_type = Option<Object>)]
    metadata: Option<serde_json::Value>,
}

struct Draft {
    content: String,
    tags: Vec<String>,
    category: Option<String>,
    metadata: serde_json::Value,
}

impl TryFrom<CreateMemoRequest> for Draft {
    type Error = Violations;

    fn try_from(request: CreateMemoRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let content = parse_content(request.content, &mut violations);
        let tags = parse_tags(&request.tags, &mut violations);
        let category = request.category.and_then(|text| parse_label(&text, "/category", &mut violations));
        let metadata = request.metadata.unwrap_or_else(|| json!({}));
        check_metadata(&metadata, &mut violations);
        match (content, violations.into_result()) {
            (Some(content), Ok(())) => Ok(Self { content, tags, category, metadata }),
            (_, Err(violations)) => Err(violations),
            // The parser records a violation whenever it returns nothing.
            (None, Ok(())) => Err(Violations::new()),
        }
    }
}

/// Writes a memo. The same `Idempotency-Key` with the same body makes one memo, however often it is sent.
///
/// **Permissions**: a signed-in person, for themselves.
#[utoipa::path(
    post, path = "/memo", tag = "memos", security(("bearer" = [])), request_body = CreateMemoRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 201, body = MemoView),
        (status = 409, description = "`idempotency_in_progress`", body = ProblemView),
        (status = 413, description = "`too_large`", body = ProblemView),
        (status = 415, description = "`unsupported_media_type`", body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
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
    Ok(write(&app, person.0.user_id, draft, attempt).await?.into())
}

async fn write(app: &App, owner: UserId, draft: Draft, attempt: Attempt) -> Outcome<Answer> {
    let now = app.ground.clock.now();
    let Draft { content, tags, category, metadata } = draft;
    let new = NewMemo {
        id: app.ground.clock.uuid(),
        user_id: owner.0,
        content,
        tags,
        category,
        metadata,
        created_at: now,
        updated_at: now,
    };
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        if let Some(answer) = attempt.replay(conn).await? {
            return Ok(answer);
        }
        let memo = store::insert(conn, &new).await?;
        let answer = Answer::created(&MemoView::new(memo, &[], &app.storage))?;
        attempt.keep(conn, &answer).await?;
        Outcome::Ok(answer)
    })
    .await
}
