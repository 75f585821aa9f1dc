//! `PUT /api/v1/admin/tickets/{ticket_type_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    edge::Language,
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    catalogue::{EVENT_CANCELLED, parse_description},
    fault::Violations,
    ids::{EventId, TicketTypeId},
    locale::Text,
};
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::{
    authority::Scope,
    create_ticket_type::TicketTypeChangedView,
    fields::{given, not_null},
    stock,
    store::{self, TicketTypeRow},
    ticket_type_fields::{self, TicketTypeFields},
};
use crate::app::App;

const CHANGED: Text = Text::new("티켓 종류가 수정되었습니다.", "The ticket type is changed.");

/// What is to be changed of a ticket type; what is left out stays. A `null` takes the description away. Names may also
/// be written in snake_case.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(clippy::option_option, reason = "a `null` is something else than a field that is not there")]
pub struct UpdateTicketTypeRequest {
    /// 1-50 characters, different from the event's other ticket types.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    name: Option<Option<String>>,
    /// KRW, 0-100,000,000. What was ordered before keeps its price.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, nullable = false)]
    price: Option<Option<Number>>,
    /// How many there are, 0-1,000,000, and not fewer than are sold or held.
    #[serde(default, alias = "total_quantity", deserialize_with = "given")]
    #[schema(value_type = Option<i64>, nullable = false)]
    total_quantity: Option<Option<Number>>,
    /// At most 5,000 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
}

impl UpdateTicketTypeRequest {
    /// Returns the ticket type as it is to be.
    fn apply(self, row: TicketTypeRow) -> Result<TicketTypeFields, Violations> {
        let mut violations = Violations::new();
        let v = &mut violations;
        let name = not_null(self.name, "/name", v).and_then(|name| ticket_type_fields::name(&name, "/name", v));
        let price = not_null(self.price, "/price", v).and_then(|n| ticket_type_fields::price(&n, "/price", v));
        let total = not_null(self.total_quantity, "/totalQuantity", v);
        let total = total.and_then(|number| ticket_type_fields::quantity(&number, "/totalQuantity", v));
        let description = self
            .description
            .map_or(row.description, |text| text.and_then(|text| parse_description(&text, "/description", v)));
        violations.into_result()?;
        Ok(TicketTypeFields {
            name: name.unwrap_or(row.name),
            description,
            price: price.unwrap_or(row.price),
            total_quantity: total.unwrap_or(row.total_quantity),
        })
    }
}

/// Changes a ticket type. What is added to it goes to those on its waiting list first.
///
/// **Permissions**: the event's organizer, and admins; for other organizers it is not there.
#[utoipa::path(
    put, path = "/api/v1/admin/tickets/{ticket_type_id}", tag = "admin", security(("bearer" = [])),
    params(("ticket_type_id" = TicketTypeId, Path)), request_body = UpdateTicketTypeRequest,
    responses(
        (status = 200, body = TicketTypeChangedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`ticket_type_not_found`", body = ProblemView),
        (status = 409, description = "`stock_below_sold`, `ticket_type_exists`, `event_cancelled`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn update_ticket_type(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    ticket_type_id: Path<TicketTypeId>,
    body: Json<UpdateTicketTypeRequest>,
) -> Outcome<HttpResponse> {
    let (id, scope) = (*ticket_type_id, Scope::from(organizer));
    let message = CHANGED.in_locale(language.0);
    let mut conn = app.ground.pg.conn().await?;
    let (event, view) = conn
        .transaction(async |conn| {
            let event = change(&app, conn, scope, id, body.into_inner()).await?;
            Outcome::Ok((event, TicketTypeChangedView::read(conn, id, message).await?))
        })
        .await?;
    app.changed(event);
    Ok(HttpResponse::Ok().json(view))
}

async fn change(
    app: &App,
    conn: &mut AsyncPgConnection,
    scope: Scope,
    id: TicketTypeId,
    request: UpdateTicketTypeRequest,
) -> Outcome<EventId> {
    let event = EventId(store::find_ticket_type(conn, scope, id).await?.event_id);
    // Changes of one event go one after the other, so what is left out stays as the last of them made it.
    if store::lock_event(conn, scope, event).await?.cancelled_at.is_some() {
        return Err(EVENT_CANCELLED.into());
    }
    let row = store::find_ticket_type(conn, scope, id).await?;
    let before = row.total_quantity;
    let fields = request.apply(row)?;
    store::tell(conn, &app.outbox, event).await?;
    // Late: this is the row that everybody who buys waits for.
    store::update_ticket_type(conn, id, &fields).await?;
    if fields.total_quantity != before {
        stock::tell(conn, &app.outbox, id).await?;
    }
    if fields.total_quantity > before {
        stock::offer(conn, id).await?;
    }
    Ok(event)
}
