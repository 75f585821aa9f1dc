//! The demo events of development machines; they are made nowhere else.

mod programme;
mod seed;

use chassis::problem::Outcome;

use crate::app::App;

/// Makes the demo events that are missing, and puts those whose sale has ended on sale again.
///
/// # Errors
/// Returns a problem outside development, or when the database is away.
pub async fn seed(app: &App) -> Outcome<()> {
    app.ground.config.only_in_development()?;
    seed::run(app).await
}
