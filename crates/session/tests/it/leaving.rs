//! Going out, and being shown out.

use std::time::Duration;

use chassis::mac::Mac;
use diesel_async::SimpleAsyncConnection;
use domain::ids::SessionId;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use session::participants::token::ParticipantToken;
use testkit::{Answer, TestClient};

use crate::{SESSIONS, config, join, open, start};

/// Sends what the gateway does for a guest's token.
async fn with_token(client: &TestClient, method: Method, path: &str, token: &str) -> Answer {
    client.send(client.request(method, path).header("x-participant-token", token)).await
}

async fn leave(client: &TestClient, path: &str, token: &str) -> Answer {
    with_token(client, Method::DELETE, path, token).await
}

fn place(session: &str, joined: &Answer) -> String {
    format!("{session}/participants/{}", joined.text("/participant/id"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_goes_out_and_their_token_is_worth_nothing() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let guest = app.anonymous();
    let (first, second) = (join(&guest, &code, "이주최").await, join(&guest, &code, "박관리").await);
    let token = first.text("/participant_token");
    assert!(leave(&guest, &place(&path, &first), token).await.assert_status(204).body.is_empty());
    assert_eq!(kim.get(&path).await.json["participant_count"], 1);
    assert_eq!(kim.get(&format!("{path}/participants")).await.json, json!([second.json["participant"]]));
    leave(&guest, &place(&path, &first), token).await.assert_problem(401, "invalid_token");
    let ticket = format!("{path}/stream-ticket");
    with_token(&guest, Method::POST, &ticket, token).await.assert_problem(401, "invalid_token");
    with_token(&guest, Method::POST, &ticket, second.text("/participant_token")).await.assert_status(200);
    // Whoever comes again is somebody new.
    let again = join(&guest, &code, "이주최").await.assert_status(201);
    assert_ne!(again.json["participant"]["id"], first.json["participant"]["id"]);
    assert_eq!(again.json["session"]["participant_count"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_shows_people_out_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let guest = join(&app.anonymous(), &code, "이주최").await.assert_status(201);
    let place = place(&path, &guest);
    app.as_user().delete(&place).await.assert_problem(404, "session_not_found");
    app.anonymous().delete(&place).await.assert_problem(401, "unauthenticated");
    let unknown = format!("{path}/participants/01900000-0000-7000-8000-0000000000ff");
    kim.delete(&unknown).await.assert_problem(404, "participant_not_found");
    kim.delete(&format!("{path}/participants/me")).await.assert_problem(404, "not_found");
    kim.delete(&place).await.assert_status(204);
    kim.delete(&place).await.assert_problem(404, "participant_not_found");
    assert_eq!(kim.get(&path).await.json["participant_count"], 0);
    leave(&app.anonymous(), &place, guest.text("/participant_token")).await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_shown_out_by_many_hands_at_once_is_counted_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    join(&app.anonymous(), &code, "박관리").await.assert_status(201);
    let guest = join(&app.anonymous(), &code, "이주최").await.assert_status(201);
    let place = place(&path, &guest);
    let (nobody, token) = (app.anonymous(), guest.text("/participant_token"));
    let (a, b, c, d) = tokio::join!(
        kim.delete(&place),
        leave(&nobody, &place, token),
        kim.delete(&place),
        leave(&nobody, &place, token)
    );
    let mut statuses = [a.status, b.status, c.status, d.status];
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1] > 400), (204, true), "{statuses:?}");
    assert_eq!(kim.get(&path).await.json["participant_count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_shows_another_guest_out() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let (other_path, other_code) = open(&app.as_user()).await;
    let nobody = app.anonymous();
    let (first, second) = (join(&nobody, &code, "이주최").await, join(&nobody, &code, "박관리").await);
    let elsewhere = join(&nobody, &other_code, "최손님").await;
    let target = place(&path, &first);
    leave(&nobody, &target, second.text("/participant_token")).await.assert_problem(404, "participant_not_found");
    leave(&nobody, &target, elsewhere.text("/participant_token")).await.assert_problem(404, "session_not_found");
    // Nor by way of a session that they are in.
    let crossed = format!("{other_path}/participants/{}", first.text("/participant/id"));
    leave(&nobody, &crossed, elsewhere.text("/participant_token")).await.assert_problem(404, "participant_not_found");
    assert_eq!(kim.get(&path).await.json["participant_count"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_is_in_goes_out_as_themselves_and_may_come_again() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let lee = app.as_user();
    let first = join(&lee, &code, "이주최").await.assert_status(201);
    let other = join(&app.anonymous(), &code, "박관리").await.assert_status(201);
    lee.delete(&place(&path, &other)).await.assert_problem(404, "participant_not_found");
    lee.delete(&place(&path, &first)).await.assert_status(204);
    lee.delete(&place(&path, &first)).await.assert_problem(404, "session_not_found");
    let second = join(&lee, &code, "이주최").await.assert_status(201);
    assert_ne!(first.json["participant"]["id"], second.json["participant"]["id"]);
    leave(&app.anonymous(), &place(&path, &first), first.text("/participant_token"))
        .await
        .assert_problem(401, "invalid_token");
    assert_eq!(kim.get(&path).await.json["participant_count"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_and_late_tokens_are_refused_and_the_key_before_counts() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let nobody = app.anonymous();
    let guest = join(&nobody, &code, "이주최").await.assert_status(201);
    let ticket = format!("{path}/stream-ticket");
    let ask = |token: String| {
        let (nobody, ticket) = (nobody.clone(), ticket.clone());
        async move { with_token(&nobody, Method::POST, &ticket, &token).await }
    };
    let token = guest.text("/participant_token").to_owned();
    ask(token.clone()).await.assert_status(200);
    let claims = ParticipantToken {
        session_id: SessionId(guest.text("/session/id").parse().unwrap()),
        participant_id: guest.text("/participant/id").parse().unwrap(),
    };
    let by = |letter: &str| {
        claims.write(&Mac::new(&SecretString::from(letter.repeat(48)), None, "participant token"), stage.clock.now())
    };
    assert_eq!(by("s"), token);
    for bad in [by("x"), "mpt_".to_owned(), "x".repeat(5_000), format!("{token}A"), token[4..].to_owned()] {
        let refused = ask(bad).await.assert_problem(401, "invalid_token");
        assert!(refused.header("www-authenticate").starts_with("Bearer"), "{:?}", refused.headers);
    }
    // Another replica, after a rotation.
    let mut config = config(&stage);
    config.participants.participant_secret = SecretString::from("n".repeat(48));
    config.participants.participant_secret_previous = Some(SecretString::from("s".repeat(48)));
    let rotated = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    with_token(&rotated.anonymous(), Method::POST, &ticket, &token).await.assert_status(200);
    let new = join(&rotated.anonymous(), &code, "박관리").await.assert_status(201);
    with_token(&rotated.anonymous(), Method::POST, &ticket, new.text("/participant_token")).await.assert_status(200);
    ask(new.text("/participant_token").to_owned()).await.assert_problem(401, "invalid_token");

    stage.clock.advance(Duration::from_hours(7 * 24));
    ask(token).await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_session_takes_everybody_with_it() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let guest = join(&app.anonymous(), &code, "이주최").await.assert_status(201);
    kim.delete(&path).await.assert_status(204);
    let token = guest.text("/participant_token");
    leave(&app.anonymous(), &place(&path, &guest), token).await.assert_problem(401, "invalid_token");
    join(&app.anonymous(), &code, "박관리").await.assert_problem(404, "session_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comings_and_goings_at_once_leave_the_right_count() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let mut visits = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (nobody, path, code) = (app.anonymous(), path.clone(), code.clone());
        visits.spawn(async move {
            let guest = join(&nobody, &code, &format!("손님 {number}")).await.assert_status(201);
            if number % 3 != 0 {
                leave(&nobody, &place(&path, &guest), guest.text("/participant_token")).await.assert_status(204);
            }
        });
    }
    visits.join_all().await;
    assert_eq!(kim.get(&path).await.json["participant_count"], 8);
    assert_eq!(kim.get(&format!("{path}/participants")).await.header("x-total-count"), "8");
    assert_eq!(kim.get(&format!("{SESSIONS}/code/{code}")).await.json["participant_count"], 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_long_ago_is_forgotten() {
    let (stage, app) = start().await;
    let (path, code) = open(&app.as_user()).await;
    let nobody = app.anonymous();
    let guest = join(&nobody, &code, "이주최").await.assert_status(201);
    join(&nobody, &code, "박관리").await.assert_status(201);
    leave(&nobody, &place(&path, &guest), guest.text("/participant_token")).await.assert_status(204);
    let app = session::app::App::new(config(&stage), stage.clock.clone()).unwrap();
    assert_eq!(session::participants::prune::forget(&app).await.unwrap(), (0, 0));
    let old = "UPDATE participants SET left_at = left_at - interval '31 days'";
    stage.pg().conn().await.unwrap().batch_execute(old).await.unwrap();
    assert_eq!(session::participants::prune::forget(&app).await.unwrap(), (0, 1));
}
