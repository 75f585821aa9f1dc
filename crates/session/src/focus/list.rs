//! `GET /session/list`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Query},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::DateTime;
use domain::{calendar::LocalDays, contract::FocusSession, fault::Violations, page::Limit};
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;
use uuid::Uuid;

use super::store::{self, Last};
use crate::app::App;

/// Most focus sessions of one answer: a month of sixteen a day.
pub(super) const LIMIT_MAX: i64 = 500;

/// Which days to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListFocusQuery {
    /// IANA time zone whose days are meant, such as `Asia/Seoul`.
    #[param(required)]
    tz: Option<String>,
    /// First day, `YYYY-MM-DD`.
    #[param(required)]
    start_date: Option<String>,
    /// Last day, `YYYY-MM-DD`, inclusive; at most 366 days in all.
    #[param(required)]
    end_date: Option<String>,
    /// Most sessions, 1-500 (500).
    limit: Option<i64>,
    /// Where the page before ended, as its `Link` says.
    cursor: Option<String>,
}

/// Lists the focus sessions made on some days of a time zone, newest first: a bare array, with `X-Total-Count`, and
/// `Link` when more follow.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/session/list", tag = "focus", security(("bearer" = [])), params(ListFocusQuery),
    responses((status = 200, body = [FocusSession]), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn list(
    app: Data<App>,
    person: Person,
    req: HttpRequest,
    query: Query<ListFocusQuery>,
) -> Outcome<HttpResponse> {
    let ListFocusQuery { tz, start_date, end_date, limit, cursor } = query.into_inner();
    let days = LocalDays::parse(tz.as_deref(), start_date.as_deref(), end_date.as_deref())?;
    let limit = Limit::parse(limit, LIMIT_MAX, LIMIT_MAX)?.rows();
    let last = cursor.as_deref().map(read_cursor).transpose()?;
    let mut conn = app.ground.pg.conn().await?;
    let total = store::count(&mut conn, person.0.user_id, days).await?;
    let mut rows = store::list(&mut conn, person.0.user_id, days, last, limit + 1).await?;
    drop(conn);
    let limit = usize::try_from(limit).unwrap_or_default();
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|(row, _)| after(&req, (row.created_at, row.id)));
    let sessions = rows.into_iter().map(|(row, now)| row.view(now)).collect::<Outcome<Vec<_>>>()?;
    Ok(chassis::page::answer(&sessions, total, next))
}

/// Returns the request's own path and query, after this row.
fn after(req: &HttpRequest, (created_at, id): Last) -> String {
    let asked = form_urlencoded::parse(req.query_string().as_bytes()).filter(|(name, _)| name != "cursor");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(asked)
        .append_pair("cursor", &format!("{}.{id}", created_at.timestamp_micros()))
        .finish();
    format!("{}?{query}", req.path())
}

fn read_cursor(text: &str) -> Result<Last, Violations> {
    let read = || -> Option<Last> {
        let (micros, id) = text.split_once('.')?;
        Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse::<Uuid>().ok()?))
    };
    read().ok_or_else(|| {
        let mut violations = Violations::new();
        violations.add("?cursor", "not_valid", "알 수 없는 커서입니다.", "This is no cursor.");
        violations
    })
}
