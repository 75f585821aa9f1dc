//! Two things at once, on two replicas of everything.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;
use tokio::task::JoinSet;

use super::House;
use crate::person::{Answer, PASSWORD, Person};

/// Asks several times at the same moment.
async fn at_once(asked: impl IntoIterator<Item = (Person, Method, &'static str, Value)>) -> Vec<Answer> {
    let mut running = JoinSet::new();
    for (person, method, path, body) in asked {
        running.spawn(async move { person.try_send(method, path, Some(body)).await.expect("the gateway answers") });
    }
    let answers = running.join_all().await;
    for answer in &answers {
        answer.sound("a race");
        assert!(answer.status < 500, "{}", answer.json);
    }
    answers
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

pub(super) async fn attack_45_of_two_that_register_one_does(house: &House) {
    let stranger = Person::stranger(house.stack.gateway());
    for round in 0..3 {
        let addresses = ["Race{}@Example.com", "race{}@example.com", "RACE{}@EXAMPLE.COM"];
        let asked = (0..6).map(|place| {
            let email = addresses[place % 3].replace("{}", &round.to_string());
            let body = json!({ "name": "경주", "email": email, "password": PASSWORD });
            (stranger.clone(), Method::POST, "/register", body)
        });
        let answers = at_once(asked).await;
        assert_eq!((with_status(&answers, 201), with_status(&answers, 409)), (1, 5));
        let made = answers.iter().find(|answer| answer.status == 201).expect("one of them");
        let person = Person::login(house.stack.gateway(), &format!("race{round}@example.com"), PASSWORD).await;
        assert_eq!(person.id, made.text("/user_id"));
    }
}

pub(super) async fn attack_45_of_ten_new_passwords_one_counts(house: &House) {
    let email = "changes@example.com";
    let person = Person::register(house.stack.gateway(), email).await;
    let wanted = |number: usize| format!("dugout-Race-{number}-41c9");
    let asked = (0..10).map(|number| {
        let body = json!({ "current_password": PASSWORD, "new_password": wanted(number) });
        (person.clone(), Method::POST, "/change-password", body)
    });
    let answers = at_once(asked).await;
    assert_eq!(with_status(&answers, 200), 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(matches!(answer.json["code"].as_str(), Some("wrong_password" | "password_changed")), "{}", answer.json);
    }
    let stranger = person.signed_out();
    let mut entered = 0;
    for password in (0..10).map(wanted).chain([PASSWORD.to_owned()]) {
        let answer = stranger.post("/login", json!({ "email": email, "password": password })).await;
        entered += usize::from(answer.status == 200);
        assert!(matches!(answer.status, 200 | 401), "{}", answer.json);
    }
    assert_eq!(entered, 1, "as many passwords open this account");
}

/// Whoever logs in while the account is erased has a token that is dead, or none.
pub(super) async fn attack_45_nobody_logs_in_to_an_account_that_is_going(house: &House) {
    for round in 0..3 {
        let email = format!("leaves{round}@example.com");
        let person = Person::register(house.stack.gateway(), &email).await;
        let stranger = person.signed_out();
        let login = json!({ "email": email, "password": PASSWORD });
        let logins = (0..6).map(|_| (stranger.clone(), Method::POST, "/login", login.clone()));
        let leave = (person.clone(), Method::DELETE, "/user/me", json!({ "password": PASSWORD }));
        let answers = at_once(logins.chain([leave.clone(), leave])).await;
        assert_eq!(with_status(&answers, 202), 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.status == 200) {
            let late = stranger.with_token(&answer.text("/access_token"));
            eventually(Duration::from_secs(10), || async { late.get("/user/me").await.status == 401 }).await;
            let body = json!({ "refresh_token": answer.text("/refresh_token") });
            assert_eq!(stranger.post("/auth/refresh", body).await.status, 401);
        }
        stranger.post("/login", login).await.problem(401, "wrong_credentials");
    }
}

pub(super) async fn attack_45_a_refresh_does_not_outlive_a_logout(house: &House) {
    let email = "refreshes@example.com";
    Person::register(house.stack.gateway(), email).await;
    let stranger = Person::stranger(house.stack.gateway());
    for _ in 0..3 {
        let login = stranger.post("/login", json!({ "email": email, "password": PASSWORD })).await.ok(200);
        let person = stranger.with_token(&login.text("/access_token"));
        let body = json!({ "refresh_token": login.text("/refresh_token") });
        let exchanges = (0..6).map(|_| (stranger.clone(), Method::POST, "/auth/refresh", body.clone()));
        let leave = (person, Method::POST, "/auth/logout", json!({}));
        let (before, after): (Vec<_>, Vec<_>) = exchanges.enumerate().partition(|(place, _)| *place < 3);
        let in_order =
            before.into_iter().map(|(_, one)| one).chain([leave]).chain(after.into_iter().map(|(_, one)| one));
        let answers = at_once(in_order).await;
        for answer in answers.iter().filter(|answer| answer.json["refresh_token"].is_string()) {
            let refreshed = stranger.with_token(&answer.text("/access_token"));
            eventually(Duration::from_secs(10), || async { refreshed.get("/user/me").await.status == 401 }).await;
            let again = json!({ "refresh_token": answer.text("/refresh_token") });
            assert_eq!(stranger.post("/auth/refresh", again).await.status, 401);
        }
        assert_eq!(stranger.post("/auth/refresh", body.clone()).await.status, 401);
    }
}
