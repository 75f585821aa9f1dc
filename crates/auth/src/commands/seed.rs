//! The demo accounts.

use chassis::problem::Outcome;
use domain::{demo, locale::Locale};
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
        missing.push(NewUser {
            id: account.id,
            name: account.name.to_owned(),
            email: account.email.to_owned(),
            email_key: account.email.to_owned(),
            phone: None,
            password_hash: Some(app.passwords.hash(SecretString::from(demo::PASSWORD)).await?),
            role: account.role.name(),
            locale: Locale::Ko.code(),
            created_at: app.ground.clock.now(),
        });
    }
    if !missing.is_empty() {
        let made = store::insert_missing(&mut conn, &missing).await?;
        tracing::info!(made, "demo accounts made");
    }
    Ok(())
}
