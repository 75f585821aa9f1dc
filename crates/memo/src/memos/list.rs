//! `GET /memo/list`.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{calendar::LocalDays, ids::UserId, page::Limit};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::{MemoView, private, store};
use crate::{
    app::App,
    attachments::store::{self as attachments, Attachment},
};

/// Most memos of one answer: a month of ten a day fits well.
const LIMIT_MAX: i64 = 500;

/// Which days to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// IANA time zone whose days are meant, such as `Asia/Seoul`.
    #[param(required)]
    tz: Option<String>,
    /// First day, `YYYY-MM-DD`.
    #[param(required)]
    start_date: Option<String>,
    /// Last day, `YYYY-MM-DD`, inclusive; at most 366 days in all.
    #[param(required)]
    end_date: Option<String>,
    /// Most memos, 1-500 (500).
    limit: Option<i64>,
}

/// Lists the memos written on some days of a time zone, newest first; `X-Total-Count` tells how many there are.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/memo/list", tag = "memos", security(("bearer" = [])), params(ListQuery),
    responses((status = 200, body = [MemoView]), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn list(app: Data<App>, person: Person, query: Query<ListQuery>) -> Outcome<HttpResponse> {
    let ListQuery { tz, start_date, end_date, limit } = query.into_inner();
    let days = LocalDays::parse(tz.as_deref(), start_date.as_deref(), end_date.as_deref())?;
    let limit = Limit::parse(limit, LIMIT_MAX, LIMIT_MAX)?;
    let (memos, total) = collect(&app, person.0.user_id, days, limit).await?;
    Ok(private(HttpResponse::Ok().insert_header(("x-total-count", total)).json(memos)))
}

async fn collect(app: &App, owner: UserId, days: LocalDays, limit: Limit) -> Outcome<(Vec<MemoView>, i64)> {
    let mut conn = app.ground.pg.conn().await?;
    let (memos, total) = store::list(&mut conn, owner, days, limit).await?;
    let ids: Vec<Uuid> = memos.iter().map(|memo| memo.id).collect();
    let mut files: HashMap<Uuid, Vec<Attachment>> = HashMap::new();
    for file in attachments::list_ready(&mut conn, &ids).await? {
        files.entry(file.memo_id).or_default().push(file);
    }
    let views = memos.into_iter().map(|memo| {
        let own = files.remove(&memo.id).unwrap_or_default();
        MemoView::new(memo, &own, &app.storage)
    });
    Ok((views.collect(), total))
}
