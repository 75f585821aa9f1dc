//! Whatever goes wrong between us and the provider, or inside us: money becomes tickets, or goes back.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use domain::ids::ReservationId;
use testkit::{
    TestClient,
    toss::{Endpoint, Fault},
};

use crate::{
    house::reserve,
    line::SOON,
    payments::{CONFIRM, Consent, PREPARE, Shop, assert_money, process_wish},
};

/// Longer than the shop waits for the provider.
const TOO_LONG: Duration = Duration::from_secs(20);

async fn status(shop: &Shop, status: &str) -> i64 {
    shop.house.number(&format!("SELECT count(*) AS number FROM payments WHERE status = '{status}'")).await
}

async fn confirmed(shop: &Shop) -> i64 {
    shop.house.number("SELECT count(*) AS number FROM reservations WHERE status = 'confirmed'").await
}

/// Confirms under a fault, and lets a reconciler find out.
async fn confirm_under(shop: &Shop, fault: Fault) -> (u16, String) {
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    shop.toss.next(Endpoint::Confirm, fault);
    let answer = buyer.post(CONFIRM, consent.body()).await;
    shop.settle().await;
    let again = buyer.post(CONFIRM, consent.body()).await;
    assert_eq!(again.status, 200, "{fault:?}: {}", again.json);
    shop.assert_money().await;
    assert_eq!(confirmed(shop).await, 1, "{fault:?}");
    (answer.status, answer.text("/code").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_came_although_the_answer_was_lost_becomes_tickets_at_once() {
    // A look afterwards tells.
    for fault in [
        Fault::Cut,
        Fault::Page,
        Fault::Late(TOO_LONG),
        Fault::DoneButError(500, "FAILED_INTERNAL_SYSTEM_PROCESSING"),
        Fault::DoneButError(400, "ALREADY_PROCESSED_PAYMENT"),
        Fault::DoneButError(400, "PROVIDER_ERROR"),
    ] {
        let shop = Shop::reconciled(1).await;
        assert_eq!(confirm_under(&shop, fault).await.0, 200, "{fault:?}");
        assert_eq!(shop.toss.calls(Endpoint::Confirm), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_did_not_come_is_asked_for_again_while_the_hold_lasts() {
    for fault in [
        Fault::Error(500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING"),
        Fault::Error(503, "COMMON_ERROR"),
        Fault::Error(400, "PROVIDER_ERROR"),
        Fault::Error(409, "IDEMPOTENT_REQUEST_PROCESSING"),
        Fault::Error(401, "UNAUTHORIZED_KEY"),
        Fault::Error(429, "TOO_MANY_REQUESTS"),
        Fault::Slow(Duration::from_secs(5)),
    ] {
        let shop = Shop::reconciled(1).await;
        let (status, code) = confirm_under(&shop, fault).await;
        assert_eq!((status, code.as_str()), (503, "payment_pending"), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_is_asked_until_it_is_back() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    for endpoint in [Endpoint::Confirm, Endpoint::LookUp] {
        shop.toss.always(endpoint, Fault::Error(503, "COMMON_ERROR"));
    }
    let answer = buyer.post(CONFIRM, consent.body()).await.assert_problem(503, "payment_pending");
    assert!(!answer.header("retry-after").is_empty());
    let asked = shop.toss.calls(Endpoint::LookUp);
    testkit::eventually(Duration::from_secs(10), || async {
        shop.let_leases_end().await;
        shop.toss.calls(Endpoint::LookUp) > asked + 3
    })
    .await;
    assert_eq!(status(&shop, "authorising").await, 1);
    buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "payment_in_progress");
    shop.toss.behave();
    shop.settle().await;
    shop.assert_money().await;
    assert_eq!(confirmed(&shop).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_buyer_keeps_the_seats_and_may_try_another_card() {
    let shop = Shop::open(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    shop.toss.next(Endpoint::Confirm, Fault::Error(403, "REJECT_CARD_COMPANY"));
    let declined = buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "payment_declined");
    assert_eq!(declined.json["reason"], "REJECT_CARD_COMPANY");
    let again = buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "payment_declined");
    assert_eq!(again.json["reason"], "REJECT_CARD_COMPANY");
    let failed = "SELECT count(*) AS number FROM reservations WHERE status = 'pending' AND payment_status = 'failed'";
    assert_eq!(shop.house.number(failed).await, 1);
    reserve(&shop.house.app.as_user(), shop.event, &shop.seats).await.assert_problem(409, "seat_taken");
    let second = shop.consent_to(&buyer, consent.reservation, consent.amount).await;
    assert_ne!(second.order_id, consent.order_id);
    buyer.post(CONFIRM, second.body()).await.assert_status(200);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_key_pays_for_its_own_order_only() {
    let shop = Shop::reconciled(2).await;
    let buyer = shop.house.app.as_user();
    let paid = shop.consent(&buyer, &shop.seats[..1]).await;
    buyer.post(CONFIRM, paid.body()).await.assert_status(200);
    let second = shop.consent(&buyer, &shop.seats[1..]).await;
    // One that we have seen, and one that we have not.
    let reused = Consent { payment_key: paid.payment_key.clone(), ..second.clone() };
    buyer.post(CONFIRM, reused.body()).await.assert_problem(409, "payment_key_used");
    let foreign_key = shop.toss.consent("maru_elsewhere", 50_000);
    let foreign = Consent { payment_key: foreign_key, ..second };
    shop.toss.next(Endpoint::Confirm, Fault::Error(400, "ALREADY_PROCESSED_PAYMENT"));
    shop.toss.cancel_at_desk(&foreign.payment_key);
    let answer = buyer.post(CONFIRM, foreign.body()).await.assert_problem(409, "payment_declined");
    assert_eq!(answer.json["reason"], "order_mismatch");
    assert_eq!((confirmed(&shop).await, status(&shop, "captured").await), (1, 1));
    assert_eq!(shop.toss.calls(Endpoint::Cancel), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_to_pay_into_some_day_is_taken_back() {
    let shop = Shop::open(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    shop.toss.next(Endpoint::Confirm, Fault::Deposit);
    let declined = buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "payment_declined");
    assert_eq!(declined.json["reason"], "deposit_not_supported");
    assert_eq!(shop.toss.booked(&consent.payment_key).status, "CANCELED");
    assert_eq!(shop.toss.booked(&consent.payment_key).taken, 0);
}

/// Makes the database fail at one line of a settlement, as a crash in front of it would.
async fn break_at(shop: &Shop, table: &str, when: &str) {
    shop.house
        .sql(&format!(
            "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'crash'; END $$; \
             CREATE TRIGGER crash BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION crash()"
        ))
        .await;
}

async fn mend(shop: &Shop) {
    shop.house.sql("DROP FUNCTION crash() CASCADE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_line_after_the_providers_answer_loses_nothing() {
    for (table, when) in [
        ("payments", "UPDATE OF captured_at"),
        ("tickets", "INSERT"),
        ("seats", "UPDATE OF status"),
        ("reservations", "UPDATE OF status"),
        ("outbox", "INSERT"),
    ] {
        let shop = Shop::reconciled(1).await;
        let buyer = shop.house.app.as_user();
        let consent = shop.consent(&buyer, &shop.seats).await;
        break_at(&shop, table, when).await;
        buyer.post(CONFIRM, consent.body()).await.assert_problem(503, "payment_pending");
        assert_eq!(shop.toss.booked(&consent.payment_key).status, "DONE", "{table}");
        assert_eq!((status(&shop, "authorising").await, confirmed(&shop).await), (1, 0), "{table}");
        assert_eq!(shop.house.number("SELECT count(*) AS number FROM tickets").await, 0, "{table}");
        mend(&shop).await;
        shop.settle().await;
        shop.assert_money().await;
        assert_eq!((confirmed(&shop).await, shop.toss.calls(Endpoint::Confirm)), (1, 1), "{table}");
        buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_the_claim_is_committed_asks_nobody_for_money() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    break_at(&shop, "payments", "UPDATE OF authorised_at").await;
    buyer.post(CONFIRM, consent.body()).await.assert_problem(500, "internal");
    mend(&shop).await;
    assert_eq!((shop.toss.calls(Endpoint::Confirm), status(&shop, "prepared").await), (0, 1));
    buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_dies_with_the_providers_answer_is_survived_by_the_other() {
    let shop = Shop::open(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    // The answer is there and cannot be written down: somebody holds the row.
    let mut holder = shop.house.pg.conn().await.unwrap();
    let first = {
        let body = consent.body();
        let buyer = buyer.clone();
        async move { buyer.post(CONFIRM, body).await }
    };
    shop.toss.next(Endpoint::Confirm, Fault::Held);
    let kill = async {
        is_asked(&shop).await;
        holder.batch_execute("BEGIN; SELECT FROM reservations FOR UPDATE").await.unwrap();
        shop.toss.let_go();
        let waits = "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock'";
        testkit::eventually(SOON, || async { shop.house.number(waits).await > 0 }).await;
        // As SIGKILL would: its connections end, and nothing of it goes on.
        shop.house
            .sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name LIKE '%ticketing%' AND pid <> pg_backend_pid()",
            )
            .await;
    };
    let (answer, ()) = tokio::join!(first, kill);
    assert_ne!(answer.status, 200);
    holder.batch_execute("ROLLBACK").await.unwrap();
    shop.house.app.stop().await;
    assert_eq!((status(&shop, "authorising").await, confirmed(&shop).await), (1, 0));
    let _other = shop.replica();
    shop.settle().await;
    shop.assert_money().await;
    assert_eq!((confirmed(&shop).await, shop.toss.calls(Endpoint::Confirm)), (1, 1));
}

/// Waits until the provider was asked for the money: it has it then, and has not answered yet.
async fn is_asked(shop: &Shop) {
    testkit::eventually(SOON, || async { shop.toss.calls(Endpoint::Confirm) == 1 }).await;
}

/// Sends a confirmation and goes away before it is answered.
async fn confirm_and_leave(shop: &Shop, buyer: &TestClient, consent: &Consent) {
    let request = buyer.request(reqwest::Method::POST, CONFIRM).json(&consent.body());
    tokio::select! {
        _ = request.send() => panic!("the buyer was answered"),
        () = is_asked(shop) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_goes_away_still_gets_what_they_paid_for() {
    let shop = Shop::open(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    shop.toss.next(Endpoint::Confirm, Fault::Held);
    confirm_and_leave(&shop, &buyer, &consent).await;
    shop.toss.let_go();
    // Without a reconciler: the request itself is carried out to its end.
    testkit::eventually(SOON, || async { confirmed(&shop).await == 1 }).await;
    buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    shop.assert_money().await;
}

/// Confirms, and lets something happen to the reservation before the provider answers.
async fn meanwhile(shop: &Shop, buyer: &TestClient, consent: &Consent, happens: impl Future<Output = ()>) -> u16 {
    shop.toss.next(Endpoint::Confirm, Fault::Held);
    let happening = async {
        is_asked(shop).await;
        happens.await;
        shop.toss.let_go();
    };
    let (answer, ()) = tokio::join!(buyer.post(CONFIRM, consent.body()), happening);
    answer.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_came_after_the_hold_gets_the_seats_back_when_nobody_has_them() {
    for is_swept in [false, true] {
        let shop = Shop::open(2).await;
        let buyer = shop.house.app.as_user();
        let consent = shop.consent(&buyer, &shop.seats).await;
        let ended = async {
            shop.house.let_holds_end().await;
            if is_swept {
                shop.house.sql("SELECT expire_holds(10, NULL, NULL, true)").await;
            }
        };
        assert_eq!(meanwhile(&shop, &buyer, &consent, ended).await, 200, "{is_swept}");
        assert_eq!(confirmed(&shop).await, 1);
        shop.assert_money().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_came_for_seats_that_somebody_else_has_goes_back_once() {
    let shop = Shop::reconciled(2).await;
    let (buyer, rival) = (shop.house.app.as_user(), shop.house.app.as_user());
    let consent = shop.consent(&buyer, &shop.seats).await;
    let taken = async {
        shop.house.let_holds_end().await;
        reserve(&rival, shop.event, &shop.seats[..1]).await.assert_status(201);
    };
    assert_eq!(meanwhile(&shop, &buyer, &consent, taken).await, 409);
    shop.settle().await;
    buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "payment_refunded");
    let booked = shop.toss.booked(&consent.payment_key);
    assert_eq!((booked.taken, booked.returned, shop.toss.calls(Endpoint::Cancel)), (100_000, 100_000, 1));
    let ended = "SELECT count(*) AS number FROM reservations WHERE status = 'expired' AND payment_status = 'refunded'";
    assert_eq!(shop.house.number(ended).await, 1);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_for_a_reservation_that_was_cancelled_meanwhile_goes_back() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    let cancelled = shop.house.sql("SELECT release_reservation(id, 'cancelled') FROM reservations");
    assert_eq!(meanwhile(&shop, &buyer, &consent, cancelled).await, 409);
    shop.settle().await;
    assert_eq!(shop.toss.booked(&consent.payment_key).status, "CANCELED");
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_was_never_confirmed_ends_without_money() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    shop.toss.always(Endpoint::Confirm, Fault::Error(500, "COMMON_ERROR"));
    buyer.post(CONFIRM, consent.body()).await.assert_problem(503, "payment_pending");
    // There is nothing to pay for any more, so nobody asks again; but the money may still come.
    shop.house.let_holds_end().await;
    shop.toss.behave();
    let asked = shop.toss.calls(Endpoint::LookUp);
    testkit::eventually(Duration::from_secs(5), || async {
        shop.let_leases_end().await;
        shop.toss.calls(Endpoint::LookUp) > asked + 2
    })
    .await;
    assert_eq!(status(&shop, "authorising").await, 1);
    shop.toss.expire(&consent.payment_key);
    shop.settle().await;
    assert_eq!(status(&shop, "failed").await, 1);
    assert_eq!(shop.toss.booked(&consent.payment_key).taken, 0);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_never_heard_of_is_given_up_in_the_end() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    shop.toss.always(Endpoint::LookUp, Fault::Error(404, "NOT_FOUND_PAYMENT"));
    shop.toss.always(Endpoint::Confirm, Fault::Error(500, "COMMON_ERROR"));
    buyer.post(CONFIRM, consent.body()).await.assert_problem(503, "payment_pending");
    shop.house.let_holds_end().await;
    shop.house.sql("UPDATE payments SET authorised_at = authorised_at - interval '16 minutes'").await;
    shop.settle().await;
    let abandoned = "SELECT count(*) AS number FROM payments WHERE status = 'failed' AND failure = 'abandoned'";
    assert_eq!(shop.house.number(abandoned).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_provider_thinks_the_hold_outlasts_it_and_ends_after_ten_minutes_at_most() {
    let shop = Shop::open(2).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    let last_seconds = "UPDATE reservations SET expires_at = clock_timestamp() + interval '5 seconds'; \
                        UPDATE seats SET held_until = clock_timestamp() + interval '5 seconds'";
    shop.house.sql(last_seconds).await;
    shop.toss.always(Endpoint::Confirm, Fault::Error(500, "COMMON_ERROR"));
    shop.toss.always(Endpoint::LookUp, Fault::Error(500, "COMMON_ERROR"));
    buyer.post(CONFIRM, consent.body()).await.assert_problem(503, "payment_pending");
    let left = "SELECT round(extract(epoch FROM expires_at - clock_timestamp()))::bigint AS number FROM reservations";
    assert!((115..=120).contains(&shop.house.number(left).await));
    let same = "SELECT count(*) AS number FROM seats s JOIN reservations r ON r.id = s.reservation_id \
                WHERE s.held_until = r.expires_at";
    assert_eq!(shop.house.number(same).await, 2);
    let old = "UPDATE payments SET status = 'prepared', next_try_at = NULL; \
               UPDATE reservations SET created_at = clock_timestamp() - interval '9 minutes 30 seconds'; ";
    shop.house.sql(&format!("{old}{last_seconds}")).await;
    buyer.post(CONFIRM, consent.body()).await.assert_problem(503, "payment_pending");
    assert!((25..=30).contains(&shop.house.number(left).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imaginary_money_is_declined_where_somebody_wants_to_see_that() {
    let house = crate::house::House::open().await;
    let buyer = house.app.as_user();
    let (event, seats) = house.seated_event(1).await;
    let reserved = reserve(&buyer, event, &seats).await.assert_status(201);
    let reservation: ReservationId = crate::house::id(&reserved.json["reservation"]["id"]);
    let wish = serde_json::json!({ "reservationId": reservation, "amount": 50_000 });
    let order = buyer.post(PREPARE, wish).await.assert_status(200).text("/orderId").to_owned();
    let consent = Consent { reservation, order_id: order, payment_key: "sandbox_decline".to_owned(), amount: 50_000 };
    buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "payment_declined");
    buyer.post(crate::payments::PROCESS, process_wish(reservation, "naver_pay")).await.assert_status(200);
    assert_money(&house).await;
}
