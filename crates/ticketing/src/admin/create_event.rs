//! `POST /api/v1/admin/events`.

use std::collections::HashSet;

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use chrono_tz::Tz;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    catalogue::{TICKET_TYPES_MAX, parse_moment},
    fault::Violations,
    ids::{EventId, TicketTypeId, UserId},
    locale::Text,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    event_fields::{self, EventFields},
    fields::id_or_empty,
    store,
    ticket_type_fields::{TicketTypeFields, TicketTypeRequest},
};
use crate::{app::App, event::show::EventDetailView};

const CREATED: Text = Text::new("이벤트가 생성되었습니다.", "The event is there.");

/// An event that somebody puts on. Names may also be written in snake_case.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CreateEventRequest {
    /// 1-200 characters, without the spaces around it.
    title: String,
    /// At most 5,000 characters.
    description: Option<String>,
    /// 1-200 characters.
    venue: String,
    /// At most 300 characters.
    address: Option<String>,
    /// At most 200 characters.
    #[serde(alias = "artist_name")]
    artist_name: Option<String>,
    /// When it takes place: RFC 3339, or without an offset as clocks in `MARU_TIMEZONE` show it.
    #[serde(alias = "event_date")]
    #[schema(example = "2026-12-25T18:00")]
    event_date: String,
    /// When the sale begins.
    #[serde(alias = "sale_start_date")]
    sale_start_date: String,
    /// When the sale ends.
    #[serde(alias = "sale_end_date")]
    sale_end_date: String,
    /// An http or https address.
    #[serde(alias = "poster_image_url")]
    poster_image_url: Option<String>,
    /// Numbered seats: those of this layout are made for the event.
    #[serde(default, alias = "seat_layout_id", deserialize_with = "id_or_empty")]
    seat_layout_id: Option<Uuid>,
    /// What is sold by quantity, at most 50.
    #[serde(default, alias = "ticket_types")]
    ticket_types: Vec<TicketTypeRequest>,
}

/// An event after a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventChangedView {
    /// For people.
    message: &'static str,
    #[serde(flatten)]
    detail: EventDetailView,
}

impl EventChangedView {
    pub(super) const fn new(message: &'static str, detail: EventDetailView) -> Self {
        Self { message, detail }
    }
}

struct Draft {
    fields: EventFields,
    ticket_types: Vec<TicketTypeFields>,
}

impl CreateEventRequest {
    fn parse(self, zone: Tz) -> Result<Draft, Violations> {
        let mut violations = Violations::new();
        let v = &mut violations;
        let title = event_fields::name(&self.title, "/title", v);
        let description = self.description.and_then(|text| event_fields::description(&text, v));
        let venue = event_fields::name(&self.venue, "/venue", v);
        let address = self.address.and_then(|text| event_fields::address(&text, v));
        let artist_name = self.artist_name.and_then(|text| event_fields::artist(&text, v));
        let event_date = parse_moment(&self.event_date, zone, "/eventDate", v);
        let sale_start_date = parse_moment(&self.sale_start_date, zone, "/saleStartDate", v);
        let sale_end_date = parse_moment(&self.sale_end_date, zone, "/saleEndDate", v);
        let poster_image_url = self.poster_image_url.and_then(|text| event_fields::poster(&text, v));
        let ticket_types = parse_ticket_types(&self.ticket_types, v);
        let whole = (title, venue, event_date, sale_start_date, sale_end_date);
        let (Some(title), Some(venue), Some(event_date), Some(sale_start_date), Some(sale_end_date)) = whole else {
            // Every parser records a violation whenever it returns nothing.
            return Err(violations);
        };
        let seat_layout_id = self.seat_layout_id;
        let fields = EventFields {
            title,
            description,
            artist_name,
            venue,
            address,
            event_date,
            sale_start_date,
            sale_end_date,
            poster_image_url,
            seat_layout_id,
        };
        fields.check_dates(&mut violations);
        violations.into_result()?;
        Ok(Draft { fields, ticket_types })
    }
}

fn parse_ticket_types(requests: &[TicketTypeRequest], violations: &mut Violations) -> Vec<TicketTypeFields> {
    if requests.len() > TICKET_TYPES_MAX {
        violations.add(
            "/ticketTypes",
            "too_many",
            "티켓 종류는 50개까지 만들 수 있습니다.",
            "An event has at most 50 ticket types.",
        );
        return Vec::new();
    }
    let mut names = HashSet::new();
    let mut types = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let at = format!("/ticketTypes/{index}");
        let Some(fields) = TicketTypeFields::parse(request, &at, violations) else { continue };
        violations.require(
            names.insert(fields.name.clone()),
            format!("{at}/name"),
            "duplicate",
            "같은 이름의 티켓 종류가 있습니다.",
            "This event has a ticket type of that name.",
        );
        types.push(fields);
    }
    types
}

/// Puts an event on, with its seats and ticket types.
///
/// **Permissions**: organizers and admins.
#[utoipa::path(
    post, path = "/api/v1/admin/events", tag = "admin", security(("bearer" = [])), request_body = CreateEventRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 201, body = EventChangedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`layout_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn create_event(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    key: IdempotencyKey,
    body: Json<CreateEventRequest>,
) -> Outcome<HttpResponse> {
    let person = organizer.0.user_id;
    let attempt = Attempt::new(person, "POST /api/v1/admin/events", key, &*body)?;
    let draft = body.into_inner().parse(app.config.timezone)?;
    let message = CREATED.in_locale(language.0);
    let id: EventId = app.ground.clock.id();
    let mut conn = app.ground.pg.conn().await?;
    let answer = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok(answer);
            }
            make(&app, conn, id, person, draft).await?;
            let detail = EventDetailView::read(conn, id).await?;
            let answer = Answer::created(&EventChangedView::new(message, detail))?;
            attempt.keep(conn, &answer).await?;
            Ok(answer)
        })
        .await?;
    app.changed(id);
    Ok(answer.into())
}

async fn make(app: &App, conn: &mut AsyncPgConnection, id: EventId, person: UserId, draft: Draft) -> Outcome<()> {
    if let Some(layout) = draft.fields.seat_layout_id {
        store::check_layout(conn, layout).await?;
    }
    store::insert_event(conn, id, person, &draft.fields).await?;
    if let Some(layout) = draft.fields.seat_layout_id {
        store::make_seats(conn, id, layout, || app.ground.clock.id()).await?;
    }
    if !draft.ticket_types.is_empty() {
        let new_id = |fields| (app.ground.clock.id::<TicketTypeId>(), fields);
        let types: Vec<_> = draft.ticket_types.into_iter().map(new_id).collect();
        store::insert_ticket_types(conn, id, &types).await?;
    }
    store::tell(conn, &app.outbox, id).await
}
