//! `GET /api/v1/events`.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use domain::{fault::Violations, page::Limit, seat_hold::EventStatus, time::Instant};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    catalogue::{sent, written},
    store::{self, Filter, Listing},
    words::Words,
};
use crate::app::App;

/// Events per page when the client does not say.
const LIMIT_DEFAULT: i64 = 10;
/// Most events per page.
const LIMIT_MAX: i64 = 100;
/// Last page that can be asked for: skipping rows costs as much as reading them, and nobody turns so many pages.
const PAGE_MAX: i64 = 10_000;

/// Which events, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// `upcoming`, `on_sale`, `sold_out`, `ended` or `cancelled`.
    #[param(value_type = Option<EventStatus>)]
    status: Option<String>,
    /// Words that all stand in the title, artist, venue or address.
    q: Option<String>,
    /// From 1.
    page: Option<i64>,
    /// Events per page, 1-100, default 10.
    limit: Option<i64>,
}

/// One page of events.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsView {
    events: Vec<EventSummaryView>,
    pagination: PaginationView,
}

/// Where a page is among the others.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaginationView {
    page: i64,
    limit: i64,
    /// Events on all pages.
    total: i64,
    #[serde(rename = "totalPages")]
    total_pages: i64,
}

impl PaginationView {
    /// Describes a page of a list of `total`.
    pub(crate) const fn new(page: i64, limit: Limit, total: i64) -> Self {
        let limit = limit.rows();
        Self { page, limit, total, total_pages: (total + limit - 1) / limit }
    }
}

/// An event in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventSummaryView {
    id: Uuid,
    title: String,
    description: Option<String>,
    artist_name: Option<String>,
    venue: String,
    address: Option<String>,
    event_date: Instant,
    sale_start_date: Instant,
    sale_end_date: Instant,
    poster_image_url: Option<String>,
    status: EventStatus,
    /// KRW; absent when nothing is for sale.
    min_price: Option<i64>,
    /// KRW; absent when nothing is for sale.
    max_price: Option<i64>,
    ticket_type_count: i64,
}

impl From<Listing> for EventSummaryView {
    fn from(event: Listing) -> Self {
        let status = event.status();
        Self {
            id: event.id,
            title: event.title,
            description: event.description,
            artist_name: event.artist_name,
            venue: event.venue,
            address: event.address,
            event_date: event.event_date.into(),
            sale_start_date: event.sale_start_date.into(),
            sale_end_date: event.sale_end_date.into(),
            poster_image_url: event.poster_image_url,
            status,
            min_price: event.min_price,
            max_price: event.max_price,
            ticket_type_count: event.ticket_type_count,
        }
    }
}

/// Which page of which events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Search {
    filter: Filter,
    page: i64,
    limit: Limit,
}

impl TryFrom<EventsQuery> for Search {
    type Error = Violations;

    fn try_from(query: EventsQuery) -> Result<Self, Violations> {
        let limit = Limit::parse(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let mut violations = Violations::new();
        // Forms send empty fields for what nobody has chosen.
        let asked = query.status.filter(|status| !status.is_empty());
        let status = asked.as_deref().and_then(EventStatus::parse);
        violations.require(
            asked.is_none() || status.is_some(),
            "?status",
            "unknown",
            "알 수 없는 이벤트 상태입니다.",
            "There is no such event status.",
        );
        let words = query.q.and_then(|text| Words::parse(&text, &mut violations));
        let page = parse_page(query.page, &mut violations);
        violations.into_result()?;
        Ok(Self { filter: Filter { status, words }, page, limit })
    }
}

/// Reads `?page=`, from 1.
pub(crate) fn parse_page(asked: Option<i64>, violations: &mut Violations) -> i64 {
    let page = asked.unwrap_or(1);
    violations.require(
        (1..=PAGE_MAX).contains(&page),
        "?page",
        "out_of_range",
        "page 값이 허용 범위를 벗어났습니다.",
        "The page is outside the allowed range.",
    );
    page
}

/// Lists events, those whose sale began first at the top.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", params(EventsQuery),
    responses((status = 200, body = EventsView), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn list_events(app: Data<App>, _caller: Anyone, query: Query<EventsQuery>) -> Outcome<HttpResponse> {
    let search = Search::try_from(query.into_inner())?;
    let answer = app.catalogue.list(search.clone(), async || written(&read(&app, &search).await?)).await?;
    Ok(sent(answer))
}

async fn read(app: &App, search: &Search) -> Outcome<EventsView> {
    let Search { filter, page, limit } = search;
    let mut conn = app.ground.pg.conn().await?;
    let (events, total) = store::list(&mut conn, filter, *limit, (page - 1) * limit.rows()).await?;
    let pagination = PaginationView::new(*page, *limit, total);
    Ok(EventsView { events: events.into_iter().map(EventSummaryView::from).collect(), pagination })
}
