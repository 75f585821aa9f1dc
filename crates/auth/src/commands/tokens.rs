//! Access tokens of new accounts, for load drivers.

use std::io::Write;

use chassis::problem::{Outcome, Problem};
use diesel_async::AsyncConnection;
use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role},
};

use crate::{
    account::store::{self, NewUser},
    app::App,
    login::{
        begin::Method,
        new_login::{self, NewLogin},
    },
};

/// Accounts per statement: PostgreSQL takes 65,535 parameters, an account has twelve.
const BATCH: u32 = 5_000;

/// Makes `count` accounts without a password, each logged in once, and prints `id<TAB>token` lines.
pub(super) async fn run(app: &App, count: u32, out: &mut impl Write) -> Outcome<()> {
    let mut left = count;
    while left > 0 {
        let batch = left.min(BATCH);
        let principals: Vec<_> = (0..batch)
            .map(|_| Principal {
                user_id: app.ground.clock.id::<UserId>(),
                login_id: app.ground.clock.id::<LoginId>(),
                role: Role::User,
            })
            .collect();
        write_rows(app, &principals).await?;
        for principal in principals {
            let issued = app.tokens.issue(principal, 0, app.ground.clock.now(), app.config.jwt_expires_in);
            let token = issued.map_err(Problem::unexpected)?;
            writeln!(out, "{}\t{token}", principal.user_id).map_err(Problem::unexpected)?;
        }
        left -= batch;
    }
    Ok(())
}

async fn write_rows(app: &App, principals: &[Principal]) -> Outcome<()> {
    let now = app.ground.clock.now();
    let users: Vec<_> = principals
        .iter()
        .map(|principal| {
            let email = format!("load-{}@maru.dev", principal.user_id.0.simple());
            NewUser::new(principal.user_id.0, "부하 시험".to_owned(), email, now)
        })
        .collect();
    let expires_at = now + app.config.jwt_expires_in;
    let login =
        |p: &Principal| NewLogin { expires_at, ..NewLogin::new(p.user_id, p.login_id, Method::Password.name(), now) };
    let rows: Vec<_> = principals.iter().map(login).collect();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        store::insert_missing(conn, &users).await?;
        new_login::insert_all(conn, &rows).await
    })
    .await
}
