//! `GET /memo/list`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Query},
};
use chassis::{
    page,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Utc};
use domain::{
    calendar::LocalDays,
    fault::Violations,
    ids::UserId,
    memo::{parse_label, search::Sought},
    page::Limit,
};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    MemoView,
    cursor::Place,
    private,
    search::{self, Found},
    show_all,
    store::{self, Filter, Memo},
};
use crate::app::App;

/// Most memos of one answer: a month of ten a day fits well.
pub(super) const LIMIT_MAX: i64 = 500;
/// Memos of one answer of a search, unless more are asked for.
const SEARCH_LIMIT: i64 = 50;

/// Which memos to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// IANA time zone whose days are meant, such as `Asia/Seoul`.
    tz: Option<String>,
    /// First day, `YYYY-MM-DD`. The days may be left out when something else is asked for: a tag, words, a session, the
    /// trash.
    start_date: Option<String>,
    /// Last day, `YYYY-MM-DD`, inclusive; at most 366 days in all.
    end_date: Option<String>,
    /// Only with this tag.
    tag: Option<String>,
    /// Only with all of these words in the text or a tag: at most 10 words and 200 characters, Korean or English.
    /// A consonant stands for the syllables it begins (초성); a single letter is found where a word begins with it.
    q: Option<String>,
    /// Only those of this focus session.
    session_id: Option<String>,
    /// `false` (default): those that are not put aside; `true`: those that are; `any`: both.
    archived: Option<String>,
    /// `true`: those in the trash instead; not together with `q`.
    trash: Option<bool>,
    /// Most memos, 1-500 (500; 50 with `q`).
    limit: Option<i64>,
    /// Where the page before ended, as its `Link` says.
    cursor: Option<String>,
}

struct Asked {
    filter: Filter,
    sought: Option<Sought>,
    limit: i64,
}

/// Lists memos, newest first: a bare array, with `X-Total-Count`, and `Link` when more follow. A search that finds more
/// than some 500 memos, or very long ones, has no `X-Total-Count`.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/memo/list", tag = "memos", security(("bearer" = [])), params(ListQuery),
    responses((status = 200, body = [MemoView]), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn list(app: Data<App>, person: Person, req: HttpRequest, query: Query<ListQuery>) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    let Asked { filter, sought, limit } = parse(owner, &query)?;
    let name = name_of(owner, &query);
    let cursor = query.cursor.as_deref().map(|text| Place::read(text, &app.cursor_mac, &name)).transpose()?;
    let after = cursor.unwrap_or_else(|| filter.start());
    let mut conn = app.ground.pg.conn().await?;
    let (mut memos, found) = match &sought {
        Some(sought) => {
            let Found { memos, total } = search::search(&mut conn, &filter, sought, after, limit + 1).await?;
            (memos, total)
        }
        None => (store::list(&mut conn, &filter, after, limit + 1).await?, None),
    };
    let next = cut(&mut memos, limit).map(|last| page::at(&req, "cursor", &last.write(&app.cursor_mac, &name)));
    let total = match (cursor, &next, &sought) {
        (None, None, _) => i64::try_from(memos.len()).ok(),
        (_, _, None) => Some(store::count(&mut conn, &filter).await?),
        (_, _, Some(_words)) => found,
    };
    let views = show_all(&mut conn, memos, &app.storage).await?;
    drop(conn);
    Ok(private(shown(&views, total, next)))
}

/// Leaves a page's memos; returns the place of the last one when there were more.
fn cut(memos: &mut Vec<Memo>, limit: i64) -> Option<Place> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let has_more = memos.len() > limit;
    memos.truncate(limit);
    memos.last().filter(|_| has_more).map(|memo| Place { created_at: memo.created_at, id: memo.id })
}

fn shown(views: &[MemoView], total: Option<i64>, next: Option<String>) -> HttpResponse {
    if let Some(total) = total {
        return page::answer(&views, total, next);
    }
    let mut answer = HttpResponse::Ok();
    if let Some(next) = next {
        answer.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    answer.json(views)
}

/// Names a list apart from every other, for its cursors.
fn name_of(owner: UserId, query: &ListQuery) -> String {
    let texts =
        [&query.tz, &query.start_date, &query.end_date, &query.tag, &query.q, &query.session_id, &query.archived];
    let mut name = format!("{owner}{}", query.trash.unwrap_or_default());
    for text in texts {
        name.push('\0');
        name.push_str(text.as_deref().unwrap_or_default());
    }
    name
}

fn parse(owner: UserId, query: &ListQuery) -> Outcome<Asked> {
    let days = days(query)?;
    let mut violations = Violations::new();
    let tag = query.tag.as_deref().and_then(|text| parse_label(text, "?tag", &mut violations));
    let sought = query.q.as_deref().and_then(|text| Sought::parse(text, &mut violations));
    let session = query.session_id.as_deref().map(str::parse::<Uuid>).transpose();
    violations.require(
        session.is_ok(),
        "?session_id",
        "not_an_id",
        "세션 id가 아닙니다.",
        "This is no id of a session.",
    );
    let archived = parse_archived(query.archived.as_deref(), &mut violations);
    let trash = query.trash.unwrap_or_default();
    violations.require(
        !(trash && sought.is_some()),
        "?q",
        "not_allowed",
        "휴지통은 검색할 수 없습니다.",
        "The trash is not searched.",
    );
    violations.into_result()?;
    let limit = Limit::parse(query.limit, if sought.is_some() { SEARCH_LIMIT } else { LIMIT_MAX }, LIMIT_MAX)?.rows();
    // Who looks into the trash wants all of it.
    let archived = archived.filter(|_| !trash || query.archived.is_some());
    let filter = Filter {
        owner,
        from: days.from,
        until: days.until,
        tag,
        session: session.unwrap_or_default(),
        archived,
        trash,
    };
    Ok(Asked { filter, sought, limit })
}

/// Reads the days, which only a list of days needs.
fn days(query: &ListQuery) -> Result<LocalDays, Violations> {
    let has_days = query.start_date.is_some() || query.end_date.is_some();
    let asks_else = query.q.is_some() || query.tag.is_some() || query.session_id.is_some() || query.trash.is_some();
    if has_days || !asks_else {
        return LocalDays::parse(query.tz.as_deref(), query.start_date.as_deref(), query.end_date.as_deref());
    }
    Ok(LocalDays { from: DateTime::<Utc>::UNIX_EPOCH, until: store::END_OF_TIME })
}

fn parse_archived(text: Option<&str>, violations: &mut Violations) -> Option<bool> {
    match text {
        None | Some("false") => Some(false),
        Some("true") => Some(true),
        Some("any") => None,
        Some(_) => {
            violations.add(
                "?archived",
                "not_valid",
                "true, false, any 중 하나여야 합니다.",
                "Must be true, false or any.",
            );
            None
        }
    }
}
