//! `POST /auth/ws-ticket`, and what gateways do with what it gives.
//!
//! A browser cannot put a token into the handshake of a socket, and a token in an address ends up in logs. So it asks
//! for a ticket: random, good for half a minute, and for one use, because whoever takes it out of Redis has it alone.
//! Only its digest is kept there.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{
    principal::{GatewayPeer, Person},
    problem::{Outcome, Problem},
};
use deadpool_redis::redis::cmd;
use domain::{
    contract::{StreamTicket, TicketRedemption},
    fault::{Fault, Kind},
    principal::Principal,
};
use sha2::{Digest, Sha256};

use crate::app::App;

/// How long a ticket is good, seconds: long enough to open a socket, too short to be found somewhere.
const LIFE_SECONDS: u32 = 30;
/// Random bytes of a ticket.
const BYTES: usize = 24;

/// Used, expired or made up.
pub const INVALID_TICKET: Fault =
    Fault::new(Kind::Unauthenticated, "invalid_ticket", "유효하지 않은 티켓입니다.", "The ticket is not valid.");

/// Gives a ticket to whoever is logged in, for one socket or stream.
#[utoipa::path(
    post, path = "/auth/ws-ticket", tag = "logins", security(("bearer" = [])),
    responses((status = 200, body = StreamTicket))
)]
pub async fn give(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Problem::unexpected)?;
    let ticket = URL_SAFE_NO_PAD.encode(bytes);
    let holder = serde_json::to_string(&person.0).map_err(Problem::unexpected)?;
    let mut keep = cmd("SET");
    keep.arg(key(&app, &ticket)).arg(holder).arg("EX").arg(LIFE_SECONDS);
    app.ground.redis.run::<()>(&keep).await?;
    Ok(HttpResponse::Ok().json(StreamTicket { ticket, expires_in: LIFE_SECONDS }))
}

/// Takes a ticket in and says whose it was.
pub async fn redeem(app: Data<App>, _gateway: GatewayPeer, body: Json<TicketRedemption>) -> Outcome<HttpResponse> {
    let mut take = cmd("GETDEL");
    take.arg(key(&app, &body.ticket));
    let holder: Option<String> = app.ground.redis.run(&take).await?;
    let holder = holder.ok_or(INVALID_TICKET)?;
    let principal: Principal = serde_json::from_str(&holder).map_err(Problem::unexpected)?;
    Ok(HttpResponse::Ok().json(principal))
}

fn key(app: &App, ticket: &str) -> String {
    app.ground.redis.key(format_args!("ws-ticket:{}", hex::encode(Sha256::digest(ticket.as_bytes()))))
}
