//! `GET /api/v1/sessions/{id}/feedback`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Query},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::DateTime;
use domain::{fault::Violations, ids::SessionId, page::Limit, session::NOT_FOUND};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    CueView,
    store::{self, Part},
};
use crate::{app::App, sessions};

/// Cues of a page that names no limit.
const LIMIT_DEFAULT: i64 = 50;
/// Most cues of a page.
const LIMIT_MAX: i64 = 100;

/// Which part of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListFeedbackQuery {
    /// 1-100, 50 when it is left out.
    limit: Option<i64>,
    /// As `Link` gives it: what follows the page before, whatever was added since.
    cursor: Option<i64>,
    /// How many to skip.
    offset: Option<i64>,
}

impl ListFeedbackQuery {
    fn parse(&self) -> Result<Part, Violations> {
        let limit = Limit::parse(self.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let mut violations = Violations::new();
        let before = self.cursor.and_then(DateTime::from_timestamp_millis);
        violations.require(
            self.cursor.is_none() || before.is_some(),
            "?cursor",
            "unknown",
            "cursor 값을 확인해 주세요.",
            "There is no such cursor.",
        );
        let offset = self.offset.unwrap_or_default();
        violations.require(
            offset >= 0,
            "?offset",
            "out_of_range",
            "offset은 0 이상이어야 합니다.",
            "The offset is not negative.",
        );
        violations.into_result().map(|()| Part { before, limit, offset })
    }
}

/// Lists what one was told in a session, newest first: a bare array of at most the last 1,000 cues, with
/// `X-Total-Count`, and `Link` when more follow.
///
/// **Permissions**: the session's owner.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/feedback", tag = "feedback", security(("bearer" = [])),
    params(("id" = Uuid, Path), ListFeedbackQuery),
    responses(
        (status = 200, body = Vec<CueView>),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn list(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    req: HttpRequest,
    query: Query<ListFeedbackQuery>,
) -> Outcome<HttpResponse> {
    let (owner, part) = (person.0.user_id, query.parse()?);
    let mut conn = app.ground.pg.conn().await?;
    sessions::store::find(&conn, owner, *id).await?.ok_or(NOT_FOUND)?;
    let total = store::count(&mut conn, owner, *id).await?;
    let (cues, more) = store::page(&mut conn, owner, *id, part).await?;
    let last = cues.last().filter(|_| more).map(|cue| cue.at.timestamp_millis());
    let next = last.map(|cursor| format!("{}?limit={}&cursor={cursor}", req.path(), part.limit.rows()));
    let views: Vec<_> = cues.into_iter().map(CueView::from).collect();
    Ok(chassis::page::answer(&views, total, next))
}
