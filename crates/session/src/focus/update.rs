//! `PUT /session/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Utc};
use domain::{
    contract::FocusSession,
    fault::{Fault, Violations},
    focus::{
        End, Focus, INVALID_TRANSITION, State, Status, check_instant, parse_break, parse_duration, parse_goal,
        parse_reflection, parse_subject,
    },
    ids::FocusId,
    session::parse_tags,
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{change::change, shown, store::Row};
use crate::app::App;

/// What is to be different about a focus session; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateFocusRequest {
    /// 1-200 characters without the spaces around it.
    #[schema(min_length = 1, max_length = 200)]
    subject: Option<String>,
    /// At most 2,000 characters; `null` takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    goal: Said,
    /// Minutes; while it runs its end moves. Not shorter than what has passed.
    #[schema(minimum = 1, maximum = 180)]
    duration: Option<i64>,
    /// Minutes.
    #[schema(minimum = 0, maximum = 60)]
    break_duration: Option<i64>,
    /// All of them; an empty list takes them away.
    tags: Option<Vec<String>>,
    /// At most 5,000 characters; a completed session is reviewed by it. Before that it is kept, and nothing more.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    reflection: Said,
    /// As in `PUT /session/{id}/status`.
    #[schema(value_type = Option<Status>)]
    status: Option<String>,
    /// Accepted from old clients; the server's clock counts.
    updated_at: Option<String>,
}

/// What is said about a text that may be missing: `null` is not the same as nothing said.
#[derive(Debug, Default)]
enum Said {
    /// It stays.
    #[default]
    Nothing,
    /// It is this from now on, or gone.
    Text(Option<String>),
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Text)
    }
}

impl Said {
    /// Reads the text, if one is said.
    fn parse(self, read: impl FnOnce(&str) -> Option<String>) -> Self {
        match self {
            Self::Text(Some(text)) => Self::Text(read(&text)),
            other => other,
        }
    }

    /// Gives a text what is said about it.
    fn apply(&self, text: &mut Option<String>) {
        if let Self::Text(said) = self {
            text.clone_from(said);
        }
    }
}

/// An edit that can be made.
struct Edit {
    subject: Option<String>,
    goal: Said,
    duration_minutes: Option<i32>,
    break_minutes: Option<i32>,
    tags: Option<Vec<String>>,
    reflection: Said,
    status: Option<Status>,
}

impl TryFrom<UpdateFocusRequest> for Edit {
    type Error = Violations;

    fn try_from(request: UpdateFocusRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let edit = Self {
            subject: request.subject.and_then(|subject| parse_subject(Some(&subject), &mut violations)),
            goal: request.goal.parse(|goal| parse_goal(goal, &mut violations)),
            duration_minutes: request.duration.and_then(|minutes| parse_duration(Some(minutes), &mut violations)),
            break_minutes: request.break_duration.and_then(|minutes| parse_break(minutes, &mut violations)),
            tags: request.tags.map(|tags| parse_tags(&tags, &mut violations)),
            reflection: request.reflection.parse(|text| parse_reflection(text, &mut violations)),
            status: request.status.and_then(|status| Status::parse(Some(&status), &mut violations)),
        };
        check_instant(request.updated_at.as_deref(), "/updated_at", &mut violations);
        violations.into_result().map(|()| edit)
    }
}

impl Edit {
    /// Makes the edit. One that has ended keeps its length and its break; its words may change for ever.
    fn apply(&self, mut row: Row, mut focus: Focus, now: DateTime<Utc>) -> Result<Row, Fault> {
        if let Some(minutes) = self.duration_minutes {
            focus = focus.last(minutes, now)?;
        }
        if let Some(minutes) = self.break_minutes.filter(|minutes| *minutes != row.break_minutes) {
            if matches!(focus.state, State::Ended { .. }) {
                return Err(INVALID_TRANSITION);
            }
            row.break_minutes = minutes;
        }
        if let Some(status) = self.status {
            focus = focus.become_status(status, now)?;
        }
        let is_thought_about = matches!(self.reflection, Said::Text(Some(_)));
        if is_thought_about && matches!(focus.state, State::Ended { how: End::Completed, .. }) {
            focus = focus.become_status(Status::Reviewed, now)?;
        }
        row.set(&focus);
        if let Some(subject) = &self.subject {
            row.subject.clone_from(subject);
        }
        if let Some(tags) = &self.tags {
            row.tags.clone_from(tags);
        }
        self.goal.apply(&mut row.goal);
        self.reflection.apply(&mut row.reflection);
        Ok(row)
    }
}

/// Changes a focus session.
///
/// **Permissions**: its owner; to everybody else it does not exist.
#[utoipa::path(
    put, path = "/session/{id}", tag = "focus", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = UpdateFocusRequest,
    responses(
        (status = 200, body = FocusSession),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`invalid_transition`, `already_elapsed`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn update(
    app: Data<App>,
    person: Person,
    id: Path<FocusId>,
    body: Json<UpdateFocusRequest>,
) -> Outcome<HttpResponse> {
    let edit = Edit::try_from(body.into_inner())?;
    let session = change(&app, person.0.user_id, *id, |row, focus, now| edit.apply(row, focus, now)).await?;
    Ok(shown(&session))
}
