//! `POST /memo` with `multipart/form-data`.

use actix_multipart::Multipart;
use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::Violations,
    ids::{MemoId, UserId},
    memo::{attachment::object_key, parse_caption, parse_content, parse_tags},
    principal::Principal,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    fields::{self, Fields},
    staging::Staging,
};
use crate::{
    app::App,
    attachments::{
        store::{self as files, ReadyFile},
        unowned,
    },
    memos::{
        MemoView,
        create::Draft,
        focus,
        precondition::tagged,
        private,
        store::{self, NewMemo},
    },
};

/// What stays under an idempotency key: URLs of files are secrets and are signed again instead.
#[derive(Deserialize, Serialize)]
struct Created {
    memo_id: Uuid,
}

/// Writes a memo that comes as a form: `content`, `tags` ("a,b"), `category?`, `session_id?`, `metadata?` and the files
/// `image_<n>` and `audio_<n>`.
pub(super) async fn create(
    app: Data<App>,
    person: Person,
    key: IdempotencyKey,
    form: Multipart,
) -> Outcome<HttpResponse> {
    let mut staging = Staging::new(&app, person.0.user_id);
    let (fields, files) = fields::read(&mut staging, form).await?;
    let attempt = Attempt::new(person.0.user_id, "POST /memo", key, &(&fields, digests(&files)))?;
    let draft = draft(&fields, files.is_empty())?;
    let view = write(staging, person.0, draft, &files, attempt).await?;
    Ok(tagged(private(HttpResponse::Created().json(&view)), view.version))
}

/// Returns what tells one form's files from another's.
fn digests(files: &[ReadyFile]) -> Vec<(&str, &[u8])> {
    files.iter().map(|file| (file.filename.as_str(), file.sha256.as_slice())).collect()
}

fn draft(fields: &Fields, is_bare: bool) -> Outcome<Draft> {
    let mut violations = Violations::new();
    let text = fields.content.clone().unwrap_or_default();
    // A picture says enough.
    let content = if is_bare { parse_content(text, &mut violations) } else { parse_caption(text, &mut violations) };
    let tags = parse_tags(&fields.tags().unwrap_or_default(), &mut violations);
    let category = fields.category(&mut violations);
    let session_id = fields.session(&mut violations);
    let metadata = fields.metadata(&mut violations).unwrap_or_else(|| json!({}));
    violations.into_result()?;
    Ok(Draft { content: content.unwrap_or_default(), tags, category, session_id, metadata })
}

async fn write(
    staging: Staging<'_>,
    person: Principal,
    draft: Draft,
    new_files: &[ReadyFile],
    attempt: Attempt,
) -> Outcome<MemoView> {
    let app = staging.app();
    if let Some(session) = draft.session_id {
        focus::check(app, person, session).await?;
    }
    let now = app.ground.clock.now();
    let new = NewMemo::new(app.ground.clock.uuid(), person.user_id, draft, now);
    let mut conn = app.ground.pg.conn().await?;
    let written = conn.transaction(async |conn| {
        if let Some(answer) = attempt.replay(conn).await? {
            let Created { memo_id } = serde_json::from_value(answer.body).map_err(Problem::unexpected)?;
            // What this form has brought is a second copy.
            return Ok((show(app, conn, person.user_id, memo_id).await?, false));
        }
        store::insert(conn, &new).await?;
        own(conn, person.user_id, new.id, new_files, now).await?;
        attempt.keep(conn, &Answer::new(StatusCode::CREATED, &Created { memo_id: new.id })?).await?;
        Outcome::Ok((show(app, conn, person.user_id, new.id).await?, true))
    });
    let (view, is_new) = written.await?;
    if is_new {
        staging.owned();
        app.previews.notify_one();
    }
    Ok(view)
}

/// Makes files that are in the object storage a memo's own.
pub(super) async fn own(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    memo: Uuid,
    new_files: &[ReadyFile],
    now: DateTime<Utc>,
) -> Outcome<()> {
    // Their rows first, and then out of the other table: their bytes are never counted for nobody in between.
    files::insert_ready(conn, owner, memo, new_files, now).await?;
    for file in new_files {
        if !unowned::adopt(conn, &object_key(owner, file.id)).await? {
            return Err(Problem::late("the form took longer than the places of its files were kept"));
        }
    }
    Ok(())
}

async fn show(app: &App, conn: &mut AsyncPgConnection, owner: UserId, memo: Uuid) -> Outcome<MemoView> {
    let memo = store::get(conn, owner, MemoId(memo)).await?;
    let files = files::list_ready(conn, &[memo.id]).await?;
    Ok(MemoView::new(memo, &files, &app.storage))
}
