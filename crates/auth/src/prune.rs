//! Deletes what can prove nothing any more: ended logins, used nonces, codes and states that ran out.

use std::time::Duration;

use chassis::{pg::Pg, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;

use crate::{
    app::App,
    schema::{action_codes, logins, oauth_states, revoked_logins, used_proofs},
};

/// How often to look.
const EVERY: Duration = Duration::from_mins(10);
/// How long a login is kept after it could last be used, so that its owner's questions can be answered.
const LOGINS_KEPT: chrono::Duration = chrono::Duration::days(30);

/// Starts the loop.
pub fn start(app: &App) {
    let (pg, clock) = (app.ground.pg.clone(), app.ground.clock.clone());
    app.ground.lifecycle.spawn_every("prune", EVERY, move || {
        let (pg, clock) = (pg.clone(), clock.clone());
        async move {
            if let Err(problem) = prune(&pg, clock.now()).await {
                tracing::warn!(code = problem.code(), "what has run out is not deleted yet");
            }
        }
    });
}

/// Deletes what has run out at `now`.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn prune(pg: &Pg, now: DateTime<Utc>) -> Outcome<()> {
    let mut conn = pg.conn().await?;
    diesel::delete(revoked_logins::table.filter(revoked_logins::expires_at.lt(now))).execute(&mut conn).await?;
    diesel::delete(action_codes::table.filter(action_codes::expires_at.lt(now))).execute(&mut conn).await?;
    diesel::delete(oauth_states::table.filter(oauth_states::expires_at.lt(now))).execute(&mut conn).await?;
    diesel::delete(used_proofs::table.filter(used_proofs::expires_at.lt(now))).execute(&mut conn).await?;
    let long_ago = now - LOGINS_KEPT;
    let is_over = logins::expires_at.lt(long_ago).and(logins::idle_expires_at.lt(long_ago));
    diesel::delete(logins::table.filter(is_over)).execute(&mut conn).await?;
    Ok(())
}
