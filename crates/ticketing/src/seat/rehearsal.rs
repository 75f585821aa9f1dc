//! Seats that are held and given back before the first real ones, so that connections know the functions by then.

use chassis::{
    idempotency::{Attempt, IdempotencyKey},
    problem::Outcome,
};
use diesel::{result::Error as DieselError, sql_query, sql_types::Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{EventId, ReservationId, SeatId, UserId},
    seat_hold::SeatSelection,
};
use uuid::Uuid;

use super::{
    batch::{self, Choice},
    hold::Hold,
};
use crate::order::{batch::Terms, rehearsal::Rehearsed};

/// What the rehearsed seats are of; rolled back, so that nobody ever sees it.
const EVENT: EventId = EventId(Uuid::from_u128(0x6d61_7275_0001));

/// Holds seats, together and alone, and takes that back.
pub(super) async fn rehearse(conn: &mut AsyncPgConnection, terms: Terms) -> Outcome<()> {
    let mut choices = Vec::new();
    for number in 1..=3 {
        let id = Uuid::from_u128(number);
        let attempt = Attempt::new(UserId(id), batch::ROUTE, IdempotencyKey(Some("rehearsal".to_owned())), &())?;
        let seats = SeatSelection::parse(vec![SeatId(id)], 1)?;
        choices.push(Choice::new(ReservationId(id), EVENT, UserId(id), seats, &attempt, ""));
    }
    let choices: Vec<_> = choices.iter().collect();
    let rehearsed = conn
        .transaction::<(), Rehearsed, _>(async |conn| {
            set_the_stage(conn).await?;
            if let [first, rest @ ..] = choices.as_slice() {
                Hold::of(first, terms).verdict(conn).await.map_err(Rehearsed::Badly)?;
                batch::run(conn, rest, terms, false).await.map_err(Rehearsed::Badly)?;
            }
            Err(Rehearsed::Well)
        })
        .await;
    match rehearsed {
        Err(Rehearsed::Badly(problem)) => Err(problem),
        Ok(()) | Err(Rehearsed::Well) => Ok(()),
    }
}

/// Rehearsals of several connections wait for each other here.
async fn set_the_stage(conn: &mut AsyncPgConnection) -> Result<(), DieselError> {
    sql_query(
        "WITH rehearsal AS (INSERT INTO events (id, organizer_id, title, venue, event_date, sale_start_date, sale_end_date) \
         SELECT id, id, 'rehearsal', 'rehearsal', clock_timestamp() + interval '2 hours', \
         clock_timestamp() - interval '1 hour', clock_timestamp() + interval '1 hour' FROM (SELECT $1 AS id) e RETURNING id) \
         INSERT INTO seats (id, event_id, section, row_number, seat_number, seat_label, price) \
         SELECT lpad(n::text, 32, '0')::uuid, id, 'A', 1, n, 'A', 1 FROM rehearsal, generate_series(1, 3) n",
    )
    .bind::<SqlUuid, _>(EVENT.0)
    .execute(conn)
    .await?;
    Ok(())
}
