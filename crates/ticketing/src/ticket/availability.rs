//! `GET /api/v1/tickets/availability/{ticket_type_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use domain::seat_hold::TICKET_TYPE_NOT_FOUND;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store;
use crate::{
    app::App,
    event::catalogue::{sent, written},
};

/// What is left of a ticket type.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailabilityView {
    /// Neither sold nor held.
    available_quantity: i32,
    total_quantity: i32,
}

/// Shows what is left of a ticket type.
#[utoipa::path(
    get, path = "/api/v1/tickets/availability/{ticket_type_id}", tag = "tickets",
    params(("ticket_type_id" = Uuid, Path)),
    responses(
        (status = 200, body = AvailabilityView),
        (status = 404, description = "`ticket_type_not_found`", body = ProblemView)
    )
)]
pub async fn show_availability(app: Data<App>, _caller: Anyone, ticket_type_id: Path<Uuid>) -> Outcome<HttpResponse> {
    let answer = app.catalogue.availability(*ticket_type_id, async || {
        let mut conn = app.ground.pg.conn().await?;
        let found = store::find(&mut conn, *ticket_type_id).await?.ok_or(TICKET_TYPE_NOT_FOUND)?;
        let (available_quantity, total_quantity) = (found.available(), found.total_quantity);
        written(&AvailabilityView { available_quantity, total_quantity })
    });
    Ok(sent(answer.await?))
}
