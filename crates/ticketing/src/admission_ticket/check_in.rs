//! `POST /api/v1/admin/checkin`.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Organizer,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    ids::{EventId, TicketId},
    locale::{Locale, Text},
    payment::{ALREADY_CHECKED_IN, TICKET_NOT_FOUND, TICKET_VOID},
    principal::{Principal, Role},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store::{self, Ticket};
use crate::app::App;

const WELCOME: Text = Text::new("입장이 확인되었습니다.", "Checked in.");

/// What was read at the door.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckInRequest {
    /// The text of a ticket's QR code.
    code: String,
}

/// Somebody has come in.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckedInView {
    /// Always true.
    success: bool,
    /// For people.
    message: &'static str,
    ticket: CheckedInTicketView,
}

/// The ticket they came in with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckedInTicketView {
    id: TicketId,
    event_id: EventId,
    event_title: String,
    reservation_number: String,
    seat_label: Option<String>,
    ticket_type_name: Option<String>,
    checked_in_at: Instant,
}

/// Lets somebody in with a ticket, once.
///
/// **Permissions**: who runs the event, and admins; for other organizers there is no such ticket.
#[utoipa::path(
    post, path = "/api/v1/admin/checkin", tag = "tickets", security(("bearer" = [])), request_body = CheckInRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 200, body = CheckedInView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`ticket_not_found`: forged codes, too", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`already_checked_in` (`checkedInAt` says when), `ticket_void`")
    )
)]
pub async fn check_in(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    key: IdempotencyKey,
    body: Json<CheckInRequest>,
) -> Outcome<HttpResponse> {
    let who = organizer.0;
    let attempt = Attempt::new(who.user_id, "POST /api/v1/admin/checkin", key, &*body)?;
    let mut conn = app.ground.pg.conn().await?;
    let answer = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok(answer);
            }
            let view = let_in(&app, conn, who, &body.code, language.0).await?;
            let answer = Answer::new(StatusCode::OK, &view)?;
            attempt.keep(conn, &answer).await?;
            Ok(answer)
        })
        .await?;
    Ok(answer.into())
}

async fn let_in(
    app: &App,
    conn: &mut AsyncPgConnection,
    who: Principal,
    code: &str,
    locale: Locale,
) -> Outcome<CheckedInView> {
    let code = app.codes.read(code).ok_or(TICKET_NOT_FOUND)?;
    let ticket = store::find_for_entry(conn, code.ticket_id, code.event_id).await?.ok_or(TICKET_NOT_FOUND)?;
    if who.role < Role::Admin && ticket.organizer_id != who.user_id.0 {
        return Err(TICKET_NOT_FOUND.into());
    }
    if !ticket.is_good() {
        return Err(TICKET_VOID.into());
    }
    let Some(used_at) = store::use_once(conn, ticket.id()).await? else {
        let used_at = store::find_use(conn, ticket.id()).await?;
        return Err(Problem::from(ALREADY_CHECKED_IN).with("checkedInAt", used_at.map(Instant)));
    };
    Ok(welcome(ticket, used_at.into(), locale))
}

fn welcome(ticket: Ticket, checked_in_at: Instant, locale: Locale) -> CheckedInView {
    CheckedInView {
        success: true,
        message: WELCOME.in_locale(locale),
        ticket: CheckedInTicketView {
            id: ticket.id(),
            event_id: ticket.event(),
            event_title: ticket.title,
            reservation_number: ticket.reservation_number,
            seat_label: ticket.seat_label,
            ticket_type_name: ticket.ticket_type_name,
            checked_in_at,
        },
    }
}
