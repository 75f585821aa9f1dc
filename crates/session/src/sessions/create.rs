//! `POST /api/v1/sessions`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::Violations,
    ids::UserId,
    session::{SessionType, check_description, check_document, deep_merge, parse_tags, parse_title},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    SessionView,
    store::{self, NewSession, Session},
};
use crate::app::App;

/// Most codes drawn for one session. With ten million sessions one draw in ninety is taken, eight in a row never.
const DRAWS: usize = 8;

/// A session somebody wants to hold.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSessionRequest {
    /// 2-100 characters, without the spaces around it.
    #[schema(min_length = 2, max_length = 100)]
    title: String,
    /// `presentation` when it is left out.
    #[schema(value_type = Option<SessionType>)]
    r#type: Option<String>,
    /// What it is about.
    description: Option<String>,
    /// Laid over the default settings of the type, at every level.
    #[schema(value_type = Option<Object>)]
    custom_settings: Option<Map<String, Value>>,
    /// What it is held with.
    #[schema(value_type = Option<Object>)]
    device_info: Option<Map<String, Value>>,
    /// Where it is held.
    #[schema(value_type = Option<Object>)]
    location: Option<Map<String, Value>>,
    /// Who takes part, in the client's own words.
    #[schema(value_type = Option<Vec<Object>>)]
    participants: Option<Vec<Value>>,
    /// At most 50, each of 1-50 characters.
    tags: Option<Vec<String>>,
    /// The ticketed event whose holders may join.
    event_id: Option<Uuid>,
}

struct Draft {
    title: String,
    description: Option<String>,
    kind: SessionType,
    event_id: Option<Uuid>,
    settings: Value,
    metadata: Value,
}

impl TryFrom<CreateSessionRequest> for Draft {
    type Error = Violations;

    fn try_from(request: CreateSessionRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let title = parse_title(&request.title, &mut violations);
        let kind = match request.r#type {
            Some(name) => SessionType::parse(&name, "/type", &mut violations),
            None => Some(SessionType::default()),
        };
        if let Some(description) = &request.description {
            check_description(description, &mut violations);
        }
        let custom_settings = Value::Object(request.custom_settings.unwrap_or_default());
        check_document(&custom_settings, "/custom_settings", &mut violations);
        let tags = request.tags.map(|tags| parse_tags(&tags, &mut violations));
        let parts = [
            ("device_info", request.device_info.map(Value::Object)),
            ("location", request.location.map(Value::Object)),
            ("participants", request.participants.map(Value::Array)),
            ("tags", tags.map(Value::from)),
        ];
        let metadata: Map<String, Value> =
            parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))).collect();
        for (name, part) in &metadata {
            check_document(part, &format!("/{name}"), &mut violations);
        }
        let mut settings = kind.unwrap_or_default().default_settings();
        deep_merge(&mut settings, custom_settings);
        match (title, kind, violations.into_result()) {
            (Some(title), Some(kind), Ok(())) => Ok(Self {
                title,
                description: request.description,
                kind,
                event_id: request.event_id,
                settings,
                metadata: Value::Object(metadata),
            }),
            (_, _, Err(violations)) => Err(violations),
            // Both parsers record a violation whenever they return nothing.
            _ => Err(Violations::new()),
        }
    }
}

/// Makes a session.
///
/// Its settings are those of its type with `custom_settings` laid over them; its code is six unambiguous characters.
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent twice, takes effect once")),
    request_body = CreateSessionRequest,
    responses(
        (status = 201, body = SessionView),
        (status = 401, body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn create(
    app: Data<App>,
    person: Person,
    key: IdempotencyKey,
    body: Json<CreateSessionRequest>,
) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    let attempt = Attempt::new(owner, "POST /api/v1/sessions", key, &*body)?;
    let draft = Draft::try_from(body.into_inner())?;
    Ok(once(&app, owner, draft, &attempt).await?.into())
}

async fn once(app: &App, owner: UserId, draft: Draft, attempt: &Attempt) -> Outcome<Answer> {
    let new = draft.into_new(app, owner);
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        if let Some(answer) = attempt.replay(conn).await? {
            return Outcome::Ok(answer);
        }
        let session = insert(app, conn, new).await?;
        let answer = Answer::created(&SessionView::new(session, &app.pictures))?;
        attempt.keep(conn, &answer).await?;
        Ok(answer)
    })
    .await
}

/// Writes a session under a code that nobody has.
///
/// # Errors
/// 503 when every code that was drawn is taken.
pub(crate) async fn insert(app: &App, conn: &mut AsyncPgConnection, new: NewSession) -> Outcome<Session> {
    for _ in 0..DRAWS {
        if let Some(session) = store::insert(conn, &new, &app.codes.draw()?).await? {
            return Ok(session);
        }
    }
    Err(Problem::unavailable("every session code that was drawn is taken"))
}

impl Draft {
    fn into_new(self, app: &App, owner: UserId) -> NewSession {
        let now = app.ground.clock.now();
        NewSession {
            id: app.ground.clock.uuid(),
            user_id: owner.0,
            title: self.title,
            description: self.description,
            kind: self.kind.name(),
            event_id: self.event_id,
            settings: self.settings,
            metadata: self.metadata,
            created_at: now,
            updated_at: now,
        }
    }
}
