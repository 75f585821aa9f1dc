//! The demo accounts.

use chassis::problem::Outcome;
use domain::demo;
use secrecy::SecretString;

use crate::{
    account::store::{self, NewUser},
    app::App,
};

/// Makes the demo accounts that are missing; those that are there keep what was changed in them.
pub(super) async fn run(app: &App) -> Outcome<()> {
    let mut conn = app.ground.pg.conn().await?;
    let ids: Vec<_> = demo::ACCOUNTS.iter().map(|account| account.id).collect();
    let existing = store::existing(&mut conn, &ids).await?;
    let mut missing = Vec::new();
    for account in demo::ACCOUNTS.iter().filter(|account| existing.iter().all(|id| id.0 != account.id)) {
        let now = app.ground.clock.now();
        missing.push(NewUser {
            password_hash: Some(app.passwords.hash(SecretString::from(demo::PASSWORD)).await?),
            role: account.role.name(),
            email_verified_at: Some(now),
            ..NewUser::new(account.id, account.name.to_owned(), account.email.to_owned(), now)
        });
    }
    if !missing.is_empty() {
        let made = store::insert_missing(&mut conn, &missing).await?;
        tracing::info!(made, "demo accounts made");
    }
    Ok(())
}
