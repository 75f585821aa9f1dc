//! `DELETE /internal/users/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{idempotency, principal::AuthPeer, problem::Outcome};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    contract::UserErasure,
    ids::{SessionId, UserId},
    person::ERASE_ROWS,
    principal::Service,
};

use super::store;
use crate::{app::App, focus, participants};

/// Erases some of what is kept about a person, and says whether that was all.
///
/// Each call sees whatever was committed before it, so nothing that was there before the call that says it is finished
/// is left, however often somebody wrote in between.
pub async fn erase(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let (erasure, fewer) = conn.transaction(async |conn| forget(conn, *id).await).await?;
    drop(conn);
    for session in fewer {
        app.rooms.tell(session);
    }
    app.focus.forgotten(*id).await;
    Ok(HttpResponse::Ok().json(erasure))
}

/// Returns also in which sessions of others there is one fewer now.
async fn forget(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<(UserErasure, Vec<SessionId>)> {
    let deleted = store::delete_some(conn, person).await?;
    let (focus_sessions, focus_intervals) = focus::person::delete_some(conn, person).await?;
    let keys = idempotency::erase(conn, person, ERASE_ROWS).await?;
    let (places, fewer) = participants::person::erase_some(conn, person).await?;
    let is_left = store::has_any(conn, person).await?
        || focus::person::has_any(conn, person).await?
        || participants::person::has_any(conn, person).await?
        || idempotency::has_any(conn, person).await?;
    let erased = [
        ("sessions", deleted.sessions),
        ("timers", deleted.timers),
        ("feedback_cues", deleted.feedback.cues),
        ("feedback_settings", deleted.feedback.settings),
        ("feedback_states", deleted.feedback.states),
        ("focus_sessions", focus_sessions),
        ("focus_intervals", focus_intervals),
        ("participants", places),
        ("idempotency_keys", keys),
    ];
    Ok((UserErasure::new(Service::Session, !is_left, &erased), fewer))
}
