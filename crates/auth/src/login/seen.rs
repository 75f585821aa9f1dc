//! `POST /internal/logins/seen`: which logins the gateways see at work.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{principal::GatewayPeer, problem::Outcome};
use domain::{
    contract::{LoginsNoted, LoginsSeen, SEEN_MAX},
    fault::common,
};

use super::store;
use crate::app::App;

/// Notes when logins were last used, and that the tokens of their last exchange have arrived.
pub async fn seen(app: Data<App>, _gateway: GatewayPeer, body: Json<LoginsSeen>) -> Outcome<HttpResponse> {
    let LoginsSeen { seen } = body.into_inner();
    if seen.len() > SEEN_MAX {
        return Err(common::TOO_LARGE.into());
    }
    let mut conn = app.ground.pg.conn().await?;
    let noted = store::note_seen(&mut conn, &seen, app.ground.clock.now()).await?;
    Ok(HttpResponse::Ok().json(LoginsNoted { noted }))
}
