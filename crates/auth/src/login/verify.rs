//! `POST /internal/tokens/verify`: what an access token is worth that the gateway has not seen.
//!
//! A Socket.IO client shows its token in a packet of its own, and a client of the companion may in its first frame, behind
//! the gateway's back. The service that gets it has no secret to judge it by, and asks here. No row is read: as at the
//! gateway, the signature counts, and whoever asks hears of ended logins by `/internal/revocations`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    principal::ReceptionPeer,
    problem::{Outcome, Problem},
};
use domain::{
    contract::{TokenVerification, VerifiedToken},
    fault::common,
};

use crate::app::App;

/// Says who a token speaks for.
pub async fn verify(app: Data<App>, _reception: ReceptionPeer, body: Json<TokenVerification>) -> Outcome<HttpResponse> {
    let verified = app.tokens.verify(&body.token, app.ground.clock.now());
    let access = verified.map_err(|refused| Problem::from(common::INVALID_TOKEN).caused_by(refused))?;
    Ok(HttpResponse::Ok().json(VerifiedToken { principal: access.principal, expires_at: access.expires_at.into() }))
}
