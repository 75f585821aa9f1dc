//! Who gets tickets when there are not enough.

use std::{panic::AssertUnwindSafe, time::Duration};

use diesel_async::SimpleAsyncConnection;
use futures_util::{FutureExt, future::join_all};
use testkit::{Answer, TestClient};
use ticketing::seat::expiry::{Swept, sweep};
use uuid::Uuid;

use crate::house::{House, ON_SALE, ORDER, insistently, order};

const GIVEN: &str = "SELECT (held + sold)::bigint AS number FROM ticket_types ORDER BY id LIMIT 1";

async fn outcomes(answers: Vec<Answer>) -> (usize, usize) {
    let mut won = 0;
    let mut lost = 0;
    for answer in answers {
        if answer.status == 201 {
            won += 1;
        } else {
            answer.assert_problem(409, "sold_out");
            lost += 1;
        }
    }
    (won, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_buyers_on_two_replicas_share_a_hundred_tickets() {
    let house = House::open().await;
    let replica = house.replica();
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 100).await;
    let buyers: Vec<_> = (0..300).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let buying =
        join_all(buyers.iter().map(async |buyer| insistently(async || order(buyer, event, &[(kind, 1)]).await).await));
    let watching = async {
        for _ in 0..200 {
            assert!(house.number(GIVEN).await <= 100);
            tokio::task::yield_now().await;
        }
    };
    let (answers, ()) = tokio::join!(buying, watching);
    assert_eq!(outcomes(answers).await, (100, 200));
    assert_eq!(house.number(GIVEN).await, 100);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baskets_of_all_sizes_are_filled_as_far_as_they_fit() {
    let house = House::open().await;
    let replica = house.replica();
    let event = house.event("달빛 재즈", ON_SALE).await;
    let mut kinds = Vec::new();
    for name in ["R", "S", "A"] {
        kinds.push(house.ticket_type(event, name, 1_000, 40).await);
    }
    let buyers: Vec<_> = (0..120).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let wanted: Vec<Vec<(Uuid, i32)>> = (0..120_usize)
        .map(|n| {
            // Types in a different order each time, which must not matter for the locks.
            let mut items: Vec<_> =
                (0..=n % 3).map(|step| (kinds[(n + step) % 3], 1 + i32::try_from(n % 2).unwrap())).collect();
            if n % 4 == 0 {
                items.reverse();
            }
            items
        })
        .collect();
    let answers = join_all(
        buyers
            .iter()
            .zip(&wanted)
            .map(async |(buyer, items)| insistently(async || order(buyer, event, items).await).await),
    )
    .await;
    let (won, lost) = outcomes(answers).await;
    assert!(won > 0 && lost > 0, "{won} {lost}");
    // Whoever wants one of whatever is left gets it: nothing is lost in between.
    for kind in kinds {
        let left =
            format!("SELECT (total_quantity - held - sold)::bigint AS number FROM ticket_types WHERE id = '{kind}'");
        for _ in 0..house.number(&left).await {
            order(&house.app.as_user(), event, &[(kind, 1)]).await.assert_status(201);
        }
        order(&house.app.as_user(), event, &[(kind, 1)]).await.assert_problem(409, "sold_out");
    }
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overdue_holds_are_sold_to_others_with_every_sweeper_dead() {
    let house = House::open().await;
    let replica = house.replica();
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 40).await;
    for _ in 0..10 {
        order(&house.app.as_user(), event, &[(kind, 4)]).await.assert_status(201);
    }
    order(&house.app.as_user(), event, &[(kind, 1)]).await.assert_problem(409, "sold_out");
    house.let_holds_end().await;
    let buyers: Vec<_> = (0..60).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let buying = buyers.iter().map(async |buyer| insistently(async || order(buyer, event, &[(kind, 1)]).await).await);
    assert_eq!(outcomes(join_all(buying).await).await, (40, 20));
    assert_eq!(sweep(&house.pg).await.unwrap(), Swept::default());
    let expired = "SELECT count(*) AS number FROM reservations WHERE status = 'expired'";
    assert_eq!(house.number(expired).await, 10);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweepers_together_give_each_ticket_back_once_and_tell() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 100).await;
    for _ in 0..20 {
        order(&house.app.as_user(), event, &[(kind, 3)]).await.assert_status(201);
    }
    house.let_holds_end().await;
    let versions = "SELECT version AS number FROM ticket_types";
    let before = house.number(versions).await;
    let swept = join_all((0..8).map(|_| sweep(&house.pg))).await;
    let tickets: i64 = swept.into_iter().map(|swept| swept.unwrap().tickets).sum();
    assert_eq!((tickets, house.number(GIVEN).await), (60, 0));
    assert!(house.number(versions).await > before);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_holds_the_row_of_a_type_stops_nobody_else() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let (stuck, free) =
        (house.ticket_type(event, "R석", 1_000, 50).await, house.ticket_type(event, "S석", 1_000, 50).await);
    let mut rival = house.pg.conn().await.unwrap();
    rival.batch_execute(&format!("BEGIN; SELECT FROM ticket_types WHERE id = '{stuck}' FOR UPDATE")).await.unwrap();
    let buyers: Vec<TestClient> = (0..20).map(|_| house.app.as_user()).collect();
    let wanted = [[(stuck, 1)], [(free, 1)]];
    let answers = join_all(buyers.iter().zip(wanted.iter().cycle()).enumerate().map(async |(n, (buyer, items))| {
        if n % 2 == 0 {
            return order(buyer, event, items).await;
        }
        // Those who come together may have to ask again, and get what they want while the other row is still held.
        insistently(async || order(buyer, event, items).await).await
    }));
    let answers = tokio::time::timeout(Duration::from_secs(30), answers).await.unwrap();
    for (n, answer) in answers.into_iter().enumerate() {
        if n % 2 == 0 {
            let answer = answer.assert_problem(503, "unavailable");
            assert!(!answer.header("retry-after").is_empty());
        } else {
            answer.assert_status(201);
        }
    }
    rival.batch_execute("ROLLBACK").await.unwrap();
    order(&house.app.as_user(), event, &[(stuck, 1)]).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_after_the_databases_connections_are_cut() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 500).await;
    order(&house.app.as_user(), event, &[(kind, 1)]).await.assert_status(201);
    let mut answered = 1;
    for round in 0..4 {
        // More than one batch, so that one goes behind the other.
        let buyers: Vec<_> = (0..90).map(|_| house.app.as_user()).collect();
        let key = format!("k-{round}");
        let buying = join_all(buyers.iter().map(async |buyer| {
            let headers = [("idempotency-key", key.as_str())];
            loop {
                let body = crate::house::basket(event, &[(kind, 1)]);
                let answer = buyer.post_with(ORDER, body, &headers).await;
                if answer.status == 201 {
                    return;
                }
                answer.assert_problem(503, "unavailable");
            }
        }));
        tokio::join!(buying, house.cut_connections("maru-ticketing-orders"));
        answered += 90;
    }
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, answered);
    assert_eq!(house.number(GIVEN).await, answered);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_tells_once_of_each_type_and_not_of_each_order() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 500).await;
    let version = "SELECT version AS number FROM ticket_types";
    let mut fewest = i64::MAX;
    // A batch that had to wait is done one by one, which one round may meet and not all.
    for _ in 0..2 {
        let before = house.number(version).await;
        let buyers: Vec<_> = (0..200).map(|_| house.app.as_user()).collect();
        let buying =
            buyers.iter().map(async |buyer| insistently(async || order(buyer, event, &[(kind, 1)]).await).await);
        for answer in join_all(buying).await {
            answer.assert_status(201);
        }
        fewest = fewest.min(house.number(version).await - before);
    }
    assert!(fewest < 150, "{fewest} changes for 200 orders: they did not travel together");
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_answered_when_the_service_stops() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 500).await;
    let buyers: Vec<_> = (0..100).map(|_| house.app.as_user()).collect();
    let count = "SELECT count(*) AS number FROM reservations";
    // A client whose connection was refused panics.
    let buying = join_all(
        buyers
            .iter()
            .map(|buyer| AssertUnwindSafe(async { order(buyer, event, &[(kind, 1)]).await.status }).catch_unwind()),
    );
    let stopping = async {
        testkit::eventually(Duration::from_secs(5), || async { house.number(count).await > 0 }).await;
        house.app.stop().await;
    };
    let (answers, ()) = tokio::join!(buying, stopping);
    let won = answers.iter().filter(|status| matches!(status, Ok(201))).count();
    assert!(won > 0);
    assert!(house.app.lifecycle().finished(Duration::from_secs(5)).await);
    // Every order that somebody saw is there.
    assert!(house.number(count).await >= i64::try_from(won).unwrap());
    house.assert_sound().await;
}
