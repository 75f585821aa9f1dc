//! `POST /memo/{memo_id}/attachments/{attachment_id}/complete`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    ids::{AttachmentId, MemoId, UserId},
    memo::attachment::{
        ATTACHMENTS_MAX, AttachmentKind, Found, HEAD_BYTES, Mismatch, may_be, object_key, verify_upload,
    },
};
use uuid::Uuid;

use super::{
    AttachmentView, NOT_UPLOADED, TOO_MANY_ATTACHMENTS,
    store::{self, Attachment, State},
    unowned::{self, UPLOAD_PATIENCE, Unowned},
    upload_of,
};
use crate::{
    app::App,
    memos::{private, store as memos},
    storage::{Copied, Stored},
};

/// Makes an uploaded file part of its memo, once the object storage has confirmed that it is there and as declared.
///
/// Twice is the same as once, also at the same time. A file that is not as declared is deleted; ask for a new upload.
///
/// **Permissions**: the memo's owner.
#[utoipa::path(
    post, path = "/memo/{memo_id}/attachments/{attachment_id}/complete", tag = "attachments",
    security(("bearer" = [])),
    params(("memo_id" = Uuid, Path), ("attachment_id" = Uuid, Path)),
    responses(
        (status = 200, body = AttachmentView),
        (status = 404, description = "`attachment_not_found`", body = ProblemView),
        (status = 409, description = "`not_uploaded`, `too_many_attachments`", body = ProblemView),
        (status = 422, description = "`size_mismatch`, `type_mismatch`, `checksum_mismatch`", body = ProblemView)
    )
)]
pub async fn complete(app: Data<App>, person: Person, path: Path<(MemoId, AttachmentId)>) -> Outcome<HttpResponse> {
    let (memo_id, attachment_id) = path.into_inner();
    let attachment = settle(&app, person.0.user_id, memo_id, attachment_id).await?;
    Ok(private(HttpResponse::Ok().json(AttachmentView::new(&attachment, &app.storage))))
}

/// Returns the file once it is ready. The storage is asked without a connection in hand: it may take its time.
async fn settle(app: &App, owner: UserId, memo: MemoId, id: AttachmentId) -> Outcome<Attachment> {
    let attachment = look(app, owner, memo, id).await?;
    match attachment.state()? {
        State::Ready => return Ok(attachment),
        State::Rejected(mismatch) => return Err(mismatch.fault().into()),
        State::Initiated => {}
    }
    let Some(upload) = app.storage.find(&upload_of(&attachment)).await? else {
        return ready_meanwhile(app, owner, memo, id).await;
    };
    // Nothing larger than it may be is copied; what else it is, the copy shows.
    if upload.found.size != attachment.size {
        return reject(app, &attachment, None, Mismatch::Size).await;
    }
    // To a key that nobody has a URL for, and that no other request writes to: what is looked at there stays so.
    let object = app.ground.clock.uuid();
    let key = object_key(owner, object);
    unowned::stage(app, owner, &key).await?;
    if app.storage.copy(&upload_of(&attachment), &upload.etag, &key).await? == Copied::Changed {
        return ready_meanwhile(app, owner, memo, id).await;
    }
    match inspect(app, &attachment, &upload, &key).await? {
        Ok(()) => accept(app, owner, &attachment, object).await,
        Err(mismatch) => reject(app, &attachment, Some(&key), mismatch).await,
    }
}

/// Returns a file of which there is no upload if another request has come first and cleared it away.
async fn ready_meanwhile(app: &App, owner: UserId, memo: MemoId, id: AttachmentId) -> Outcome<Attachment> {
    let attachment = look(app, owner, memo, id).await?;
    if attachment.state()? == State::Ready { Ok(attachment) } else { Err(NOT_UPLOADED.into()) }
}

async fn look(app: &App, owner: UserId, memo: MemoId, id: AttachmentId) -> Outcome<Attachment> {
    let mut conn = app.ground.pg.conn().await?;
    store::get(&mut conn, owner, memo, id).await
}

/// Judges the copy: as declared, and of the type that it is said to be. What was found of the upload says little of it: a
/// storage that copies without conditions may have copied what came after.
async fn inspect(app: &App, attachment: &Attachment, upload: &Stored, key: &str) -> Outcome<Result<(), Mismatch>> {
    let Some(copy) = app.storage.find(key).await? else { return Ok(Err(Mismatch::Size)) };
    let sha256 = match &attachment.sha256 {
        Some(_) => Some(digest(app, upload, &copy, key).await?),
        None => None,
    };
    if let Err(mismatch) = verify_upload(&attachment.declared(), &Found { sha256, ..copy.found }) {
        return Ok(Err(mismatch));
    }
    let head = app.storage.read(key, 0, HEAD_BYTES).await?;
    let kind = AttachmentKind::parse(&attachment.kind);
    let is_so = may_be(kind, &attachment.content_type, &attachment.filename, &head);
    Ok(if is_so { Ok(()) } else { Err(Mismatch::Type) })
}

/// Returns the SHA-256 of a copy: what the storage tells of it or, of the same bytes, of the upload. A storage that
/// computes none has not compared it either, and only then are the bytes read here.
async fn digest(app: &App, upload: &Stored, copy: &Stored, key: &str) -> Outcome<Vec<u8>> {
    let of_upload = upload.found.sha256.as_ref().filter(|_| upload.etag == copy.etag);
    match copy.found.sha256.as_ref().or(of_upload) {
        Some(told) => Ok(told.clone()),
        None => app.storage.sha256(key).await,
    }
}

async fn accept(app: &App, owner: UserId, file: &Attachment, object: Uuid) -> Outcome<Attachment> {
    let now = app.ground.clock.now();
    let memo = MemoId(file.memo_id);
    let mut conn = app.ground.pg.conn().await?;
    let settled = conn.transaction(async |conn| {
        memos::lock(conn, owner, memo).await?;
        let attachment = store::get(conn, owner, memo, AttachmentId(file.id)).await?;
        match attachment.state()? {
            // Another request came first, with a copy of its own.
            State::Ready => Ok((attachment, false)),
            State::Rejected(mismatch) => Err(mismatch.fault().into()),
            // An upload that outlived its URL did not keep its place.
            State::Initiated if store::count_ready(conn, memo).await? >= ATTACHMENTS_MAX => {
                Err(TOO_MANY_ATTACHMENTS.into())
            }
            State::Initiated => {
                if !unowned::adopt(conn, &object_key(owner, object)).await? {
                    return Err(Problem::late("the copy took longer than its place was kept"));
                }
                store::make_ready(conn, &attachment, object, now).await?;
                // Until its URL ends somebody may upload it once more, to where nobody looks.
                unowned::expect(conn, &left_upload(&attachment)).await?;
                let attachment = store::get(conn, owner, memo, AttachmentId(file.id)).await?;
                Outcome::Ok((attachment, true))
            }
        }
    });
    let (attachment, is_first) = settled.await?;
    drop(conn);
    app.previews.notify_one();
    let leftover = if is_first { upload_of(&attachment) } else { object_key(owner, object) };
    clear(app, &leftover).await;
    Ok(attachment)
}

/// Rejects a file and then deletes its objects, in this order: what a parallel request accepted is never deleted.
async fn reject(app: &App, attachment: &Attachment, copy: Option<&str>, mismatch: Mismatch) -> Outcome<Attachment> {
    let rejected = {
        let mut conn = app.ground.pg.conn().await?;
        conn.transaction(async |conn| {
            let rejected = store::reject(conn, attachment.id, mismatch).await?;
            if rejected {
                unowned::expect(conn, &left_upload(attachment)).await?;
            }
            Outcome::Ok(rejected)
        })
        .await?
    };
    if rejected {
        clear(app, &upload_of(attachment)).await;
    }
    if let Some(copy) = copy {
        clear(app, copy).await;
    }
    Err(mismatch.fault().into())
}

fn left_upload(attachment: &Attachment) -> Unowned {
    Unowned {
        object_key: upload_of(attachment),
        due_at: attachment.upload_expires_at + UPLOAD_PATIENCE,
        user_id: Some(attachment.user_id),
    }
}

/// Deletes an object that is written down as nobody's. When it does not come through, the sweep does it later.
async fn clear(app: &App, key: &str) {
    if let Err(problem) = app.storage.delete(key).await {
        tracing::info!(code = problem.code(), "an object is left for the sweep");
    }
}
