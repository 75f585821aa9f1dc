//! The keys that memos are found by, made for those that have none yet: memos of before there was a search, and all of
//! them after a change of how keys are made.

use std::time::Duration;

use chassis::problem::Outcome;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, memo::search::Searchable};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{app::App, schema::memos};

/// Memos of one round.
const BATCH: i64 = 50;
/// How long this replica rests when there is nothing to do.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Starts the loop that makes missing keys.
pub fn start(app: &App) {
    let app = app.clone();
    app.ground.lifecycle.clone().spawn_loop("memo_search_keys", move |stop| {
        let app = app.clone();
        async move {
            while !stop.is_cancelled() {
                let made = make_some(&app).await;
                let rest = match made {
                    Ok(made) if made > 0 => Duration::ZERO,
                    Ok(_) => LOOK_EVERY,
                    Err(problem) => {
                        tracing::warn!(code = problem.code(), "some memos cannot be searched yet");
                        LOOK_EVERY
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(rest) => {}
                }
            }
        }
    });
}

/// Makes the keys of some memos that have none; returns of how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn make_some(app: &App) -> Outcome<usize> {
    let mut conn = app.ground.pg.conn().await?;
    let some: Vec<(Uuid, Uuid, i64, String, Vec<String>)> = memos::table
        .filter(memos::search_keys.is_null())
        .order(memos::id)
        .limit(BATCH)
        .select((memos::id, memos::user_id, memos::version, memos::content, memos::tags))
        .load(&mut conn)
        .await?;
    for (id, owner, version, content, tags) in &some {
        let keys = Searchable::of(content, tags).keys(UserId(*owner));
        set(&mut conn, *id, *version, keys).await?;
    }
    Ok(some.len())
}

/// Writes the keys of a version of a memo; one that was changed meanwhile has its own.
async fn set(conn: &mut AsyncPgConnection, id: Uuid, version: i64, keys: Vec<i32>) -> Outcome<()> {
    let unchanged = memos::table.find(id).filter(memos::version.eq(version)).filter(memos::search_keys.is_null());
    diesel::update(unchanged).set(memos::search_keys.eq(keys)).execute(conn).await?;
    Ok(())
}
