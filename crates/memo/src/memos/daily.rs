//! `GET /memo/daily`: a day's memos and focus sessions together.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{
    client::CallError,
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use chrono::NaiveDate;
use domain::{
    calendar::{LocalDays, parse_date, parse_zone},
    contract::{FocusByDay, FocusOfDay, FocusSession},
    fault::Violations,
    ids::UserId,
    principal::Principal,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::{
    MemoView,
    list::LIMIT_MAX,
    private, show_all,
    store::{self, Filter},
};
use crate::{app::App, peers::AGENDA_PATIENCE};

/// Longest to wait for the session service, a second try included. With it, a day is shown within 800 ms.
const AGENDA_TIMEOUT: Duration = AGENDA_PATIENCE.saturating_add(Duration::from_millis(50));

/// Which day.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DailyQuery {
    /// The day, `YYYY-MM-DD`.
    #[param(required)]
    date: Option<String>,
    /// IANA time zone whose day is meant, such as `Asia/Seoul`.
    #[param(required)]
    tz: Option<String>,
}

/// What is missing of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// More memos than an answer holds.
    Memos,
    /// Focus sessions: all of them, or more than an answer holds.
    Sessions,
}

/// A day.
#[derive(Serialize, ToSchema)]
pub struct DailyView {
    /// The day that was asked for.
    date: NaiveDate,
    /// And whose.
    tz: &'static str,
    /// The memos written on it, newest first; at most 500.
    memos: Vec<MemoView>,
    /// The focus sessions made on it, newest first; at most 500.
    sessions: Vec<FocusSession>,
    /// Whether something is missing.
    partial: bool,
    /// What.
    missing: Vec<Missing>,
}

/// Shows a day's memos and focus sessions. Without the session service it is shown all the same, at once, and says that
/// `sessions` are missing.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/memo/daily", tag = "memos", security(("bearer" = [])), params(DailyQuery),
    responses((status = 200, body = DailyView), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn daily(app: Data<App>, person: Person, query: Query<DailyQuery>) -> Outcome<HttpResponse> {
    let mut violations = Violations::new();
    let date = parse_date(query.date.as_deref(), "?date", &mut violations);
    let tz = parse_zone(query.tz.as_deref(), "?tz", &mut violations);
    let (Some(date), Some(tz)) = (date, tz) else { return Err(violations.into()) };
    let day = FocusByDay { date: Some(date.to_string()), tz: Some(tz.name().to_owned()) };
    let memos = memos_of(&app, person.0.user_id, LocalDays::of(date, date, tz));
    let (memos, agenda) = tokio::join!(memos, agenda(&app, person.0, &day));
    let (memos, has_more) = memos?;
    let mut missing = Vec::new();
    if has_more {
        missing.push(Missing::Memos);
    }
    if agenda.as_ref().is_none_or(|agenda| agenda.is_truncated) {
        missing.push(Missing::Sessions);
    }
    let sessions = agenda.map(|agenda| agenda.sessions).unwrap_or_default();
    let view = DailyView { date, tz: tz.name(), memos, sessions, partial: !missing.is_empty(), missing };
    Ok(private(HttpResponse::Ok().json(view)))
}

/// Returns a day's memos, and whether there are more than an answer holds.
async fn memos_of(app: &App, owner: UserId, day: LocalDays) -> Outcome<(Vec<MemoView>, bool)> {
    let (from, until) = (day.from, day.until);
    let filter = Filter { owner, from, until, tag: None, session: None, archived: Some(false), trash: false };
    let mut conn = app.ground.pg.conn().await?;
    let mut memos = store::list(&mut conn, &filter, filter.start(), LIMIT_MAX + 1).await?;
    let most = usize::try_from(LIMIT_MAX).unwrap_or_default();
    let has_more = memos.len() > most;
    memos.truncate(most);
    Ok((show_all(&mut conn, memos, &app.storage).await?, has_more))
}

/// Returns a day's focus sessions, or nothing when the session service does not tell them in time.
async fn agenda(app: &App, person: Principal, day: &FocusByDay) -> Option<FocusOfDay> {
    let asked = app.peers.agenda.get_with(Some(person), &["internal", "focus", "by-day"], day);
    let problem = match timeout(AGENDA_TIMEOUT, asked).await {
        Ok(Ok(agenda)) => return Some(agenda),
        Ok(Err(CallError::Failed(problem))) => problem,
        Ok(Err(refused @ CallError::Refused(_))) => Problem::from(refused),
        Err(late) => Problem::late(late),
    };
    tracing::warn!(code = problem.code(), "a day is shown without its focus sessions");
    None
}
