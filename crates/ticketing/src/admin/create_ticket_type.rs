//! `POST /api/v1/admin/events/{event_id}/tickets`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    edge::Language,
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Organizer,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    catalogue::{EVENT_CANCELLED, TICKET_TYPES_MAX, TOO_MANY_TICKET_TYPES},
    fault::Violations,
    ids::{EventId, TicketTypeId},
    locale::Text,
    seat_hold::TICKET_TYPE_NOT_FOUND,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    authority::Scope,
    stock, store,
    ticket_type_fields::{TicketTypeFields, TicketTypeRequest},
};
use crate::{
    app::App,
    ticket::{self, TicketTypeView},
};

const CREATED: Text = Text::new("티켓 종류가 생성되었습니다.", "The ticket type is there.");

/// A ticket type after a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketTypeChangedView {
    /// For people.
    message: &'static str,
    ticket_type: TicketTypeView,
}

impl TicketTypeChangedView {
    pub(super) async fn read(conn: &mut AsyncPgConnection, id: TicketTypeId, message: &'static str) -> Outcome<Self> {
        let found = ticket::store::find(conn, id.0).await?.ok_or_else(|| Problem::from(TICKET_TYPE_NOT_FOUND))?;
        Ok(Self { message, ticket_type: found.into() })
    }
}

/// Puts another kind of ticket on sale.
///
/// **Permissions**: the event's organizer, and admins; for other organizers it is not there.
#[utoipa::path(
    post, path = "/api/v1/admin/events/{event_id}/tickets", tag = "admin", security(("bearer" = [])),
    params(
        ("event_id" = EventId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")
    ),
    request_body = TicketTypeRequest,
    responses(
        (status = 201, body = TicketTypeChangedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`event_cancelled`, `ticket_type_exists`, `too_many_ticket_types`"),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn create_ticket_type(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    key: IdempotencyKey,
    event_id: Path<EventId>,
    body: Json<TicketTypeRequest>,
) -> Outcome<HttpResponse> {
    let (event, scope) = (*event_id, Scope::from(organizer));
    let asked = (event, &*body);
    let attempt = Attempt::new(organizer.0.user_id, "POST /api/v1/admin/events/{event_id}/tickets", key, &asked)?;
    let mut violations = Violations::new();
    let fields = TicketTypeFields::parse(&body, "", &mut violations);
    violations.into_result()?;
    // The parser records a violation whenever it returns nothing.
    let fields = fields.ok_or_else(Violations::new)?;
    let message = CREATED.in_locale(language.0);
    let id: TicketTypeId = app.ground.clock.id();
    let mut conn = app.ground.pg.conn().await?;
    let answer = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok(answer);
            }
            make(&app, conn, scope, event, (id, fields)).await?;
            let answer = Answer::created(&TicketTypeChangedView::read(conn, id, message).await?)?;
            attempt.keep(conn, &answer).await?;
            Ok(answer)
        })
        .await?;
    app.changed(event);
    Ok(answer.into())
}

async fn make(
    app: &App,
    conn: &mut AsyncPgConnection,
    scope: Scope,
    event: EventId,
    new: (TicketTypeId, TicketTypeFields),
) -> Outcome<()> {
    // Under the event's lock nobody else makes one too many.
    let row = store::lock_event(conn, scope, event).await?;
    if row.cancelled_at.is_some() {
        return Err(EVENT_CANCELLED.into());
    }
    let most = i64::try_from(TICKET_TYPES_MAX).unwrap_or(i64::MAX);
    if store::count_ticket_types(conn, event).await? >= most {
        return Err(TOO_MANY_TICKET_TYPES.into());
    }
    let id = new.0;
    store::insert_ticket_types(conn, event, &[new]).await?;
    stock::tell(conn, &app.outbox, id).await?;
    store::tell(conn, &app.outbox, event).await
}
