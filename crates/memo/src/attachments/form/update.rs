//! `PUT /memo/{memo_id}` with `multipart/form-data`.

use actix_multipart::Multipart;
use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{precondition::IfMatch, principal::Person, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::Violations,
    ids::{MemoId, UserId},
    memo::{attachment::ATTACHMENTS_MAX, parse_caption, parse_tags},
};
use uuid::Uuid;

use super::{
    create::own,
    fields::{self, Fields, listed},
    staging::Staging,
};
use crate::{
    app::App,
    attachments::{
        TOO_MANY_ATTACHMENTS,
        store::{self as files, ReadyFile},
    },
    memos::{
        MemoView, answer, precondition, store,
        update::{Change, apply, check_session},
    },
};

/// Changes a memo by a form: `content?`, `tags?` ("a,b"), `category?`, `session_id?`, `metadata?`, the files
/// `new_image_<n>` and `new_audio_<n>`, and `keep_attachments?` ("id,id"): the files that it still has then. Without that
/// field it keeps all.
pub(super) async fn update(
    app: Data<App>,
    person: Person,
    memo_id: Path<MemoId>,
    meant: IfMatch,
    form: Multipart,
) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    // Nobody uploads 100 MB to a memo that is not there.
    drop(found(&app, owner, *memo_id).await?);
    let mut staging = Staging::new(&app, owner);
    let (fields, new_files) = fields::read(&mut staging, form).await?;
    let (change, kept) = judge(&fields)?;
    check_session(&app, person.0, *memo_id, &change).await?;
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    let (memo, files, left) = conn
        .transaction(async |conn| {
            let memo = store::get_for_change(conn, owner, *memo_id).await?;
            precondition::check(meant, memo.version)?;
            let left = exchange(conn, owner, memo.id, kept.as_deref(), &new_files, now).await?;
            let files = files::list_ready(conn, &[memo.id]).await?;
            let memo = apply(conn, memo, &files, change, now).await?;
            Outcome::Ok((memo, files, left))
        })
        .await?;
    staging.owned();
    app.previews.notify_one();
    if left > 0 {
        app.unowned.notify_one();
    }
    Ok(answer(&MemoView::new(memo, &files, &app.storage)))
}

async fn found(app: &App, owner: UserId, id: MemoId) -> Outcome<store::Memo> {
    let mut conn = app.ground.pg.conn().await?;
    store::get(&mut conn, owner, id).await
}

fn judge(fields: &Fields) -> Outcome<(Change, Option<Vec<Uuid>>)> {
    let mut violations = Violations::new();
    let change = Change {
        content: fields.content.clone().and_then(|text| parse_caption(text, &mut violations)),
        tags: fields.tags().map(|tags| parse_tags(&tags, &mut violations)),
        category: fields.category.is_some().then(|| fields.category(&mut violations)),
        session_id: fields.session_id.is_some().then(|| fields.session(&mut violations)),
        metadata: fields.metadata(&mut violations),
        is_archived: None,
    };
    let kept = fields.keep_attachments.as_deref().map(|text| {
        let ids: Vec<Option<Uuid>> = listed(text).map(|id| id.parse().ok()).collect();
        let (ko, en) = ("첨부 파일 id의 목록이어야 합니다.", "Must be a list of ids of files.");
        violations.require(ids.iter().all(Option::is_some), "/keep_attachments", "not_an_id", ko, en);
        ids.into_iter().flatten().collect()
    });
    violations.into_result()?;
    Ok((change, kept))
}

/// Takes files from a locked memo and gives it others; returns how many it has lost.
async fn exchange(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    memo: Uuid,
    kept: Option<&[Uuid]>,
    new_files: &[ReadyFile],
    now: DateTime<Utc>,
) -> Outcome<usize> {
    let left = match kept {
        None => 0,
        Some(kept) => files::delete_others(conn, memo, kept).await?,
    };
    let new = i64::try_from(new_files.len()).unwrap_or(i64::MAX);
    if new > 0 && files::count_taken(conn, MemoId(memo), now).await? + new > ATTACHMENTS_MAX {
        return Err(TOO_MANY_ATTACHMENTS.into());
    }
    own(conn, owner, memo, new_files, now).await?;
    Ok(left)
}
