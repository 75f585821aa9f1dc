//! `DELETE /internal/users/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{idempotency, principal::AuthPeer, problem::Outcome};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{contract::UserErasure, ids::UserId, person::ERASE_ROWS, principal::Service};

use super::store;
use crate::{app::App, conversation, limit, prompt, reply, vault};

/// Erases some of what is kept about a person, and says whether that was all.
///
/// The first call takes the key of the person's text: from its commit on nobody can read any of it, here or in a backup,
/// however many calls the rows take.
///
/// Each call sees whatever was committed before it, so nothing that was there before the call that says it is finished
/// is left. Without Redis no call says so: a note of a conversation could still be there.
pub async fn erase(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let erasure = {
        let mut conn = app.ground.pg.conn().await?;
        conn.transaction(async |conn| forget(conn, *id).await).await?
    };
    reply::forget(&app, *id, None).await;
    conversation::forget_announced(&app, *id).await?;
    Ok(HttpResponse::Ok().json(erasure))
}

async fn forget(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<UserErasure> {
    // The key first: whoever writes with it is waited for, and what they wrote is seen by what comes after.
    let keys_of_text = usize::from(vault::erase_key(conn, person).await?);
    let (conversations, steps) = store::delete_some(conn, person).await?;
    let prompts = prompt::store::erase(conn, person).await?;
    let days = limit::erase(conn, person).await?;
    let keys = idempotency::erase(conn, person, ERASE_ROWS).await?;
    let is_left = store::has_any(conn, person).await?
        || vault::has_key(conn, person).await?
        || prompt::store::has_any(conn, person).await?
        || limit::has_any(conn, person).await?
        || idempotency::has_any(conn, person).await?;
    let erased = [
        ("encryption_keys", keys_of_text),
        ("conversations", conversations),
        ("steps", steps),
        ("prompts", prompts),
        ("usage_days", days),
        ("idempotency_keys", keys),
    ];
    Ok(UserErasure::new(Service::Emotion, !is_left, &erased))
}
