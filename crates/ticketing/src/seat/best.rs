//! `POST /api/v1/seats/best`.

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
    fault::Violations,
    ids::{EventId, ReservationId},
};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::{
    hold::{Adjacent, Hold},
    reserve::{SELECTED, SeatsReservedView},
};
use crate::{
    app::App,
    queue::{gate, ticket::QueueTicketHeader},
};

/// Under which route its keys are kept.
const ROUTE: &str = "POST /api/v1/seats/best";

/// Seats side by side.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BestSeatsRequest {
    /// The event they belong to.
    event_id: EventId,
    /// How many, 1 to 4.
    #[schema(value_type = i32, minimum = 1, maximum = 4)]
    quantity: Number,
    /// Of this section only.
    #[serde(default)]
    section: Option<String>,
    /// KRW; no seat dearer than that.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    max_price: Option<Number>,
}

impl BestSeatsRequest {
    fn choice(self, most: usize) -> Result<Adjacent, Violations> {
        let mut violations = Violations::new();
        let quantity = self.quantity.as_i64().and_then(|quantity| i32::try_from(quantity).ok());
        let quantity = quantity.filter(|n| usize::try_from(*n).is_ok_and(|n| (1..=most).contains(&n)));
        violations.require(
            quantity.is_some(),
            "/quantity",
            "out_of_range",
            "선택할 수 있는 좌석 수를 확인해 주세요.",
            "Choose at least one seat, and not more than allowed.",
        );
        let max_price = self.max_price.map(|price| price.as_i64().filter(|price| *price >= 0));
        violations.require(
            max_price != Some(None),
            "/maxPrice",
            "out_of_range",
            "가격을 확인해 주세요.",
            "A price is a whole number of KRW, at least 0.",
        );
        violations.into_result()?;
        let quantity = quantity.unwrap_or_default();
        Ok(Adjacent { quantity, section: self.section, max_price: max_price.flatten() })
    }
}

/// Holds the best free seats side by side for five minutes: near the stage and the middle, and so that none is left
/// alone beside them.
///
/// They are chosen where they are held, so whoever is a moment late gets other seats and no refusal. Send an
/// `Idempotency-Key`, and a request that is sent twice holds once.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    post, path = "/api/v1/seats/best", tag = "seats", security(("bearer" = [])), request_body = BestSeatsRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 201, body = SeatsReservedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`not_admitted`", body = ProblemView),
        (status = 404, body = ProblemView,
         description = "`event_not_found`, `no_seats`, `seat_not_found` (no such section)"),
        (status = 409, body = ProblemView,
         description = "`sold_out`, `no_adjacent_seats`, `sale_closed`, `limit_reached`, `idempotency_in_progress`"),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn reserve_best(
    app: Data<App>,
    person: Person,
    language: Language,
    key: IdempotencyKey,
    ticket: QueueTicketHeader,
    body: Json<BestSeatsRequest>,
) -> Outcome<HttpResponse> {
    let buyer = person.0.user_id;
    let attempt = Attempt::new(buyer, ROUTE, key, &*body)?;
    let event_id = body.event_id;
    let choice = body.into_inner().choice(app.config.max_seats_per_reservation)?;
    if let Some(answer) = gate::pass(&app, buyer, event_id, &ticket, &attempt).await? {
        return Ok(answer.into());
    }
    let id = app.ground.clock.id::<ReservationId>();
    let said = (ROUTE, &attempt, SELECTED.in_locale(language.0));
    let hold = Hold::new(id, event_id, buyer, &choice, app.config.terms(), said);
    let answer = hold.run(&*app.ground.pg.conn().await?).await?;
    app.outbox.wake();
    Ok(answer.into())
}
