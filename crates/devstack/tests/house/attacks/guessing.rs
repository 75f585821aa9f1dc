//! Guessing, in a house with the limits of production.

use std::time::Duration;

use serde_json::json;

use super::things::method;
use crate::{
    person::{Answer, PASSWORD, Person},
    stack::Stack,
};

/// Sends something from an address that changes with every try, if one believes what is sent along.
async fn guess(person: &Person, try_number: usize, verb: &str, path: &str, body: &serde_json::Value) -> Answer {
    let forged = format!("203.0.113.{}, 198.51.100.{}", try_number % 250, try_number * 7 % 250);
    let mut request = person.request(method(verb), path);
    for name in ["x-forwarded-for", "x-real-ip", "cf-connecting-ip", "true-client-ip", "x-client-ip"] {
        request = request.header(name, &forged);
    }
    request = request.header("forwarded", format!("for=203.0.113.{}", try_number % 250));
    let answer = person.send(if verb == "GET" { request } else { request.json(body) }).await;
    answer.sound(path);
    if answer.status == 429 {
        let wait = answer.headers["retry-after"].to_str().ok().and_then(|text| text.parse::<u32>().ok());
        assert!(wait.is_some_and(|seconds| seconds > 0), "{:?}", answer.headers);
        assert_eq!(answer.json["code"], "too_many_requests");
    }
    answer
}

/// Guesses, now at one gateway and now at the other, until it is told to wait; returns how many guesses that were.
async fn guesses(
    doors: &[Person; 2],
    most: usize,
    verb: &str,
    path: &str,
    body: impl Fn(usize) -> serde_json::Value,
) -> usize {
    for number in 0..most {
        if guess(&doors[number % 2], number, verb, path, &body(number)).await.status == 429 {
            return number;
        }
    }
    panic!("{most} guesses at {path} met no limit")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_20_who_guesses_is_soon_told_to_wait_whatever_address_they_claim() {
    let stack = Stack::up_with("gateway=2", &[("RATE_LIMITS", "strict")]);
    let [gateway, other] = stack.gateways()[..] else { panic!("two gateways") };
    let email = "kim@example.com";
    let kim = Person::register(gateway, email).await;
    Person::register(gateway, "lee@example.com").await;
    // Two gateways are not two chances.
    let doors = [gateway, other].map(Person::stranger);
    let [stranger, elsewhere] = &doors;

    one_account(&doors, email).await;
    // Three tries of the address are left; other accounts and other paths count as the same. A gateway that is not told
    // in time by Redis what the other one has counted knows its own half, for a second: that is what a busy machine adds.
    let many = |number| json!({ "email": format!("user{number}@example.com"), "password": "wrong-dugout" });
    let tried = guesses(&doors, 12, "POST", "/login", many).await;
    assert!((2..=8).contains(&tried), "{tried} more accounts could be tried");
    for path in ["/api/v1/auth/login", "/api/auth/login", "/auth/google/callback"] {
        is_refused(elsewhere, path, &many(9)).await;
    }
    // Who is in stays in.
    kim.get("/user/me").await.ok(200);

    let code =
        |number| json!({ "email": email, "code": format!("AAAAA{number:03}"), "new_password": "dugout-New-41c9" });
    let codes = guesses(&doors, 28, "POST", "/auth/password-reset/confirm", code).await;
    assert!(codes <= 21, "{codes} mailed codes could be tried");
    let account = |number| json!({ "name": "x", "email": format!("new{number}@example.com"), "password": PASSWORD });
    let accounts = guesses(&doors, 12, "POST", "/register", account).await;
    assert!((3..=8).contains(&accounts), "{accounts} more accounts: five in all, and five more at the most");
    let joined = guesses_of_session_codes(&[kim.clone(), kim.at(other)]).await;
    assert!((25..=65).contains(&joined), "{joined} session codes could be tried");
    // To look and to come in are the same guess.
    let path = "/api/v1/sessions/code/AB9999/join";
    is_refused(stranger, path, &json!({})).await;
}

/// Waits until somebody is told to wait; each try counts.
async fn is_refused(person: &Person, path: &str, body: &serde_json::Value) {
    testkit::eventually(Duration::from_secs(10), || async { guess(person, 9, "POST", path, body).await.status == 429 })
        .await;
}

/// Five passwords for one account, and then not even the right one, from here; the account next to it is not affected.
async fn one_account(doors: &[Person; 2], email: &str) {
    for number in 0..5 {
        let body = json!({ "email": email, "password": format!("wrong-dugout-{number}") });
        guess(&doors[number % 2], number, "POST", "/login", &body).await.problem(401, "wrong_credentials");
    }
    let right = json!({ "email": email, "password": PASSWORD });
    assert_eq!(guess(&doors[1], 5, "POST", "/login", &right).await.status, 429);
    let next = json!({ "email": "lee@example.com", "password": PASSWORD });
    guess(&doors[0], 6, "POST", "/login", &next).await.ok(200);
}

async fn guesses_of_session_codes(doors: &[Person; 2]) -> usize {
    for number in 0..100 {
        let path = format!("/api/v1/sessions/code/AB{number:04}");
        if guess(&doors[number % 2], number, "GET", &path, &json!(null)).await.status == 429 {
            return number;
        }
    }
    panic!("100 session codes met no limit")
}
