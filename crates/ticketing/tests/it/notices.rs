//! What those who look on are told.

use std::time::Duration;

use domain::{
    ids::{SeatId, TicketTypeId},
    seat_hold::SeatStatus,
};
use serde_json::{Value, json};
use ticketing::{notice::Notice, order::settle, seat::expiry::sweep};

use crate::house::{House, ORDER, id, order, reserve};

/// Returns what was said of a seat: its versions and whose it was.
fn of_seat(heard: &[Notice], wanted: SeatId) -> Vec<(i64, SeatStatus)> {
    let mut said: Vec<_> = heard
        .iter()
        .filter_map(|notice| if let Notice::Seats { seats, .. } = notice { Some(seats) } else { None })
        .flatten()
        .filter(|seat| seat.seat_id == wanted)
        .map(|seat| (seat.version, seat.status))
        .collect();
    said.sort_by_key(|(version, _)| *version);
    said
}

/// Returns what was said of a ticket type: its versions and what was left.
fn of_type(heard: &[Notice], wanted: TicketTypeId) -> Vec<(i64, i64)> {
    let mut said: Vec<_> = heard
        .iter()
        .filter_map(|notice| match notice {
            Notice::Tickets { ticket_type_id, available_quantity, version, .. } if *ticket_type_id == wanted => {
                Some((*version, *available_quantity))
            }
            _ => None,
        })
        .collect();
    said.sort_unstable();
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_hands_is_told_with_its_version() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 5).await;
    let kim = house.app.as_user();
    let cancel = async |made: &testkit::Answer| {
        let path = format!("{ORDER}/{}/cancel", made.text("/reservation/id"));
        kim.post(&path, Value::Null).await.assert_status(200);
    };
    cancel(&order(&kim, event, &[(kind, 2)]).await.assert_status(201)).await;
    cancel(&reserve(&kim, event, &seats).await.assert_status(201)).await;
    order(&kim, event, &[(kind, 3)]).await.assert_status(201);
    reserve(&kim, event, &seats).await.assert_status(201);
    house.let_holds_end().await;
    sweep(&house.pg).await.unwrap();
    let bought = order(&kim, event, &[(kind, 4)]).await.assert_status(201);
    let seated = reserve(&kim, event, &seats).await.assert_status(201);
    for made in [bought, seated] {
        let mut conn = house.pg.conn().await.unwrap();
        settle::confirm(&mut conn, id(&made.json["reservation"]["id"]), "card").await.unwrap();
    }

    let (available, locked, reserved) = (SeatStatus::Available, SeatStatus::Locked, SeatStatus::Reserved);
    let seat = [(1, locked), (2, available), (3, locked), (4, available), (5, locked), (6, reserved)];
    let tickets = [(1, 3), (2, 5), (3, 2), (4, 5), (5, 1), (6, 1)];
    testkit::eventually(Duration::from_secs(5), || async {
        let heard = house.heard().await;
        of_seat(&heard, seats[0]) == seat && of_type(&heard, TicketTypeId(kind)) == tickets
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_offered_tickets_is_told() {
    let house = House::open().await;
    let (event, _) = house.seated_event(1).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 1).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let made = order(&kim, event, &[(kind, 1)]).await.assert_status(201);
    let wish = json!({"eventId": event, "ticketTypeId": kind, "quantity": 1});
    lee.post("/api/reservations/waiting-list", wish).await.assert_status(201);
    let path = format!("{ORDER}/{}/cancel", made.text("/reservation/id"));
    kim.post(&path, Value::Null).await.assert_status(200);
    testkit::eventually(Duration::from_secs(5), || async {
        let offers = house.heard().await.into_iter();
        offers.filter(|notice| matches!(notice, Notice::Offered { user_id, .. } if *user_id == lee.user_id)).count()
            == 1
    })
    .await;
    let own = lee.get("/api/v1/reservations/my").await.assert_status(200);
    let number = own.text("/reservations/0/reservation_number");
    assert!(number.len() == 14 && number.starts_with("TK"), "{number}");
}
