//! Two hundred people fight for fifty seats and a hundred tickets while a replica, Redis' memory, PostgreSQL and the
//! other replica do not live to see the end of it.
//!
//! Everybody asks again with the same key until there is an answer, as a good client does. In the end everything that
//! anybody was promised is there, nothing was sold twice, and nobody has seen two answers to one key.

mod buyer;
mod client;
mod stage;
mod tally;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use testkit::eventually;
use tokio::task::JoinSet;

use self::{
    buyer::{Buyer, End, Promise},
    client::{Client, Doors},
    stage::{Kept, SEATS, Sale, TICKETS, number, reservations, seats_by_status},
    tally::Tally,
};
use crate::{
    attacks::say,
    faults::empty_redis,
    person::Person,
    stack::{Stack, text},
};

/// How many people fight.
const BUYERS: usize = 200;
/// How long the house holds what is not paid for: so short that holds end in the middle of it.
const HOLD: Duration = Duration::from_secs(15);
/// Longest until something becomes true again that was broken, on a slow machine.
const LONG: Duration = Duration::from_secs(90);
/// How many reservations must be answered with 201 before, between and after the blows.
const PROGRESS: usize = 40;

/// Seats of two reservations that stand; whatever is broken, there is never one.
const TWICE: &str = "SELECT count(*) FROM (SELECT k.seat_id FROM reservation_seats k \
    JOIN reservations r ON r.id = k.reservation_id WHERE r.status = 'confirmed' \
    OR (r.status = 'pending' AND r.expires_at > clock_timestamp()) GROUP BY k.seat_id HAVING count(*) > 1) twice";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_house_stands_a_sale_that_everybody_wants() {
    // Whoever is cut off in the midst of a payment hears of it once nobody else can be at it: three time-outs and a bit.
    let environment = [("HOLD_TTL", "15s"), ("QUEUE_RECOVERY", "2s"), ("TOSS_TIMEOUT_MS", "1000")];
    let stack = Stack::up_with("gateway=2,ticketing=2", &environment);
    let sale = Arc::new(Sale::open(&stack).await);
    let (doors, tally) = (Arc::new(Doors::new(&stack)), Arc::new(Tally::default()));
    let printed = text(&stack.dev(&["tokens", "--count", &BUYERS.to_string()]));
    let tokens: Vec<_> = printed.lines().filter_map(|line| line.split_once('\t')).map(|(_, token)| token).collect();
    assert_eq!(tokens.len(), BUYERS);

    let begun = Instant::now();
    let mut running = JoinSet::new();
    for (place, token) in tokens.into_iter().enumerate() {
        let client = Client::new(place, token, doors.clone(), &sale.event, tally.clone());
        running.spawn(Buyer::new(client, sale.clone(), tally.clone()).run());
    }
    // Whoever fails in the storm ends it, with what they met.
    let (blows, bought) = tokio::join!(strike(&stack, &tally), gather(&mut running, &tally));
    let stormed = begun.elapsed();
    settled(&stack).await;

    let kept = reservations(&stack, &sale.event).await;
    let unseen = promises_are_kept(&bought, &kept);
    everything_adds_up(&stack, &sale, &kept).await;
    let replayed = everybody_sees_the_same_again(bought).await;
    let checks = stack.assert_nothing_sold_is_broken();

    let (doubled, at_once, split) = tally.doubles();
    // Now and then something comes free between two clicks; if they did not know of each other, it would be most of them.
    assert!(at_once * 2 <= doubled, "of {doubled} double clicks one was refused: {split}");
    let (refused, retried) = tally.reasons();
    say(&format!(
        "{BUYERS} buyers in {stormed:.1?}, {blows}: 201s {}, payments {}, double clicks {doubled} (one refused: {split}), \
         409s {refused}, retries {retried}, {unseen} holds that nobody heard of, {replayed} answers asked for again, \
         {checks} checks ok",
        tally.holds(),
        tally.payments(),
    ));
}

/// Kills one after the other, each in the midst of it.
async fn strike(stack: &Stack, tally: &Tally) -> &'static str {
    let progress = async |after: &str| {
        let (so_far, begun) = (tally.holds(), Instant::now());
        while tally.holds() < so_far + PROGRESS {
            assert!(begun.elapsed() < LONG, "nobody gets anything any more after {after}");
            assert!(!tally.is_closing(), "somebody gave up after {after}");
            // No database, no answer; one that answers never knows of a seat that is held twice.
            assert!(matches!(number(stack, TWICE).await, None | Some(0)), "a seat was held twice after {after}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    progress("the start").await;
    let [first, second] = stack.pids("ticketing")[..] else { panic!("two replicas") };
    replace(stack, "ticketing", first, "-KILL").await;
    progress("the end of a replica").await;
    empty_redis(stack).await;
    progress("the end of Redis' memory").await;
    let [postgres] = stack.pids("postgres")[..] else { panic!("one PostgreSQL") };
    // An immediate stop: connections are cut, nothing is written, and the next start recovers.
    replace(stack, "postgres", postgres, "-QUIT").await;
    progress("the end of PostgreSQL").await;
    replace(stack, "ticketing", second, "-KILL").await;
    empty_redis(stack).await;
    progress("the end of the other replica").await;
    tally.close();
    "2 replicas killed, PostgreSQL stopped once, Redis emptied twice"
}

/// Ends a process and waits until another one stands in its place.
async fn replace(stack: &Stack, part: &str, pid: i32, signal: &str) {
    let before = stack.pids(part).len();
    Stack::signal(pid, signal);
    eventually(LONG, || async {
        let now = stack.pids(part);
        now.len() == before && !now.contains(&pid)
    })
    .await;
}

/// Collects what everybody was promised.
async fn gather(running: &mut JoinSet<(Client, Vec<Promise>)>, tally: &Tally) -> Vec<(Client, Vec<Promise>)> {
    let mut bought = Vec::new();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(one) => bought.push(one),
            Err(failed) => {
                tally.close();
                running.abort_all();
                std::panic::resume_unwind(failed.into_panic());
            }
        }
    }
    bought
}

/// Waits until nothing is pending, nor any payment under way.
async fn settled(stack: &Stack) {
    let begun = Instant::now();
    let pending = "SELECT count(*) FROM reservations WHERE status = 'pending'";
    eventually(HOLD + LONG, || async { number(stack, pending).await == Some(0) }).await;
    let overtime = "SELECT coalesce(ceil(extract(epoch FROM max(updated_at - expires_at))), 0) FROM reservations \
                    WHERE status = 'expired'";
    let overtime = number(stack, overtime).await.expect("a database");
    // Sweeps come every half second, and wait for PostgreSQL and for whoever was paying when they died.
    assert!(overtime < 60, "something was held for {overtime} s after its time");
    say(&format!(
        "nothing is pending {:.1?} after the last purchase; no hold outlived its time by {overtime} s",
        begun.elapsed()
    ));
    let under_way = "SELECT count(*) FROM payments WHERE status IN ('authorising', 'refund_pending')";
    eventually(LONG, || async { number(stack, under_way).await == Some(0) }).await;
    let outbox = "SELECT count(*) FROM outbox";
    eventually(LONG, || async { number(stack, outbox).await == Some(0) }).await;
}

/// Everything that somebody was told is there, theirs, and as they were told; returns how many reservations nobody heard
/// of. Those are of requests that were answered too late, and nobody has paid for them.
fn promises_are_kept(bought: &[(Client, Vec<Promise>)], kept: &BTreeMap<String, Kept>) -> usize {
    let mut seen = BTreeSet::new();
    for (client, promises) in bought {
        for Promise { id, ask, end } in promises {
            assert!(seen.insert(id.clone()), "two promises of {id}");
            let found = kept.get(id).unwrap_or_else(|| panic!("{id} is gone, which was promised for {ask:?}"));
            assert_eq!(found.user, client.user(), "{id}");
            let status = match end {
                End::Left | End::TooLate => "expired",
                End::Cancelled => "cancelled",
                End::Paid => "confirmed",
            };
            assert_eq!(found.status, status, "{id} was {end:?}");
        }
    }
    let unseen: Vec<_> = kept.iter().filter(|(id, _)| !seen.contains(*id)).collect();
    assert!(unseen.iter().all(|(_, kept)| kept.status == "expired"), "somebody has what they never heard of");
    unseen.len()
}

async fn everything_adds_up(stack: &Stack, sale: &Sale, kept: &BTreeMap<String, Kept>) {
    assert_eq!(number(stack, TWICE).await, Some(0), "seats of two reservations");
    let person = Person::stranger(stack.gateway());
    let counts = seats_by_status(&person, &sale.event).await;
    let of = |status: &str| counts.get(status).copied().unwrap_or_default();
    assert_eq!(of("reserved") + of("locked") + of("available"), SEATS, "{counts:?}");
    assert_eq!(of("locked"), 0, "{counts:?}");
    let sold = format!(
        "SELECT coalesce(sum(i.quantity), 0) FROM reservation_items i JOIN reservations r ON r.id = i.reservation_id \
         WHERE r.status = 'confirmed' AND i.ticket_type_id = '{}'",
        sale.ticket_type
    );
    let sold = number(stack, &sold).await.expect("a database");
    let shown = person.get(&format!("/api/v1/tickets/availability/{}", sale.ticket_type)).await.ok(200);
    let free = shown.json["available_quantity"].as_i64().expect("a number");
    assert_eq!(sold + free, TICKETS, "{}", shown.json);
    let confirmed = kept.values().filter(|kept| kept.status == "confirmed").count();
    assert!(confirmed > BUYERS / 10, "hardly anything was sold");
    say(&format!("sold: {} of {SEATS} seats, {sold} of {TICKETS} tickets, in {confirmed} orders", of("reserved")));
}

/// Whoever asks again gets the same answer again, and sees what they have; returns how often that was asked.
async fn everybody_sees_the_same_again(bought: Vec<(Client, Vec<Promise>)>) -> usize {
    let mut asking = JoinSet::new();
    for (client, promises) in bought {
        asking.spawn(async move {
            for Promise { id, ask, .. } in &promises {
                let again = client.settle(client.door(), ask).await;
                assert_eq!(again.status, 201, "{ask:?}: {}", again.json);
                assert_eq!(again.text("/reservation/id"), *id, "another answer to the same key: {ask:?}");
                let own = client.look(&format!("/api/v1/reservations/{id}")).await;
                assert_eq!(own.status, 200, "{id}: {}", own.json);
            }
            promises.len()
        });
    }
    asking.join_all().await.into_iter().sum()
}
