//! `GET /internal/revocations`: what a gateway that starts, or missed a notice, must know.

use actix_web::{HttpResponse, web::Data};
use chassis::{principal::Peer, problem::Outcome};
use domain::contract::Revocations;

use super::store;
use crate::app::App;

/// Lists every login whose tokens must still be refused.
pub async fn revocations(app: Data<App>, _peer: Peer) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let revoked = store::list_revoked(&mut conn, app.ground.clock.now()).await?;
    Ok(HttpResponse::Ok().json(Revocations { revoked }))
}
