//! Paying when everything goes well, and what is refused before anybody is asked for money.

use std::time::Duration;

use chassis::config::Environment;
use domain::{
    ids::{EventId, ReservationId, SeatId},
    principal::{Principal, Role},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{
    Answer, TestApp, TestClient,
    toss::{CLIENT_KEY, Endpoint, SECRET_KEY, TossServer},
};
use ticketing::payment::config::{PaymentConfig, ProviderKind};

use crate::house::{House, id, reserve};

pub(crate) const METHODS: &str = "/api/v1/payments/methods";
pub(crate) const PREPARE: &str = "/api/v1/payments/prepare";
pub(crate) const CONFIRM: &str = "/api/v1/payments/confirm";
pub(crate) const PROCESS: &str = "/api/v1/payments/process";
pub(crate) const WEBHOOK: &str = "/api/v1/payments/webhooks/toss";

/// A configuration: a provider that is a test's own, or imaginary money; the reconciler looks once, at the start.
pub(crate) fn config(toss: Option<&TossServer>) -> PaymentConfig {
    let address = toss.map_or_else(|| "http://127.0.0.1:1".to_owned(), TossServer::url);
    PaymentConfig {
        payment_provider: toss.map(|_| ProviderKind::Toss),
        toss_secret_key: toss.map(|_| SecretString::from(SECRET_KEY)),
        toss_client_key: toss.map(|_| CLIENT_KEY.to_owned()),
        toss_base_url: address.parse().unwrap(),
        // Long enough for a busy machine, and short enough for a test that waits for it.
        toss_timeout_ms: 2_000,
        payment_sweep_ms: 3_600_000,
    }
}

/// A house with a provider, and one buyer's reservation.
pub(crate) struct Shop {
    pub(crate) house: House,
    pub(crate) toss: TossServer,
    pub(crate) event: EventId,
    pub(crate) seats: Vec<SeatId>,
}

/// A consent that waits to be confirmed.
#[derive(Clone)]
pub(crate) struct Consent {
    pub(crate) reservation: ReservationId,
    pub(crate) order_id: String,
    pub(crate) payment_key: String,
    pub(crate) amount: i64,
}

impl Consent {
    pub(crate) fn body(&self) -> Value {
        json!({ "paymentKey": self.payment_key, "orderId": self.order_id, "amount": self.amount })
    }
}

impl Shop {
    /// Opens a shop whose reconciler does not come round by itself.
    pub(crate) async fn open(seats: i32) -> Self {
        Self::with_sweep(seats, 3_600_000).await
    }

    /// Opens a shop whose reconciler is always there.
    pub(crate) async fn reconciled(seats: i32) -> Self {
        Self::with_sweep(seats, 20).await
    }

    async fn with_sweep(seats: i32, sweep_ms: u64) -> Self {
        let toss = TossServer::start();
        let payments = PaymentConfig { payment_sweep_ms: sweep_ms, ..config(Some(&toss)) };
        let house = House::with(|config| config.payments = payments).await;
        let (event, seats) = house.seated_event(seats).await;
        Self { house, toss, event, seats }
    }

    /// Starts another replica, whose reconciler is always there.
    pub(crate) fn replica(&self) -> TestApp {
        let mut config = crate::house::config(&self.house.stage);
        config.payments = PaymentConfig { payment_sweep_ms: 20, ..self::config(Some(&self.toss)) };
        self.house.stage.serve(ticketing::build(config, self.house.stage.clock.clone()).unwrap())
    }

    /// Reserves a seat and consents to pay for it.
    pub(crate) async fn consent(&self, buyer: &TestClient, seats: &[SeatId]) -> Consent {
        let reserved = reserve(buyer, self.event, seats).await.assert_status(201);
        let reservation: ReservationId = id(&reserved.json["reservation"]["id"]);
        let amount = reserved.json["reservation"]["totalAmount"].as_i64().unwrap();
        self.consent_to(buyer, reservation, amount).await
    }

    /// Consents to pay for a reservation.
    pub(crate) async fn consent_to(&self, buyer: &TestClient, reservation: ReservationId, amount: i64) -> Consent {
        let wish = json!({ "reservationId": reservation, "amount": amount });
        let prepared = buyer.post(PREPARE, wish).await.assert_status(200);
        let order_id = prepared.text("/orderId").to_owned();
        Consent { reservation, payment_key: self.toss.consent(&order_id, amount), order_id, amount }
    }

    /// Lets every pause and lease end until nothing is unsettled any more.
    pub(crate) async fn settle(&self) {
        let unsettled = "SELECT (SELECT count(*) FROM payments WHERE next_try_at IS NOT NULL) \
                         + (SELECT count(*) FROM payment_webhooks WHERE done_at IS NULL) \
                         + (SELECT count(*) FROM outbox WHERE topic = 'refund') AS number";
        testkit::eventually(Duration::from_secs(40), || async {
            self.let_leases_end().await;
            self.house.number(unsettled).await == 0
        })
        .await;
    }

    /// Lets every pause end, and every lease but those of somebody who is at it now.
    pub(crate) async fn let_leases_end(&self) {
        self.house
            .sql(
                "UPDATE payments SET next_try_at = clock_timestamp() - interval '1 second' \
                 WHERE next_try_at > clock_timestamp() AND \
                 next_try_at NOT BETWEEN clock_timestamp() + interval '5 seconds' \
                 AND clock_timestamp() + interval '11.1 seconds'; \
                 UPDATE payment_webhooks SET next_try_at = clock_timestamp() - interval '1 second' WHERE done_at IS NULL; \
                 UPDATE outbox SET due_at = clock_timestamp() - interval '1 second' WHERE topic = 'refund'",
            )
            .await;
    }

    /// Fails the test unless the books of both sides agree and all money has become tickets, or gone back.
    pub(crate) async fn assert_money(&self) {
        assert_money(&self.house).await;
        let kept: i64 = self.toss.all_booked().iter().map(|booked| booked.taken - booked.returned).sum();
        let captured = self
            .house
            .number("SELECT coalesce(sum(amount), 0)::bigint AS number FROM payments WHERE status = 'captured'")
            .await;
        assert_eq!(kept, captured, "money that one side has and the other does not know of");
        let returned = self.toss.all_booked().iter().filter(|booked| booked.returned > 0).count();
        let refunded = self.house.number("SELECT count(*) AS number FROM payments WHERE status = 'refunded'").await;
        assert_eq!(i64::try_from(returned).unwrap(), refunded, "refunds that one side does not know of");
    }
}

/// Fails the test unless all money has become tickets, or gone back.
pub(crate) async fn assert_money(house: &House) {
    let none = [
        (
            "payments that nobody has settled",
            "SELECT count(*) AS number FROM payments WHERE status IN ('authorising', 'refund_pending')",
        ),
        (
            "money that was kept for nothing",
            "SELECT count(*) AS number FROM payments p JOIN reservations r ON r.id = p.reservation_id \
             WHERE p.status = 'captured' AND (r.status <> 'confirmed' OR r.payment_status <> 'completed' \
             OR r.total_amount <> p.amount)",
        ),
        (
            "confirmed reservations without money",
            "SELECT count(*) AS number FROM reservations r WHERE r.status = 'confirmed' AND r.total_amount > 0 \
             AND (SELECT count(*) FROM payments p WHERE p.reservation_id = r.id AND p.status = 'captured') <> 1",
        ),
        (
            "money that went back from a reservation that does not know it",
            "SELECT count(*) AS number FROM payments p JOIN reservations r ON r.id = p.reservation_id \
             WHERE p.status = 'refunded' AND r.status IN ('cancelled', 'expired') AND r.payment_status <> 'refunded'",
        ),
        (
            "confirmed reservations whose tickets are not exactly what was bought",
            "SELECT count(*) AS number FROM reservations r WHERE r.status = 'confirmed' AND \
             (SELECT count(*) FROM tickets t WHERE t.reservation_id = r.id) <> \
             (SELECT count(*) FROM reservation_seats k WHERE k.reservation_id = r.id) + \
             coalesce((SELECT sum(quantity) FROM reservation_items i WHERE i.reservation_id = r.id), 0)",
        ),
        (
            "tickets of reservations that were never confirmed",
            "SELECT count(*) AS number FROM tickets t JOIN reservations r ON r.id = t.reservation_id \
             WHERE r.status IN ('pending', 'expired')",
        ),
        (
            "seats that two people have tickets for",
            "SELECT count(*) AS number FROM (SELECT t.seat_id FROM tickets t JOIN reservations r \
             ON r.id = t.reservation_id WHERE r.status = 'confirmed' AND t.seat_id IS NOT NULL \
             GROUP BY t.seat_id HAVING count(*) > 1) twice",
        ),
    ];
    for (what, query) in none {
        assert_eq!(house.number(query).await, 0, "{what}");
    }
    house.assert_sound().await;
}

/// The same person on another replica.
pub(crate) fn twin(replica: &TestApp, buyer: &TestClient) -> TestClient {
    replica.as_principal(Principal { user_id: buyer.user_id, login_id: buyer.login_id, role: Role::User })
}

pub(crate) fn process_wish(reservation: ReservationId, method: &str) -> Value {
    json!({ "reservationId": reservation, "paymentMethod": method })
}

async fn reserve_one(house: &House, buyer: &TestClient) -> (ReservationId, Answer) {
    let (event, seats) = house.seated_event(1).await;
    let answer = reserve(buyer, event, &seats).await.assert_status(201);
    (id(&answer.json["reservation"]["id"]), answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imaginary_money_is_offered_in_development_and_says_so() {
    let house = House::open().await;
    let answer = house.app.anonymous().get(METHODS).await.assert_status(200);
    let methods = answer.json["methods"].as_array().unwrap();
    let ids: Vec<_> = methods.iter().map(|method| method["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["naver_pay", "kakao_pay", "bank_transfer", "toss_payments"]);
    assert!(methods.iter().all(|method| method["sandbox"] == true), "{}", answer.json);
    assert_eq!(methods[0]["name"], "네이버페이");
    let english = house.app.anonymous().get_with("/api/payments/methods", &[("accept-language", "en")]).await;
    assert_eq!(english.json["methods"][1]["name"], "Kakao Pay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_production_nothing_can_be_paid_for_until_a_provider_is_chosen() {
    let house = House::with(|config| config.base.common.environment = Environment::Production).await;
    assert_eq!(house.app.anonymous().get(METHODS).await.assert_status(200).json, json!({ "methods": [] }));
    let buyer = house.app.as_user();
    let (reservation, _) = reserve_one(&house, &buyer).await;
    let wish = json!({ "reservationId": reservation, "amount": 50_000 });
    buyer.post(PREPARE, wish).await.assert_problem(503, "payments_not_configured");
    let refused = buyer.post(PROCESS, process_wish(reservation, "kakao_pay")).await;
    refused.assert_problem(503, "payments_not_configured");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processed_payment_is_answered_as_the_clients_read_it_and_the_same_again() {
    let house = House::open().await;
    let buyer = house.app.as_user();
    let (reservation, reserved) = reserve_one(&house, &buyer).await;
    let answer = buyer.post(PROCESS, process_wish(reservation, "kakao_pay")).await.assert_status(200);
    assert_eq!((&answer.json["success"], &answer.json["message"]), (&json!(true), &json!("결제가 완료되었습니다.")));
    let payment = &answer.json["payment"];
    assert_eq!(payment["reservationId"], json!(reservation));
    assert_eq!(payment["reservationNumber"], reserved.json["reservation"]["reservationNumber"]);
    assert_eq!((&payment["paymentMethod"], &payment["totalAmount"]), (&json!("kakao_pay"), &json!(50_000)));
    assert!(answer.text("/payment/paidAt").ends_with('Z'));
    let bought = &answer.json["reservation"];
    assert_eq!((&bought["status"], &bought["payment_status"]), (&json!("confirmed"), &json!("completed")));
    assert_eq!(bought["event"]["title"], "달빛 재즈");
    assert_eq!(bought["seats"][0]["seatLabel"], "A-1");
    let again = buyer.post(PROCESS, process_wish(reservation, "bank_transfer")).await.assert_status(200);
    assert_eq!(again.json, answer.json);
    let seats = "SELECT count(*) AS number FROM seats WHERE status = 'reserved' AND held_until IS NULL";
    assert_eq!(house.number(seats).await, 1);
    assert_money(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_confirmed_once_and_answered_the_same_again() {
    let shop = Shop::open(2).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    let answer = buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    assert_eq!(answer.json["payment"]["paymentMethod"], "toss_payments");
    // A test key moves no money.
    assert_eq!(answer.json["payment"]["sandbox"], true);
    let again = buyer.post("/api/payments/confirm", consent.body()).await.assert_status(200);
    assert_eq!(again.json, answer.json);
    assert_eq!(shop.toss.calls(Endpoint::Confirm), 1);
    assert_eq!(shop.toss.booked(&consent.payment_key).status, "DONE");
    let other = Consent { payment_key: shop.toss.consent(&consent.order_id, 100_000), ..consent.clone() };
    buyer.post(CONFIRM, other.body()).await.assert_problem(409, "already_paid");
    let wish = json!({ "reservationId": consent.reservation, "amount": 100_000 });
    buyer.post(PREPARE, wish).await.assert_problem(409, "already_paid");
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_prepared_twice_is_one_order_with_the_providers_public_key() {
    let shop = Shop::open(1).await;
    let buyer = shop.house.app.as_user();
    let reserved = reserve(&buyer, shop.event, &shop.seats).await.assert_status(201);
    let wish = json!({ "reservationId": reserved.json["reservation"]["id"], "amount": 50_000 });
    let answers = futures_util::future::join_all((0..10).map(|_| buyer.post(PREPARE, wish.clone()))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.json);
        assert_eq!(answer.json, answers[0].json);
    }
    assert_eq!(answers[0].json["clientKey"], CLIENT_KEY);
    assert_eq!(answers[0].json["amount"], 50_000);
    let order = answers[0].text("/orderId");
    assert!((6..=64).contains(&order.len()), "{order}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_for_money_for_what_is_foreign_wrong_or_over() {
    let shop = Shop::open(1).await;
    let (buyer, stranger) = (shop.house.app.as_user(), shop.house.app.as_user());
    let consent = shop.consent(&buyer, &shop.seats).await;
    let prepare = |amount: i64| json!({ "reservationId": consent.reservation, "amount": amount });
    stranger.post(PREPARE, prepare(50_000)).await.assert_problem(404, "reservation_not_found");
    stranger.post(CONFIRM, consent.body()).await.assert_problem(404, "payment_not_found");
    let process = stranger.post(PROCESS, process_wish(consent.reservation, "toss_payments")).await;
    process.assert_problem(404, "reservation_not_found");
    let refused = buyer.post(PREPARE, prepare(49_999)).await.assert_problem(422, "invalid");
    assert_eq!(refused.json["errors"][0]["pointer"], "/amount");
    let cheap = Consent { amount: 1, ..consent.clone() };
    buyer.post(CONFIRM, cheap.body()).await.assert_problem(422, "invalid");
    for nobodys in ["maru_nobody", "", "maru_\u{0}"] {
        let unknown = Consent { order_id: nobodys.to_owned(), ..consent.clone() };
        buyer.post(CONFIRM, unknown.body()).await.assert_problem(404, "payment_not_found");
    }
    let blank = Consent { payment_key: String::new(), ..consent.clone() };
    let refused = buyer.post(CONFIRM, blank.body()).await.assert_problem(422, "invalid");
    assert_eq!(refused.json["errors"][0]["pointer"], "/paymentKey");
    for malformed in [json!({}), json!([]), json!({ "paymentKey": 1, "orderId": "o", "amount": "x" })] {
        buyer.post(CONFIRM, malformed).await.assert_problem(400, "malformed");
    }
    for (method, code) in [("naver_pay", "not_available"), ("toss_payments", "needs_window")] {
        let refused = buyer.post(PROCESS, process_wish(consent.reservation, method)).await;
        assert_eq!(refused.assert_problem(422, "invalid").json["errors"][0]["code"], code);
    }
    shop.house.app.anonymous().post(CONFIRM, consent.body()).await.assert_problem(401, "unauthenticated");
    shop.house.let_holds_end().await;
    buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "reservation_expired");
    buyer.post(PREPARE, prepare(50_000)).await.assert_problem(409, "reservation_expired");
    shop.house.sql("SELECT release_reservation(id, 'cancelled') FROM reservations").await;
    shop.house.sql("UPDATE reservations SET status = 'cancelled'").await;
    buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "already_cancelled");
    assert_eq!(shop.toss.calls(Endpoint::Confirm), 0);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_stands_for_one_request_also_across_the_providers_answer() {
    let shop = Shop::open(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    let key = [("idempotency-key", "pay-1")];
    let first = buyer.post_with(CONFIRM, consent.body(), &key).await.assert_status(200);
    assert_eq!(buyer.post_with(CONFIRM, consent.body(), &key).await.assert_status(200).json, first.json);
    let other = Consent { amount: 1, ..consent.clone() };
    buyer.post_with(CONFIRM, other.body(), &key).await.assert_problem(422, "idempotency_key_reused");
    // What was answered stays the answer to this key, whatever becomes of the reservation.
    shop.house.sql("SELECT release_reservation(id, 'cancelled') FROM reservations").await;
    assert_eq!(buyer.post_with(CONFIRM, consent.body(), &key).await.assert_status(200).json, first.json);
    assert_eq!(shop.toss.calls(Endpoint::Confirm), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_costs_nothing_is_confirmed_without_any_money() {
    let house = House::open().await;
    let buyer = house.app.as_user();
    let (event, seats) = house.seated_event(1).await;
    house.sql("UPDATE seats SET price = 0").await;
    let reserved = reserve(&buyer, event, &seats).await.assert_status(201);
    let reservation: ReservationId = id(&reserved.json["reservation"]["id"]);
    let wish = json!({ "reservationId": reservation, "amount": 0 });
    buyer.post(PREPARE, wish).await.assert_problem(422, "invalid");
    let answer = buyer.post(PROCESS, process_wish(reservation, "kakao_pay")).await.assert_status(200);
    assert_eq!(answer.json["payment"]["totalAmount"], 0);
    assert_eq!(house.number("SELECT count(*) AS number FROM payments").await, 0);
    assert_eq!(house.number("SELECT count(*) AS number FROM tickets").await, 1);
    assert_money(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_itself_keeps_money_from_getting_lost() {
    let house = House::open().await;
    let buyer = house.app.as_user();
    let (reservation, _) = reserve_one(&house, &buyer).await;
    buyer.post(PROCESS, process_wish(reservation, "kakao_pay")).await.assert_status(200);
    let second = format!(
        "INSERT INTO payments (id, reservation_id, provider, order_id, method, amount) \
         VALUES (gen_random_uuid(), '{reservation}', 'sandbox', 'another', 'kakao_pay', 50000)"
    );
    for refused in [
        second.as_str(),
        "UPDATE payments SET status = 'failed'",
        "UPDATE payments SET status = 'refund_pending'",
        "UPDATE payments SET status = 'authorising', captured_at = NULL",
        "UPDATE payments SET status = 'refunded'",
        "UPDATE payments SET payment_key = NULL",
        "UPDATE payments SET amount = 0",
        "DELETE FROM reservations",
    ] {
        assert!(house.refuses(refused).await, "{refused}");
    }
}
