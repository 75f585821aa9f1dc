//! Orders of cancelled events of which some cannot be let go of.

use domain::ids::EventId;
use testkit::eventually;

use crate::{
    house::{House, reserve},
    line::SOON,
};

const SETTLED: &str = "SELECT count(*) AS number FROM events WHERE settled_at IS NOT NULL";
const CANCELLED: &str = "SELECT count(*) AS number FROM reservations WHERE status = 'cancelled'";

/// Makes an event with that many orders.
async fn ordered(house: &House, orders: i32) -> EventId {
    let (event, seats) = house.seated_event(orders).await;
    for seat in seats {
        reserve(&house.app.as_user(), event, &[seat]).await.assert_status(201);
    }
    event
}

/// Calls an event off, some minutes ago.
async fn cancel(house: &House, event: EventId, minutes: i32) {
    house
        .sql(&format!("UPDATE events SET cancelled_at = now() - interval '{minutes} minutes' WHERE id = '{event}'"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_let_go_of_keeps_nobody_else_waiting() {
    let house = House::open().await;
    let (stuck, other) = (ordered(&house, 3).await, ordered(&house, 2).await);
    // The first of them, as they are gone through.
    house
        .sql(&format!(
            "CREATE TABLE stuck AS SELECT id FROM reservations WHERE event_id = '{stuck}' ORDER BY id LIMIT 1; \
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF OLD.id IN (SELECT id FROM stuck) THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER refuse BEFORE UPDATE ON reservations FOR EACH ROW EXECUTE FUNCTION refuse()"
        ))
        .await;
    cancel(&house, stuck, 3).await;
    eventually(SOON, || async { house.number(CANCELLED).await == 2 }).await;
    cancel(&house, other, 2).await;
    eventually(SOON, || async { house.number(SETTLED).await == 1 }).await;
    assert_eq!(house.number(CANCELLED).await, 4);
    // While something is open, an event is not done with.
    house.sql("UPDATE events SET settling_until = now() WHERE settled_at IS NULL").await;
    // A lease is longer, so this is the rest after a round.
    let rests = "SELECT count(*) AS number FROM events WHERE settled_at IS NULL \
                 AND settling_until BETWEEN now() + interval '5 seconds' AND now() + interval '10 seconds'";
    eventually(SOON, || async { house.number(rests).await == 1 }).await;
    assert_eq!(house.number(&format!("{SETTLED} AND id = '{stuck}'")).await, 0);
    house.sql("DROP TRIGGER refuse ON reservations").await;
    eventually(SOON, || async {
        house.sql("UPDATE events SET settling_until = now() WHERE settled_at IS NULL").await;
        house.number(SETTLED).await == 2
    })
    .await;
    assert_eq!(house.number(CANCELLED).await, 5);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_under_watch_are_looked_at_in_turn() {
    let house = House::open().await;
    // Cancelled a moment ago: it is watched for a minute, and comes before the other one each time.
    let watched = ordered(&house, 1).await;
    house.sql(&format!("UPDATE events SET cancelled_at = now() WHERE id = '{watched}'")).await;
    eventually(SOON, || async { house.number(CANCELLED).await == 1 }).await;
    let later = ordered(&house, 1).await;
    house.sql(&format!("UPDATE events SET cancelled_at = now() WHERE id = '{later}'")).await;
    eventually(SOON, || async { house.number(CANCELLED).await == 2 }).await;
}
