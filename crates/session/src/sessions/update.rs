//! `PUT /api/v1/sessions/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    document::Document,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Utc};
use domain::{
    fault::Violations,
    ids::SessionId,
    session::{SessionStatus, check_description, check_document, check_settings, deep_merge, parse_title},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{SessionView, change::change, store::Session};
use crate::app::App;

/// What is to be changed of a session; what is left out stays. A `null` takes the description away, and is refused
/// anywhere else.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "a `null` is something else than a field that is not there")]
pub struct UpdateSessionRequest {
    /// 2-100 characters, without the spaces around it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 2, max_length = 100)]
    title: Option<Option<String>>,
    /// What it is about; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// `true` activates it, `false` pauses it where it is active.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<bool>, nullable = false)]
    is_active: Option<Option<bool>>,
    /// Where it is to stand.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<SessionStatus>, nullable = false)]
    status: Option<Option<String>>,
    /// Laid over the settings there are, at every level.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>, nullable = false)]
    settings: Option<Option<Map<String, Value>>>,
    /// In place of the metadata there is.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<Option<Map<String, Value>>>,
}

/// Tells a `null` from a field that is not there.
#[expect(clippy::option_option, reason = "that is the difference")]
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// What is to become of a session.
struct Change {
    title: Option<String>,
    #[expect(clippy::option_option, reason = "the inner one is the description's own")]
    description: Option<Option<String>>,
    status: Option<SessionStatus>,
    is_active: Option<bool>,
    settings: Option<Value>,
    metadata: Option<Value>,
}

impl TryFrom<UpdateSessionRequest> for Change {
    type Error = Violations;

    fn try_from(request: UpdateSessionRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let title = not_null(request.title, "/title", &mut violations);
        let title = title.and_then(|title| parse_title(&title, &mut violations));
        if let Some(Some(description)) = &request.description {
            check_description(description, &mut violations);
        }
        let status = not_null(request.status, "/status", &mut violations);
        let status = status.and_then(|name| SessionStatus::parse(&name, "/status", &mut violations));
        let is_active = not_null(request.is_active, "/is_active", &mut violations);
        let contradicts = status.zip(is_active).is_some_and(|(status, is)| (status == SessionStatus::Active) != is);
        violations.require(
            !contradicts,
            "/is_active",
            "contradicts_status",
            "is_active와 status가 서로 맞지 않습니다.",
            "is_active and status contradict each other.",
        );
        let settings = document(request.settings, "/settings", &mut violations);
        let metadata = document(request.metadata, "/metadata", &mut violations);
        violations.into_result()?;
        Ok(Self { title, description: request.description, status, is_active, settings, metadata })
    }
}

#[expect(clippy::option_option, reason = "a `null` is what is looked for")]
fn not_null<T>(field: Option<Option<T>>, pointer: &str, violations: &mut Violations) -> Option<T> {
    violations.require(
        !matches!(field, Some(None)),
        pointer,
        "required",
        "비워 둘 수 없는 값입니다.",
        "This cannot be null.",
    );
    field.flatten()
}

#[expect(clippy::option_option, reason = "a `null` is what is looked for")]
fn document(field: Option<Option<Map<String, Value>>>, pointer: &str, violations: &mut Violations) -> Option<Value> {
    let document = Value::Object(not_null(field, pointer, violations)?);
    check_document(&document, pointer, violations);
    Some(document)
}

impl Change {
    /// Makes the change; whatever is asked of its status goes by the same rule as the buttons.
    fn make(self, session: &mut Session, now: DateTime<Utc>) -> Outcome<()> {
        if let Some(title) = self.title {
            session.title = title;
        }
        if let Some(description) = self.description {
            session.description = description;
        }
        if let Some(settings) = self.settings {
            let mut merged = session.settings.value()?;
            deep_merge(&mut merged, settings);
            let mut violations = Violations::new();
            check_settings(&merged, "/settings", &mut violations);
            violations.into_result()?;
            session.settings = Document::new(&merged)?;
        }
        if let Some(metadata) = self.metadata {
            session.metadata = Document::new(&metadata)?;
        }
        let is_active = self.is_active.filter(|is_active| *is_active != session.is_active());
        let by_flag = is_active.map(|is| if is { SessionStatus::Active } else { SessionStatus::Paused });
        if let Some(status) = self.status.or(by_flag) {
            session.stand(session.standing().go(status, now)?);
        }
        Ok(())
    }
}

/// Changes a session.
///
/// Its status goes `created`, then `active` and `paused` in turn, then `ended`; what has ended stays.
///
/// **Permissions**: its owner.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = UpdateSessionRequest,
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`session_ended`, `session_begun`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn update(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    body: Json<UpdateSessionRequest>,
) -> Outcome<HttpResponse> {
    let wanted = Change::try_from(body.into_inner())?;
    let session = change(&app, person.0.user_id, *id, |session, now| wanted.make(session, now)).await?;
    Ok(HttpResponse::Ok().json(SessionView::new(session, &app.pictures)))
}
