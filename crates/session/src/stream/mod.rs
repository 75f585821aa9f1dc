//! What is told to those who watch a session: over WebSockets and server-sent events, on any replica.
//!
//! Every change is an event with a number in the session's log, written in the transaction that makes it; numbers have no
//! gaps and become visible in their order, so that a viewer that comes back misses nothing. What the timer shows each
//! second is computed, once for all viewers of a replica, and written nowhere.

pub mod event;
pub mod frame;
pub mod room;
pub mod rooms;
pub mod socket;
pub mod sse;
pub mod store;
pub mod viewer;

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    web::{self, ServiceConfig},
};
use chassis::{principal::Person, problem::Outcome};
use domain::{ids::SessionId, session::NOT_FOUND};

use self::frame::Reader;
use crate::{app::App, sessions};

/// Mounts the streams.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/ws/sessions/{id}").get(socket::open))
        .service(web::resource("/api/v1/sessions/{id}/stream").get(sse::open));
}

/// Decides who reads a session.
///
/// # Errors
/// 401 for nobody, `session_not_found` for whom it does not concern.
async fn reader_of(app: &App, req: &HttpRequest, id: SessionId) -> Outcome<Reader> {
    let person = Person::from_request(req, &mut Payload::None).await?;
    let mut conn = app.ground.pg.conn().await?;
    sessions::store::find(&mut conn, person.0.user_id, id).await?.ok_or(NOT_FOUND)?;
    Ok(Reader::Owner)
}
