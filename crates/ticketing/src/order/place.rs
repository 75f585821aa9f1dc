//! `POST /api/v1/reservations`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    idempotency::{Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::{EventId, ReservationId, TicketTypeId},
    locale::Text,
    ticket_order::Basket,
    time::Instant,
};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::batch::{Order, ROUTE};
use crate::{
    app::App,
    queue::{gate, ticket::QueueTicketHeader},
};

const RESERVED: Text = Text::new("예매가 완료되었습니다.", "Your tickets are reserved.");

/// The tickets somebody wants.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlaceOrderRequest {
    /// The event they are for.
    event_id: EventId,
    /// At least one, each ticket type once.
    items: Vec<OrderItem>,
}

/// Some tickets of one type.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OrderItem {
    ticket_type_id: TicketTypeId,
    /// At least 1; all items together at most 10.
    #[schema(value_type = i32, minimum = 1, maximum = 10)]
    quantity: Number,
}

/// Tickets that are held.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderPlacedView {
    /// For people.
    message: String,
    reservation: PlacedReservationView,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacedReservationView {
    id: ReservationId,
    /// `TK` and 12 letters or digits; what people quote.
    reservation_number: String,
    /// KRW.
    total_amount: i64,
    /// When the tickets are let go unless they are paid for.
    expires_at: Instant,
}

/// Holds tickets for five minutes: all of them, or none.
///
/// Send an `Idempotency-Key`, and a request that is sent twice reserves once. A refusal does not use the key up.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    post, path = "/api/v1/reservations", tag = "reservations", security(("bearer" = [])),
    request_body = PlaceOrderRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 201, body = OrderPlacedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`not_admitted`", body = ProblemView),
        (status = 404, description = "`event_not_found`, `ticket_type_not_found`", body = ProblemView),
        (status = 409, description = "`sold_out`, `sale_closed`, `limit_reached`", body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView),
        (status = 503, description = "Too many wait already; `Retry-After`", body = ProblemView)
    )
)]
pub async fn place_order(
    app: Data<App>,
    person: Person,
    language: Language,
    key: IdempotencyKey,
    ticket: QueueTicketHeader,
    body: Json<PlaceOrderRequest>,
) -> Outcome<HttpResponse> {
    let buyer = person.0.user_id;
    let attempt = Attempt::new(buyer, ROUTE, key, &*body)?;
    let asked: Vec<_> = body.items.iter().map(|item| (item.ticket_type_id, item.quantity.as_i64())).collect();
    let basket = Basket::parse(&asked, app.config.max_tickets_per_reservation)?;
    if let Some(answer) = gate::pass(&app, buyer, body.event_id, &ticket, &attempt).await? {
        return Ok(answer.into());
    }
    let id = app.ground.clock.id::<ReservationId>();
    let order = Order::new(id, body.event_id, buyer, basket, &attempt, RESERVED.in_locale(language.0));
    Ok(app.orders.place(order).await?.answer()?.into())
}
