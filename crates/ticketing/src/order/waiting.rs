//! The waiting list of a ticket type that is sold out: `/api/v1/reservations/waiting-list`.
//!
//! Tickets that come back are offered in the order in which people came: whoever gives them back makes, in the same
//! transaction, a reservation for the first who fits, and a notice tells that person. An offer is a reservation like any
//! other; one that is not paid for in time goes to the next.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    edge::Language,
    pg::Pg,
    prepared::Prepare,
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Double, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, TicketTypeId, UserId},
    locale::Text as Sentence,
    seat_hold::{EVENT_NOT_FOUND, SALE_CLOSED, TICKET_TYPE_NOT_FOUND},
    ticket_order::{Basket, LIMIT_REACHED, NOT_WAITING, STILL_AVAILABLE},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;

const JOINED: Sentence = Sentence::new("대기자 명단에 등록되었습니다.", "You are on the waiting list.");
const LEFT: Sentence = Sentence::new("대기자 명단에서 빠졌습니다.", "You have left the waiting list.");

/// What somebody waits for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JoinWaitingListRequest {
    event_id: EventId,
    ticket_type_id: TicketTypeId,
    /// 1 to 10.
    #[schema(value_type = i32, minimum = 1, maximum = 10)]
    quantity: Number,
}

/// A place in line.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingView {
    #[diesel(sql_type = SqlUuid)]
    event_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    ticket_type_id: Uuid,
    #[diesel(sql_type = Text)]
    ticket_type_name: String,
    #[diesel(sql_type = Integer)]
    quantity: i32,
    /// From 1.
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Timestamptz)]
    #[serde(serialize_with = "on_the_wire")]
    #[schema(value_type = Instant)]
    created_at: DateTime<Utc>,
}

fn on_the_wire<S: serde::Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    Instant(*at).serialize(serializer)
}

/// One's place in a line.
#[derive(Debug, Serialize, ToSchema)]
pub struct JoinedView {
    /// For people.
    message: &'static str,
    waiting: WaitingView,
}

/// One's places in all lines.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingListView {
    waiting: Vec<WaitingView>,
}

/// A line that was left.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeftView {
    /// For people.
    message: &'static str,
}

/// Waits for tickets of a type of which there are not enough. Who waits already keeps their place and what they wait for.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    post, path = "/api/v1/reservations/waiting-list", tag = "reservations", security(("bearer" = [])),
    request_body = JoinWaitingListRequest,
    responses(
        (status = 201, body = JoinedView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`event_not_found`, `ticket_type_not_found`", body = ProblemView),
        (status = 409, description = "`still_available`, `sale_closed`, `limit_reached`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn join(
    app: Data<App>,
    person: Person,
    language: Language,
    body: Json<JoinWaitingListRequest>,
) -> Outcome<HttpResponse> {
    let most = app.config.max_tickets_per_reservation;
    let quantity = Basket::parse_quantity(body.quantity.as_i64(), most)?;
    let mut conn = app.ground.pg.conn().await?;
    let Told { told } = sql_query("SELECT join_waiting_list($1, $2, $3, $4, $5, $6) AS told")
        .bind::<SqlUuid, _>(body.event_id.0)
        .bind::<SqlUuid, _>(body.ticket_type_id.0)
        .bind::<SqlUuid, _>(person.0.user_id.0)
        .bind::<Integer, _>(quantity)
        .bind::<Double, _>(app.config.hold_ttl.as_secs_f64())
        .bind::<Integer, _>(i32::try_from(app.config.max_per_user_event).unwrap_or(i32::MAX))
        .prepared()
        .get_result(&mut conn)
        .await?;
    match told.as_str() {
        "waiting" => {}
        "event_not_found" => return Err(EVENT_NOT_FOUND.into()),
        "ticket_type_not_found" => return Err(TICKET_TYPE_NOT_FOUND.into()),
        "sale_closed" => return Err(SALE_CLOSED.into()),
        "limit_reached" => return Err(LIMIT_REACHED.into()),
        "still_available" => return Err(STILL_AVAILABLE.into()),
        other => return Err(Problem::unexpected(format!("join_waiting_list returned {other}"))),
    }
    let places = places(&mut conn, person.0.user_id).await?;
    let own = places.into_iter().find(|place| place.ticket_type_id == body.ticket_type_id.0);
    // Whoever was offered tickets in this very moment has a reservation instead.
    let waiting = own.ok_or(STILL_AVAILABLE)?;
    Ok(HttpResponse::Created().json(JoinedView { message: JOINED.in_locale(language.0), waiting }))
}

/// Shows what one waits for, and how many are ahead.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/api/v1/reservations/waiting-list", tag = "reservations", security(("bearer" = [])),
    responses((status = 200, body = WaitingListView), (status = 401, body = ProblemView))
)]
pub async fn show(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let waiting = places(&mut *app.ground.pg.conn().await?, person.0.user_id).await?;
    Ok(HttpResponse::Ok().json(WaitingListView { waiting }))
}

/// Waits no longer.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    delete, path = "/api/v1/reservations/waiting-list/{ticket_type_id}", tag = "reservations",
    security(("bearer" = [])), params(("ticket_type_id" = TicketTypeId, Path)),
    responses(
        (status = 200, body = LeftView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`not_waiting`", body = ProblemView)
    )
)]
pub async fn leave(
    app: Data<App>,
    person: Person,
    language: Language,
    ticket_type_id: Path<TicketTypeId>,
) -> Outcome<HttpResponse> {
    let left = sql_query("DELETE FROM waiting_list WHERE user_id = $1 AND ticket_type_id = $2")
        .bind::<SqlUuid, _>(person.0.user_id.0)
        .bind::<SqlUuid, _>(ticket_type_id.0)
        .execute(&mut *app.ground.pg.conn().await?)
        .await?;
    if left == 0 {
        return Err(NOT_WAITING.into());
    }
    Ok(HttpResponse::Ok().json(LeftView { message: LEFT.in_locale(language.0) }))
}

/// Offers what is free and waited for; returns how many reservations that made.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn offer(pg: &Pg) -> Outcome<i32> {
    let Offered { offered } = sql_query("SELECT coalesce(offer_waiting(), 0) AS offered")
        .prepared()
        .get_result(&mut *pg.conn().await?)
        .await?;
    Ok(offered)
}

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Text)]
    told: String,
}

#[derive(QueryableByName)]
struct Offered {
    #[diesel(sql_type = Integer)]
    offered: i32,
}

async fn places(conn: &mut AsyncPgConnection, user: UserId) -> Outcome<Vec<WaitingView>> {
    let places = sql_query(
        "SELECT w.event_id, w.ticket_type_id, t.name AS ticket_type_name, w.quantity, w.created_at, \
         (SELECT count(*) FROM waiting_list a WHERE a.ticket_type_id = w.ticket_type_id AND a.place <= w.place) AS position \
         FROM waiting_list w JOIN ticket_types t ON t.id = w.ticket_type_id WHERE w.user_id = $1 ORDER BY w.place",
    );
    Ok(places.bind::<SqlUuid, _>(user.0).prepared().load(conn).await?)
}
