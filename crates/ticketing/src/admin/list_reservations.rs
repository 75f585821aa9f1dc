//! `GET /api/v1/admin/reservations`.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use chrono_tz::Tz;
use domain::{
    calendar::{LocalDays, parse_date},
    fault::Violations,
    page::Limit,
    seat_hold::ReservationStatus,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    reservation_store::{self, ReservationFilter},
    reservation_view::ManagedReservationView,
};
use crate::{
    app::App,
    event::list::{PaginationView, parse_page},
};

/// Reservations per page when the client does not say.
const LIMIT_DEFAULT: i64 = 20;
/// Most reservations per page.
const LIMIT_MAX: i64 = 100;
/// Where the money of an order can stand.
const PAYMENT_STATUSES: [&str; 4] = ["pending", "completed", "failed", "refunded"];

/// Which reservations, and which page of them; empty parameters count as absent.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ReservationsQuery {
    /// `pending`, `confirmed`, `cancelled` or `expired`.
    #[param(value_type = Option<ReservationStatus>)]
    status: Option<String>,
    /// `pending`, `completed`, `failed` or `refunded`.
    #[serde(alias = "payment_status")]
    payment_status: Option<String>,
    /// Of this event.
    #[serde(alias = "event_id")]
    #[param(value_type = Option<Uuid>)]
    event_id: Option<String>,
    /// Of this person.
    #[serde(alias = "user_id")]
    #[param(value_type = Option<Uuid>)]
    user_id: Option<String>,
    /// A whole reservation number.
    q: Option<String>,
    /// Made on this day or later, in `MARU_TIMEZONE`: `YYYY-MM-DD`.
    #[serde(alias = "start_date")]
    start_date: Option<String>,
    /// Made on this day or earlier.
    #[serde(alias = "end_date")]
    end_date: Option<String>,
    /// From 1.
    page: Option<i64>,
    /// Reservations per page, 1-100, default 20.
    limit: Option<i64>,
}

/// One page of reservations, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManagedReservationsView {
    reservations: Vec<ManagedReservationView>,
    pagination: PaginationView,
}

impl ReservationsQuery {
    fn parse(self, zone: Tz) -> Result<(ReservationFilter, i64, Limit), Violations> {
        let limit = Limit::parse(self.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let mut violations = Violations::new();
        let v = &mut violations;
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let status = given(self.status).and_then(|name| parse_status(&name, "?status", v));
        let payment_status = given(self.payment_status);
        v.require(
            payment_status.as_deref().is_none_or(|name| PAYMENT_STATUSES.contains(&name)),
            "?paymentStatus",
            "unknown",
            "알 수 없는 결제 상태입니다.",
            "There is no such payment status.",
        );
        let event_id = given(self.event_id).and_then(|text| parse_id(&text, "?eventId", v));
        let user_id = given(self.user_id).and_then(|text| parse_id(&text, "?userId", v));
        let start = given(self.start_date).and_then(|text| parse_date(Some(&text), "?startDate", v));
        let end = given(self.end_date).and_then(|text| parse_date(Some(&text), "?endDate", v));
        // A NUL is in no number, and nothing the database would look for.
        let number = given(self.q).map(|text| text.trim().to_uppercase().replace('\0', " "));
        let page = parse_page(self.page, v);
        violations.into_result()?;
        let from = start.map(|day| LocalDays::of(day, day, zone).from);
        let until = end.map(|day| LocalDays::of(day, day, zone).until);
        Ok((ReservationFilter { status, payment_status, event_id, user_id, number, from, until }, page, limit))
    }
}

/// Reads the name of a reservation's status.
pub(super) fn parse_status(name: &str, pointer: &str, violations: &mut Violations) -> Option<ReservationStatus> {
    let all = [
        ReservationStatus::Pending,
        ReservationStatus::Confirmed,
        ReservationStatus::Cancelled,
        ReservationStatus::Expired,
    ];
    let found = all.into_iter().find(|status| status.name() == name);
    violations.require(
        found.is_some(),
        pointer,
        "unknown",
        "pending, confirmed, cancelled, expired 중 하나여야 합니다.",
        "Must be one of pending, confirmed, cancelled, expired.",
    );
    found
}

fn parse_id(text: &str, pointer: &str, violations: &mut Violations) -> Option<Uuid> {
    let id = text.trim().parse().ok();
    violations.require(id.is_some(), pointer, "not_an_id", "올바른 ID가 아닙니다.", "This is not an id.");
    id
}

/// Lists the reservations of the events that somebody runs, newest first.
///
/// **Permissions**: organizers see those of their own events, admins all.
#[utoipa::path(
    get, path = "/api/v1/admin/reservations", tag = "admin", security(("bearer" = [])), params(ReservationsQuery),
    responses(
        (status = 200, body = ManagedReservationsView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn list_reservations(
    app: Data<App>,
    organizer: Organizer,
    query: Query<ReservationsQuery>,
) -> Outcome<HttpResponse> {
    let (filter, page, limit) = query.into_inner().parse(app.config.timezone)?;
    let offset = (page - 1) * limit.rows();
    let mut conn = app.ground.pg.conn().await?;
    let (rows, total) = reservation_store::list(&mut conn, organizer.into(), &filter, limit, offset).await?;
    let reservations = ManagedReservationView::complete(&mut conn, rows).await?;
    let pagination = PaginationView::new(page, limit, total);
    Ok(HttpResponse::Ok().json(ManagedReservationsView { reservations, pagination }))
}
