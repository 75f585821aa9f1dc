//! `maru-auth grant`: the only way to a role. No request can give one.

use chassis::problem::{Outcome, Problem};
use diesel_async::AsyncConnection;
use domain::{account::EmailAddress, fault::Violations, ids::UserId, principal::Role};

use crate::{
    account::store,
    app::App,
    audit::{self, Entry},
    login::{
        end,
        store::{self as logins, Which},
    },
};

/// Gives an account a role. A higher one counts from the next token on; a lower one counts at once, because every login
/// ends.
pub(super) async fn run(app: &App, email: &str, role: Role) -> Outcome<()> {
    let address = EmailAddress::parse(email, &mut Violations::new());
    let key = address.map(|address| address.key()).unwrap_or_default();
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    let ended = conn
        .transaction(async |conn| {
            let found = store::find_by_email(conn, &key).await?;
            let user = found.ok_or_else(|| Problem::unexpected("no account has this address"))?;
            let (user_id, before) = (UserId(user.id), user.role());
            store::set_role(conn, user_id, role, now).await?;
            let entry = Entry::of(user.id, "role_granted").with("from", before).with("to", role);
            audit::record(app, conn, entry).await?;
            if role >= before {
                return Outcome::Ok(0);
            }
            let ended = logins::end(conn, user_id, Which::All, "role_taken", now).await?;
            end::announce(app, conn, ended, now).await
        })
        .await?;
    tracing::info!(role = role.name(), logins_ended = ended, "role granted");
    Ok(())
}
