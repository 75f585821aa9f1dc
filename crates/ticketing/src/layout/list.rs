//! `GET /api/v1/seats/layouts`.

use actix_web::{
    HttpResponse,
    web::{Data, Query},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use domain::page::{Limit, parse_offset};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::store::{self, Layout};
use crate::app::App;

/// Layouts when the client does not say how many.
const LIMIT_DEFAULT: i64 = 100;
/// Most layouts of one answer; a hundred sections each.
const LIMIT_MAX: i64 = 200;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LayoutsQuery {
    /// 1-200, default 100.
    limit: Option<i64>,
    /// How many to leave out.
    offset: Option<i64>,
}

/// Layouts, newest first; `X-Total-Count` says how many there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutsView {
    layouts: Vec<LayoutEntryView>,
}

/// A layout.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutEntryView {
    id: Uuid,
    name: String,
    description: Option<String>,
    total_seats: i32,
    /// `{"sections": [{"name", "rows", "seatsPerRow", "price", "startRow"}]}`
    #[schema(value_type = Object)]
    layout_config: Value,
}

impl From<Layout> for LayoutEntryView {
    fn from(layout: Layout) -> Self {
        Self {
            id: layout.id,
            name: layout.name,
            description: layout.description,
            total_seats: layout.total_seats,
            layout_config: layout.layout_config,
        }
    }
}

/// Lists the layouts of halls.
#[utoipa::path(
    get, path = "/api/v1/seats/layouts", tag = "seats", params(LayoutsQuery),
    responses((status = 200, body = LayoutsView), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn list_layouts(app: Data<App>, _caller: Anyone, query: Query<LayoutsQuery>) -> Outcome<HttpResponse> {
    let limit = Limit::parse(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let offset = parse_offset(query.offset)?;
    let mut conn = app.ground.pg.conn().await?;
    let (layouts, total) = store::list(&mut conn, limit, offset).await?;
    let layouts = layouts.into_iter().map(LayoutEntryView::from).collect();
    Ok(HttpResponse::Ok().insert_header(("x-total-count", total.to_string())).json(LayoutsView { layouts }))
}
