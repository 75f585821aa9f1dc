//! `PUT /api/v1/admin/events/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    edge::Language,
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use chrono_tz::Tz;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    catalogue::{EVENT_CANCELLED, parse_moment},
    fault::Violations,
    ids::EventId,
    locale::Text,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    authority::Scope,
    create_event::EventChangedView,
    event_fields::{self, EventFields},
    fields::{given, given_id, not_null},
    store::{self, EventRow},
};
use crate::{app::App, event::show::EventDetailView};

const CHANGED: Text = Text::new("이벤트가 수정되었습니다.", "The event is changed.");

/// What is to be changed of an event; what is left out stays. A `null` or an empty text takes away what an event need
/// not have. Names may also be written in snake_case.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(clippy::option_option, reason = "a `null` is something else than a field that is not there")]
pub struct UpdateEventRequest {
    /// 1-200 characters, without the spaces around it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    title: Option<Option<String>>,
    /// At most 5,000 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// 1-200 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    venue: Option<Option<String>>,
    /// At most 300 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    address: Option<Option<String>>,
    /// At most 200 characters.
    #[serde(default, alias = "artist_name", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    artist_name: Option<Option<String>>,
    /// When it takes place: RFC 3339, or without an offset as clocks in `MARU_TIMEZONE` show it.
    #[serde(default, alias = "event_date", deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    event_date: Option<Option<String>>,
    /// When the sale begins.
    #[serde(default, alias = "sale_start_date", deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    sale_start_date: Option<Option<String>>,
    /// When the sale ends.
    #[serde(default, alias = "sale_end_date", deserialize_with = "given")]
    #[schema(value_type = Option<String>, nullable = false)]
    sale_end_date: Option<Option<String>>,
    /// An http or https address.
    #[serde(default, alias = "poster_image_url", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    poster_image_url: Option<Option<String>>,
    /// Another layout takes all seats away and makes new ones: only while nobody has ordered one.
    #[serde(default, alias = "seat_layout_id", deserialize_with = "given_id")]
    #[schema(value_type = Option<Uuid>)]
    seat_layout_id: Option<Option<Uuid>>,
}

impl UpdateEventRequest {
    /// Returns the event as it is to be.
    fn apply(self, row: EventRow, zone: Tz) -> Result<EventFields, Violations> {
        let mut violations = Violations::new();
        let v = &mut violations;
        let title = not_null(self.title, "/title", v).and_then(|text| event_fields::name(&text, "/title", v));
        let venue = not_null(self.venue, "/venue", v).and_then(|text| event_fields::name(&text, "/venue", v));
        let mut moment = |text: Option<Option<String>>, pointer: &str| {
            not_null(text, pointer, v).and_then(|text| parse_moment(&text, zone, pointer, v))
        };
        let event_date = moment(self.event_date, "/eventDate");
        let sale_start_date = moment(self.sale_start_date, "/saleStartDate");
        let sale_end_date = moment(self.sale_end_date, "/saleEndDate");
        let mut optional = |new: Option<Option<String>>, read: fn(&str, &mut Violations) -> Option<String>, old| {
            new.map_or(old, |text| text.and_then(|text| read(&text, &mut violations)))
        };
        let fields = EventFields {
            description: optional(self.description, event_fields::description, row.description),
            artist_name: optional(self.artist_name, event_fields::artist, row.artist_name),
            address: optional(self.address, event_fields::address, row.address),
            poster_image_url: optional(self.poster_image_url, event_fields::poster, row.poster_image_url),
            title: title.unwrap_or(row.title),
            venue: venue.unwrap_or(row.venue),
            event_date: event_date.unwrap_or(row.event_date),
            sale_start_date: sale_start_date.unwrap_or(row.sale_start_date),
            sale_end_date: sale_end_date.unwrap_or(row.sale_end_date),
            seat_layout_id: self.seat_layout_id.unwrap_or(row.seat_layout_id),
        };
        fields.check_dates(&mut violations);
        violations.into_result()?;
        Ok(fields)
    }
}

/// Changes an event.
///
/// **Permissions**: its organizer, and admins; for other organizers it is not there.
#[utoipa::path(
    put, path = "/api/v1/admin/events/{event_id}", tag = "admin", security(("bearer" = [])),
    params(("event_id" = EventId, Path)), request_body = UpdateEventRequest,
    responses(
        (status = 200, body = EventChangedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`event_not_found`, `layout_not_found`", body = ProblemView),
        (status = 409, description = "`event_cancelled`, `seats_ordered`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn update_event(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    event_id: Path<EventId>,
    body: Json<UpdateEventRequest>,
) -> Outcome<HttpResponse> {
    let (id, scope) = (*event_id, Scope::from(organizer));
    let mut conn = app.ground.pg.conn().await?;
    let detail = conn
        .transaction(async |conn| {
            change(&app, conn, scope, id, body.into_inner()).await?;
            EventDetailView::read(conn, id).await
        })
        .await?;
    app.changed(id);
    Ok(HttpResponse::Ok().json(EventChangedView::new(CHANGED.in_locale(language.0), detail)))
}

async fn change(
    app: &App,
    conn: &mut AsyncPgConnection,
    scope: Scope,
    id: EventId,
    request: UpdateEventRequest,
) -> Outcome<()> {
    let row = store::lock_event(conn, scope, id).await?;
    if row.cancelled_at.is_some() {
        return Err(EVENT_CANCELLED.into());
    }
    let hall = row.seat_layout_id;
    let fields = request.apply(row, app.config.timezone)?;
    if let Some(layout) = fields.seat_layout_id {
        store::check_layout(conn, layout).await?;
    }
    let moves = fields.seat_layout_id != hall;
    if moves && hall.is_some() {
        store::delete_seats(conn, id).await?;
    }
    store::update_event(conn, id, &fields).await?;
    if let Some(layout) = fields.seat_layout_id.filter(|_| moves) {
        store::make_seats(conn, id, layout, || app.ground.clock.id()).await?;
    }
    store::tell(conn, &app.outbox, id).await
}
