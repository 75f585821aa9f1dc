//! `GET /api/v1/sessions`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Query},
};
use chassis::{
    page::at,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    fault::Violations,
    ids::{SessionId, UserId},
    page::Limit,
    session::{SessionStatus, SessionType},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    SessionView,
    store::{self, Filter, Page, Sort},
};
use crate::app::App;

/// Sessions of a page that names no limit.
const LIMIT_DEFAULT: i64 = 50;
/// Most sessions of a page.
const LIMIT_MAX: i64 = 100;

/// Which sessions, and which part of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListSessionsQuery {
    /// Only in this status.
    #[param(value_type = Option<SessionStatus>)]
    status: Option<String>,
    /// Only of this type.
    #[param(value_type = Option<SessionType>)]
    r#type: Option<String>,
    /// Only active ones, or only others.
    is_active: Option<bool>,
    /// 1-100, 50 when it is left out.
    limit: Option<i64>,
    /// How many to skip.
    offset: Option<i64>,
    /// As `Link` gives it: what follows the page before, whatever was added since.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<SessionId>,
    /// `created_at` (when left out), `updated_at` or `title`.
    sort: Option<String>,
    /// `desc` (when left out) or `asc`, in any case.
    order: Option<String>,
}

impl ListSessionsQuery {
    fn parse(&self, owner: UserId) -> Result<(Filter, Page), Violations> {
        let limit = Limit::parse(self.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let mut violations = Violations::new();
        let status = self.status.as_deref().and_then(|name| SessionStatus::parse(name, "?status", &mut violations));
        let kind = self.r#type.as_deref().and_then(|name| SessionType::parse(name, "?type", &mut violations));
        let offset = self.offset.unwrap_or_default();
        violations.require(
            offset >= 0,
            "?offset",
            "out_of_range",
            "offset은 0 이상이어야 합니다.",
            "The offset is not negative.",
        );
        violations.require(
            self.offset.is_none() || self.cursor.is_none(),
            "?cursor",
            "with_offset",
            "cursor와 offset은 함께 쓸 수 없습니다.",
            "A cursor and an offset do not go together.",
        );
        let sort = parse_sort(self.sort.as_deref(), &mut violations);
        let descending = parse_order(self.order.as_deref(), &mut violations);
        violations.into_result()?;
        let filter = Filter { owner, kind, status, is_active: self.is_active };
        Ok((filter, Page { sort, descending, limit, offset, after: None }))
    }
}

fn parse_sort(name: Option<&str>, violations: &mut Violations) -> Sort {
    match name {
        None | Some("created_at") => Sort::Created,
        Some("updated_at") => Sort::Updated,
        Some("title") => Sort::Title,
        Some(_) => {
            violations.add(
                "?sort",
                "unknown",
                "created_at, updated_at, title 중 하나여야 합니다.",
                "Must be one of created_at, updated_at, title.",
            );
            Sort::Created
        }
    }
}

fn parse_order(name: Option<&str>, violations: &mut Violations) -> bool {
    let descending = name.is_none_or(|name| name.eq_ignore_ascii_case("desc"));
    violations.require(
        descending || name.is_some_and(|name| name.eq_ignore_ascii_case("asc")),
        "?order",
        "unknown",
        "asc 또는 desc여야 합니다.",
        "Must be asc or desc.",
    );
    descending
}

/// Lists one's own sessions, newest first: a bare array, with `X-Total-Count`, and `Link` when more follow.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", security(("bearer" = [])), params(ListSessionsQuery),
    responses(
        (status = 200, body = Vec<SessionView>),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn list(
    app: Data<App>,
    person: Person,
    req: HttpRequest,
    query: Query<ListSessionsQuery>,
) -> Outcome<HttpResponse> {
    let (filter, mut page) = query.parse(person.0.user_id)?;
    let mut conn = app.ground.pg.conn().await?;
    if let Some(cursor) = query.cursor {
        let last = store::find(&conn, person.0.user_id, cursor).await?;
        page.after = Some(last.ok_or_else(unknown_cursor)?);
    }
    let (limit, offset) = (page.limit.rows(), page.offset);
    let total = store::count(&mut conn, filter).await?;
    // One more than is shown tells whether there is more.
    let mut sessions = store::list(&mut conn, filter, page).await?;
    let last = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_more = sessions.len() > last;
    sessions.truncate(last);
    let next = sessions.last().filter(|_| is_more).map(|last| match query.offset {
        Some(_) => at(&req, "offset", &offset.saturating_add(limit).to_string()),
        None => at(&req, "cursor", &last.id.to_string()),
    });
    let views: Vec<_> = sessions.into_iter().map(|session| SessionView::new(session, &app.pictures)).collect();
    Ok(chassis::page::answer(&views, total, next))
}

/// No session of theirs, or none any more.
fn unknown_cursor() -> Violations {
    let mut violations = Violations::new();
    violations.add("?cursor", "unknown", "cursor 값을 확인해 주세요.", "There is no such cursor.");
    violations
}
