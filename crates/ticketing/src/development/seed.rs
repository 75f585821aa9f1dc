//! The demo events.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{ExpressionMethods, query_dsl::methods::FilterDsl, upsert::excluded};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{demo, ids::EventId};

use super::programme::{self, DemoEvent, PROGRAMME};
use crate::{
    app::App,
    schema::{events, seat_layouts, ticket_types},
    seat,
};

/// Makes what is missing; what is there keeps what was changed in it, and its reservations.
pub(super) async fn run(app: &App) -> Outcome<()> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    let seats = conn
        .transaction(async |conn| {
            make_hall(conn).await?;
            let mut seats = 0;
            for event in &PROGRAMME {
                make_event(conn, event, now).await?;
                make_ticket_types(conn, event).await?;
                if event.numbered_seats {
                    let places = programme::hall().places();
                    let next_id = || app.ground.clock.id();
                    seats += seat::store::insert_missing(conn, EventId(event.id), &places, next_id).await?;
                }
            }
            Outcome::Ok(seats)
        })
        .await?;
    tracing::info!(events = PROGRAMME.len(), new_seats = seats, "demo events are on sale");
    Ok(())
}

async fn make_hall(conn: &mut AsyncPgConnection) -> Outcome<()> {
    let hall = programme::hall();
    diesel::insert_into(seat_layouts::table)
        .values((
            seat_layouts::id.eq(programme::HALL),
            seat_layouts::name.eq(programme::HALL_NAME),
            seat_layouts::total_seats.eq(i32::try_from(hall.places().len()).map_err(Problem::unexpected)?),
            seat_layouts::layout_config.eq(serde_json::to_value(&hall).map_err(Problem::unexpected)?),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

async fn make_event(conn: &mut AsyncPgConnection, event: &DemoEvent, now: DateTime<Utc>) -> Outcome<()> {
    let takes_place_at = now + TimeDelta::days(event.in_days);
    diesel::insert_into(events::table)
        .values((
            events::id.eq(event.id),
            events::organizer_id.eq(demo::ORGANIZER.id),
            events::title.eq(event.title),
            events::description.eq(event.description),
            events::artist_name.eq(event.artist_name),
            events::venue.eq(event.venue),
            events::address.eq(event.address),
            events::event_date.eq(takes_place_at),
            events::sale_start_date.eq(now - TimeDelta::days(1)),
            events::sale_end_date.eq(takes_place_at - TimeDelta::hours(1)),
            events::seat_layout_id.eq(event.numbered_seats.then_some(programme::HALL)),
        ))
        .on_conflict(events::id)
        .do_update()
        .set((
            events::event_date.eq(excluded(events::event_date)),
            events::sale_start_date.eq(excluded(events::sale_start_date)),
            events::sale_end_date.eq(excluded(events::sale_end_date)),
        ))
        // A machine that is started again after weeks should still have something to sell.
        .filter(events::sale_end_date.le(now))
        .execute(conn)
        .await?;
    Ok(())
}

async fn make_ticket_types(conn: &mut AsyncPgConnection, event: &DemoEvent) -> Outcome<()> {
    let rows: Vec<_> = event
        .ticket_types
        .iter()
        .map(|ticket_type| {
            (
                ticket_types::id.eq(ticket_type.id),
                ticket_types::event_id.eq(event.id),
                ticket_types::name.eq(ticket_type.name),
                ticket_types::description.eq(ticket_type.description),
                ticket_types::price.eq(ticket_type.price),
                ticket_types::total_quantity.eq(ticket_type.total_quantity),
            )
        })
        .collect();
    diesel::insert_into(ticket_types::table).values(rows).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}
