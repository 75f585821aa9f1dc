use serde_json::{Value, json};

use super::*;

const ORDER: &str = "maru_order_1";

async fn post(toss: &TossServer, path: &str, key: &str, body: Value) -> (u16, Value) {
    let http = crate::http_client();
    let request = http.post(format!("{}/v1/payments/{path}", toss.url())).basic_auth(SECRET_KEY, Some(""));
    let response = request.header("Idempotency-Key", key).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn confirmation(payment_key: &str, amount: i64) -> Value {
    json!({ "paymentKey": payment_key, "orderId": ORDER, "amount": amount })
}

#[tokio::test]
async fn money_is_taken_once_and_given_back_once() {
    let toss = TossServer::start();
    let key = toss.consent(ORDER, 1_000);
    assert_eq!(post(&toss, "confirm", "c1", confirmation(&key, 999)).await.1["code"], "INVALID_REQUEST");
    let (status, body) = post(&toss, "confirm", "c2", confirmation(&key, 1_000)).await;
    assert_eq!((status, &body["status"], &body["balanceAmount"]), (200, &json!("DONE"), &json!(1_000)));
    let (status, body) = post(&toss, "confirm", "c3", confirmation(&key, 1_000)).await;
    assert_eq!((status, &body["code"]), (400, &json!("ALREADY_PROCESSED_PAYMENT")));
    let back = json!({ "cancelReason": "변심", "cancelAmount": 1_000 });
    assert_eq!(post(&toss, &format!("{key}/cancel"), "x1", back.clone()).await.1["status"], "CANCELED");
    assert_eq!(post(&toss, &format!("{key}/cancel"), "x2", back).await.1["code"], "ALREADY_CANCELED_PAYMENT");
    let booked = toss.booked(&key);
    assert_eq!((booked.status, booked.taken, booked.returned), ("CANCELED", 1_000, 1_000));
    assert_eq!((toss.calls(Endpoint::Confirm), toss.calls(Endpoint::Cancel)), (3, 2));
}

#[tokio::test]
async fn an_answer_is_repeated_under_its_key_also_when_it_is_an_error() {
    let toss = TossServer::start();
    let key = toss.consent(ORDER, 1_000);
    toss.next(Endpoint::Confirm, Fault::Error(500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING"));
    assert_eq!(post(&toss, "confirm", "c1", confirmation(&key, 1_000)).await.0, 500);
    assert_eq!(post(&toss, "confirm", "c1", confirmation(&key, 1_000)).await.0, 500);
    assert_eq!(post(&toss, "confirm", "c2", confirmation(&key, 1_000)).await.0, 200);
    assert_eq!(post(&toss, "confirm", "c2", confirmation(&key, 1_000)).await.0, 200);
}
