//! The trash: `DELETE /memo/{memo_id}`, `POST /memo/{memo_id}/restore`, and what leaves it for good.
//!
//! A deleted memo can be taken out of the trash for 30 days. Then its files' objects are deleted, their rows when those
//! are gone, and the memo when it has no files left: stopped anywhere, the next round goes on where this one was.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    context,
    pg::only_row,
    precondition::IfMatch,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper,
    dsl::{exists, not},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{MemoId, UserId},
    locale::Text,
};
use serde::Serialize;
use tokio::time::sleep;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    MEMO_NOT_FOUND, MemoView, answer, precondition,
    store::{self, Memo},
};
use crate::{
    app::App,
    attachments::{store as attachments, sweep::BATCH},
    person::store as rows,
    schema::{attachments as files, memos},
};

/// How long a memo can be taken out of the trash.
pub const KEPT: TimeDelta = TimeDelta::days(30);
/// How much later it is gone: replicas' clocks differ.
const GRACE: TimeDelta = TimeDelta::hours(1);
/// How often this replica looks for what leaves the trash.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// What is said when it is in the trash.
const DELETED: Text = Text::new("메모가 삭제되었습니다.", "memo deleted successfully");

/// A memo was deleted.
#[derive(Serialize, ToSchema)]
pub struct MemoDeleted {
    /// Says so, in the request's language.
    message: &'static str,
}

/// Puts a memo into the trash, its files with it; `restore` takes it out again for 30 days.
///
/// **Permissions**: its owner.
#[utoipa::path(
    delete, path = "/memo/{memo_id}", tag = "memos", security(("bearer" = [])),
    params(("memo_id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`\"<version>\"`")),
    responses(
        (status = 200, body = MemoDeleted),
        (status = 404, description = "`memo_not_found`", body = ProblemView),
        (status = 412, description = "`memo_changed`", body = ProblemView)
    )
)]
pub async fn delete(app: Data<App>, person: Person, memo_id: Path<MemoId>, meant: IfMatch) -> Outcome<HttpResponse> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let memo = store::get_for_change(conn, person.0.user_id, *memo_id).await?;
        precondition::check(meant, memo.version)?;
        diesel::update(memos::table.find(memo.id)).set(memos::deleted_at.eq(now)).execute(conn).await?;
        Outcome::Ok(())
    })
    .await?;
    Ok(HttpResponse::Ok().json(MemoDeleted { message: DELETED.in_locale(context::locale()) }))
}

/// Takes a memo out of the trash, within 30 days of its deletion; one that is not in there is shown as it is.
///
/// **Permissions**: its owner.
#[utoipa::path(
    post, path = "/memo/{memo_id}/restore", tag = "memos", security(("bearer" = [])),
    params(("memo_id" = Uuid, Path)),
    responses((status = 200, body = MemoView), (status = 404, description = "`memo_not_found`", body = ProblemView))
)]
pub async fn restore(app: Data<App>, person: Person, memo_id: Path<MemoId>) -> Outcome<HttpResponse> {
    let since = app.ground.clock.now() - KEPT;
    let mut conn = app.ground.pg.conn().await?;
    let memo = take_out(&mut conn, person.0.user_id, *memo_id, since).await?;
    let files = attachments::list_ready(&mut conn, &[memo.id]).await?;
    Ok(answer(&MemoView::new(memo, &files, &app.storage)))
}

async fn take_out(conn: &mut AsyncPgConnection, owner: UserId, id: MemoId, since: DateTime<Utc>) -> Outcome<Memo> {
    let theirs = memos::table
        .find(id.0)
        .filter(memos::user_id.eq(owner.0))
        .filter(memos::deleted_at.is_null().or(memos::deleted_at.gt(since)));
    let row = diesel::update(theirs).set(memos::deleted_at.eq(None::<DateTime<Utc>>));
    let memo = only_row(row.returning(Memo::as_returning()).load(conn)).await.optional()?;
    memo.ok_or_else(|| MEMO_NOT_FOUND.into())
}

/// Starts the loop that deletes for good.
pub fn start(app: &App) {
    let app = app.clone();
    app.ground.lifecycle.clone().spawn_loop("memo_trash", move |stop| {
        let app = app.clone();
        async move {
            while !stop.is_cancelled() {
                if let Err(problem) = purge(&app).await {
                    tracing::warn!(code = problem.code(), "the trash is not emptied yet");
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        }
    });
}

/// Deletes for good what has been in the trash for long enough, at most one batch; returns how many memos are gone.
/// Replicas that do the same at the same time do no harm.
///
/// # Errors
/// Returns a problem when the database or the storage is away.
pub async fn purge(app: &App) -> Outcome<usize> {
    let until = app.ground.clock.now() - KEPT - GRACE;
    let mut conn = app.ground.pg.conn().await?;
    if conn.transaction(async |conn| delete_files(conn, until).await).await? > 0 {
        app.unowned.notify_one();
    }
    forget(&mut conn, until).await
}

/// Deletes some files of memos that leave the trash; their objects are written down as nobody's by the same statement.
async fn delete_files(conn: &mut AsyncPgConnection, until: DateTime<Utc>) -> Outcome<usize> {
    let theirs = files::table.inner_join(memos::table).filter(memos::deleted_at.le(until));
    let some: Vec<Uuid> = theirs.order(memos::deleted_at).limit(BATCH).select(files::id).load(conn).await?;
    if some.is_empty() { Ok(0) } else { rows::delete_files(conn, &some).await }
}

async fn forget(conn: &mut AsyncPgConnection, until: DateTime<Utc>) -> Outcome<usize> {
    let bare = not(exists(files::table.filter(files::memo_id.eq(memos::id))));
    let some: Vec<Uuid> = memos::table
        .filter(memos::deleted_at.le(until))
        .filter(bare)
        .order(memos::deleted_at)
        .limit(BATCH)
        .select(memos::id)
        .load(conn)
        .await?;
    // Looked at again: somebody may have asked the emotion service for a card of a month ago.
    let bare = not(exists(files::table.filter(files::memo_id.eq(memos::id))));
    let gone = memos::table.filter(memos::id.eq_any(some)).filter(memos::deleted_at.le(until)).filter(bare);
    Ok(diesel::delete(gone).execute(conn).await?)
}
