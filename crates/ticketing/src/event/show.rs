//! `GET /api/v1/events/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncPgConnection;
use domain::{
    ids::EventId,
    seat_hold::{EVENT_NOT_FOUND, EventStatus},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    catalogue::{sent, written},
    store::{self, Listing},
};
use crate::{
    app::App,
    ticket::{self, TicketTypeView},
};

/// An event and what is sold by quantity.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventDetailView {
    event: EventView,
    #[serde(rename = "ticketTypes")]
    ticket_types: Vec<TicketTypeView>,
}

impl EventDetailView {
    /// Reads an event with its ticket types.
    ///
    /// # Errors
    /// [`EVENT_NOT_FOUND`]; a problem when the database is away.
    pub(crate) async fn read(conn: &mut AsyncPgConnection, id: EventId) -> Outcome<Self> {
        let event = store::find(conn, id).await?.ok_or(EVENT_NOT_FOUND)?;
        let types = ticket::store::list(conn, id).await?;
        Ok(Self { event: event.into(), ticket_types: types.into_iter().map(TicketTypeView::from).collect() })
    }
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    id: Uuid,
    title: String,
    description: Option<String>,
    artist_name: Option<String>,
    venue: String,
    address: Option<String>,
    event_date: Instant,
    sale_start_date: Instant,
    sale_end_date: Instant,
    poster_image_url: Option<String>,
    status: EventStatus,
    /// Present when the event has numbered seats: choose them from `/api/v1/seats/events/{event_id}`.
    seat_layout_id: Option<Uuid>,
}

impl From<Listing> for EventView {
    fn from(event: Listing) -> Self {
        let status = event.status();
        Self {
            id: event.id,
            title: event.title,
            description: event.description,
            artist_name: event.artist_name,
            venue: event.venue,
            address: event.address,
            event_date: event.event_date.into(),
            sale_start_date: event.sale_start_date.into(),
            sale_end_date: event.sale_end_date.into(),
            poster_image_url: event.poster_image_url,
            status,
            seat_layout_id: event.seat_layout_id,
        }
    }
}

/// Shows an event and its ticket types, the dearest first.
#[utoipa::path(
    get, path = "/api/v1/events/{event_id}", tag = "events", params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = EventDetailView),
        (status = 404, description = "`event_not_found`", body = ProblemView)
    )
)]
pub async fn show_event(app: Data<App>, _caller: Anyone, event_id: Path<EventId>) -> Outcome<HttpResponse> {
    let answer = app.catalogue.detail(*event_id, async || {
        let mut conn = app.ground.pg.conn().await?;
        written(&EventDetailView::read(&mut conn, *event_id).await?)
    });
    Ok(sent(answer.await?))
}
