//! `GET /internal/events/{event_id}/ticket-holders/{user_id}`: what the session service asks before it lets somebody in.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{principal::SessionPeer, problem::Outcome};
use domain::{
    contract::TicketHolder,
    ids::{EventId, UserId},
};

use super::store;
use crate::app::App;

/// Says whether a person has a confirmed ticket to an event. To an event that is not there nobody has one: that is a
/// clear word too, which whoever asks can act on.
pub async fn show_holder(app: Data<App>, _peer: SessionPeer, path: Path<(EventId, UserId)>) -> Outcome<HttpResponse> {
    let (event_id, user_id) = path.into_inner();
    let mut conn = app.ground.pg.conn().await?;
    let has_ticket = store::has_ticket(&mut conn, event_id, user_id).await?;
    Ok(HttpResponse::Ok().json(TicketHolder { has_ticket }))
}
