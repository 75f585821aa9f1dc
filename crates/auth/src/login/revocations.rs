//! `GET /internal/revocations`: what a gateway, or another that has connections to close, must know when it starts or
//! missed a notice.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{principal::DoorkeeperPeer, problem::Outcome};
use chrono::Duration;
use domain::contract::{Revocations, RevocationsSince};

use super::store;
use crate::app::App;

/// How far an answer's `as_of` lies in the past: longer than a transaction takes from reading its clock to its commit.
const OVERLAP: Duration = Duration::seconds(15);

/// Lists the logins whose tokens must be refused: all of them, or those that ended since a time.
pub async fn revocations(
    app: Data<App>,
    _doorkeeper: DoorkeeperPeer,
    query: Query<RevocationsSince>,
) -> Outcome<HttpResponse> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    let revoked = store::list_revoked(&mut conn, query.since.map(|since| since.0), now).await?;
    Ok(HttpResponse::Ok().json(Revocations { revoked, as_of: Some((now - OVERLAP).into()) }))
}
