//! `GET /api/v1/admin/dashboard/stats`.

use actix_web::{HttpResponse, web::Data};
use chassis::{
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use chrono::NaiveDate;
use domain::calendar::LocalDays;
use serde::Serialize;
use utoipa::ToSchema;

use super::{authority::Scope, reservation_store, reservation_view::ManagedReservationView};
use crate::{
    app::App,
    event::catalogue::{sent, written},
};

/// Reservations that a dashboard shows.
const RECENT: i64 = 10;

/// How things stand with the events that somebody runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DashboardView {
    stats: StatsView,
    /// The newest ten.
    recent_reservations: Vec<ManagedReservationView>,
}

/// Figures.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsView {
    total_events: i64,
    /// All there ever were, also those that are over.
    total_reservations: i64,
    /// KRW, of confirmed reservations.
    total_revenue: i64,
    /// Made since midnight in `MARU_TIMEZONE`.
    today_reservations: i64,
}

/// Shows how things stand with the events that somebody runs, at most a second ago.
///
/// **Permissions**: organizers see their own events, admins all.
#[utoipa::path(
    get, path = "/api/v1/admin/dashboard/stats", tag = "admin", security(("bearer" = [])),
    responses(
        (status = 200, body = DashboardView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView)
    )
)]
pub async fn show_dashboard(app: Data<App>, organizer: Organizer) -> Outcome<HttpResponse> {
    let scope = Scope::from(organizer);
    let today = app.ground.clock.now().with_timezone(&app.config.timezone).date_naive();
    let read = async || written(&read(&app, scope, today).await?);
    Ok(sent(app.catalogue.dashboard(scope.organizer(), today, read).await?))
}

async fn read(app: &App, scope: Scope, today: NaiveDate) -> Outcome<DashboardView> {
    let day = LocalDays::of(today, today, app.config.timezone);
    let mut conn = app.ground.pg.conn().await?;
    let figures = reservation_store::figures(&mut conn, scope, day.from, day.until).await?;
    let recent = reservation_store::list_recent(&mut conn, scope, RECENT).await?;
    let recent_reservations = ManagedReservationView::complete(&mut conn, recent).await?;
    let stats = StatsView {
        total_events: figures.events,
        total_reservations: figures.reservations,
        total_revenue: figures.revenue,
        today_reservations: figures.today,
    };
    Ok(DashboardView { stats, recent_reservations })
}
