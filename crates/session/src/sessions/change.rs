//! How a session is changed: under the lock of its row, by the database's clock, in one UPDATE.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel_async::AsyncConnection;
use domain::{
    ids::{SessionId, UserId},
    session::NOT_FOUND,
};

use super::store::{self, Session};
use crate::{
    app::App,
    feedback,
    stream::{
        self,
        event::{Event, Topic},
    },
    timer,
};

/// Changes a person's session as `decide` says at the instant it is given.
///
/// Of two hands at once the second decides on what the first has left, and viewers are told. What `decide` leaves as it
/// was is not written. With a session's end its timer stands still, and its summary gets what feedback amounts to.
///
/// # Errors
/// [`NOT_FOUND`] when there is no such session of this person, and what `decide` refuses with.
pub(super) async fn change(
    app: &App,
    owner: UserId,
    id: SessionId,
    decide: impl FnOnce(&mut Session, DateTime<Utc>) -> Outcome<()> + Send,
) -> Outcome<Session> {
    let mut conn = app.ground.pg.conn().await?;
    let (session, is_changed) = conn
        .transaction(async |conn| {
            let (before, now) = store::lock(conn, owner, id).await?.ok_or(NOT_FOUND)?;
            let mut session = before.clone();
            decide(&mut session, now)?;
            let is_changed = session != before;
            if is_changed {
                session.updated_at = now;
                if session.is_over() && !before.is_over() {
                    timer::store::halt(conn, id, now).await?;
                    let totals = feedback::store::totals(conn, id).await?;
                    session.summary = feedback::summary::merge(session.summary.take(), totals)?;
                }
                store::rewrite(conn, &session).await?;
                stream::store::append(conn, id, &Event::changed(Topic::Session)).await?;
            }
            Outcome::Ok((session, is_changed))
        })
        .await?;
    if is_changed {
        app.rooms.tell(id);
    }
    Ok(session)
}
