//! What is forgotten in time: codes that have been kept back long enough, and those who left long ago.

use std::time::Duration;

use chassis::problem::Outcome;

use super::store;
use crate::{app::App, sessions::codes};

/// How often somebody looks.
const EVERY: Duration = Duration::from_mins(10);

/// Starts the loop. Two replicas that look at once delete each row once.
pub fn start(app: &App) {
    let app = app.clone();
    app.ground.lifecycle.clone().spawn_every("departed", EVERY, move || {
        let app = app.clone();
        async move {
            if let Err(problem) = forget(&app).await {
                tracing::warn!(code = problem.code(), "what is over is not forgotten yet");
            }
        }
    });
}

/// Forgets what is over; returns how many codes may be drawn again, and how many people are forgotten.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget(app: &App) -> Outcome<(usize, usize)> {
    let mut conn = app.ground.pg.conn().await?;
    Ok((codes::store::release(&mut conn).await?, store::forget_departed(&mut conn).await?))
}
