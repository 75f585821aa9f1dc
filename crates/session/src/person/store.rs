//! The rows of a person, wherever they are.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, QueryDsl, SelectableHelper,
    dsl::{exists, select},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, person::ERASE_ROWS};
use uuid::Uuid;

use crate::{
    feedback::store as feedback,
    schema::{sessions, timers},
    sessions::{codes, store::Session},
};

/// Sessions that are read at once; the free documents of one may have 200 kB.
const PAGE: i64 = 100;

/// The last row of a page: when it was made, and its id.
pub type Last = (DateTime<Utc>, Uuid);

/// Lists a person's sessions, newest first, after the last of the page before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, owner: UserId, last: Option<Last>) -> Outcome<Vec<Session>> {
    let mut query = sessions::table
        .filter(sessions::user_id.eq(owner.0))
        .order((sessions::created_at.desc(), sessions::id.desc()))
        .limit(PAGE)
        .select(Session::as_select())
        .into_boxed();
    if let Some((created_at, id)) = last {
        // The first half alone is what the index can seek by.
        let older = sessions::created_at.lt(created_at).or(sessions::id.lt(id));
        query = query.filter(sessions::created_at.le(created_at)).filter(older);
    }
    Ok(query.load(conn).await?)
}

/// What one call has deleted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deleted {
    /// Sessions.
    pub sessions: usize,
    /// Timers.
    pub timers: usize,
    /// What belonged to live feedback.
    pub feedback: feedback::Erased,
}

/// Deletes some of a person's sessions with their timers, feedback and participants, and keeps their codes back. Sessions
/// with more cues than are erased at once stay for the next call.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_some(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<Deleted> {
    let some: Vec<Uuid> = sessions::table
        .filter(sessions::user_id.eq(owner.0))
        .order(sessions::id)
        .limit(ERASE_ROWS)
        .select(sessions::id)
        // So that a timer that is being set up is there to be counted.
        .for_update()
        .load(conn)
        .await?;
    let feedback = feedback::erase(conn, &some).await?;
    if !feedback.is_all {
        return Ok(Deleted { feedback, ..Deleted::default() });
    }
    let timers = diesel::delete(timers::table.filter(timers::session_id.eq_any(&some))).execute(conn).await?;
    let codes: Vec<String> = diesel::delete(sessions::table.filter(sessions::id.eq_any(&some)))
        .returning(sessions::session_code)
        .get_results(conn)
        .await?;
    codes::store::retire(conn, &codes).await?;
    Ok(Deleted { sessions: codes.len(), timers, feedback })
}

/// Returns whether a person has a session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    Ok(select(exists(sessions::table.filter(sessions::user_id.eq(owner.0)))).get_result(conn).await?)
}
