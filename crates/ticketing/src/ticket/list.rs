//! `GET /api/v1/tickets/event/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use domain::{ids::EventId, seat_hold::EVENT_NOT_FOUND};
use serde::Serialize;
use utoipa::ToSchema;

use super::{TicketTypeView, store};
use crate::{
    app::App,
    event::{
        self,
        catalogue::{sent, written},
    },
};

/// What an event sells by quantity.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketTypesView {
    #[serde(rename = "ticketTypes")]
    ticket_types: Vec<TicketTypeView>,
}

/// Lists an event's ticket types, the dearest first.
#[utoipa::path(
    get, path = "/api/v1/tickets/event/{event_id}", tag = "tickets", params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = TicketTypesView),
        (status = 404, description = "`event_not_found`", body = ProblemView)
    )
)]
pub async fn list_ticket_types(app: Data<App>, _caller: Anyone, event_id: Path<EventId>) -> Outcome<HttpResponse> {
    let answer = app.catalogue.offers(*event_id, async || {
        let mut conn = app.ground.pg.conn().await?;
        let types = store::list(&mut conn, *event_id).await?;
        if types.is_empty() && !event::store::exists(&mut conn, *event_id).await? {
            return Err(EVENT_NOT_FOUND.into());
        }
        let ticket_types = types.into_iter().map(TicketTypeView::from).collect();
        written(&TicketTypesView { ticket_types })
    });
    Ok(sent(answer.await?))
}
