//! The rows of layouts.

use chassis::problem::{Outcome, Problem};
use diesel::{ExpressionMethods, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::page::Limit;
use serde_json::Value;
use uuid::Uuid;

use crate::{schema::seat_layouts, seat::layout::LayoutConfig};

/// A layout.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = seat_layouts, check_for_backend(diesel::pg::Pg))]
#[expect(clippy::struct_field_names, reason = "named as the columns are")]
pub(super) struct Layout {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) total_seats: i32,
    pub(super) layout_config: Value,
}

/// A layout that is to be made.
#[derive(Debug)]
pub(super) struct NewLayout {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) total_seats: i32,
    pub(super) config: LayoutConfig,
}

/// Lists layouts, newest first, and says how many there are.
pub(super) async fn list(conn: &mut AsyncPgConnection, limit: Limit, offset: i64) -> Outcome<(Vec<Layout>, i64)> {
    let page = seat_layouts::table
        .order((seat_layouts::created_at.desc(), seat_layouts::id.desc()))
        .limit(limit.rows())
        .offset(offset)
        .select(Layout::as_select())
        .load(conn)
        .await?;
    Ok((page, seat_layouts::table.count().get_result(conn).await?))
}

/// Writes a layout.
pub(super) async fn insert(conn: &mut AsyncPgConnection, new: &NewLayout) -> Outcome<Layout> {
    let row = (
        seat_layouts::id.eq(new.id),
        seat_layouts::name.eq(&new.name),
        seat_layouts::description.eq(&new.description),
        seat_layouts::total_seats.eq(new.total_seats),
        seat_layouts::layout_config.eq(serde_json::to_value(&new.config).map_err(Problem::unexpected)?),
    );
    let inserted = diesel::insert_into(seat_layouts::table).values(row).returning(Layout::as_returning());
    Ok(inserted.get_result(conn).await?)
}
