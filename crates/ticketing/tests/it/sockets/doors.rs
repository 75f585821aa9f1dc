//! Who comes in, and who is shown out.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use testkit::{Socket, eventually};

use super::{
    Hall,
    hall::{joined, settle},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_says_who_it_is_or_is_refused_in_the_clients_words() {
    let hall = Hall::open().await;
    let nobody = hall.house.app.anonymous();
    let refusal = |auth| async move { nobody.socket_io(auth).await.err() };
    assert_eq!(refusal(None).await.as_deref(), Some("Authentication required"));
    let nobody = hall.house.app.anonymous();
    for auth in [json!({}), json!({ "token": null }), json!([])] {
        assert_eq!(nobody.socket_io(Some(&auth)).await.err().as_deref(), Some("Authentication required"), "{auth}");
    }
    for auth in [json!({ "token": "made-up" }), json!({ "token": "" }), json!({ "token": 7 })] {
        let refusal = nobody.socket_io(Some(&auth)).await.err();
        assert_eq!(refusal.as_deref(), Some("Invalid authentication token"), "{auth}");
    }
    let long = json!({ "token": "x".repeat(5_000) });
    assert_eq!(nobody.socket_io(Some(&long)).await.err().as_deref(), Some("Invalid authentication token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_judged_once_and_counts_until_it_ends() {
    let hall = Hall::open().await;
    let clock = &hall.house.stage.clock;
    let auth = hall.auth.knows("good", hall.somebody(), (clock.now() + Duration::from_mins(5)).into());
    let nobody = hall.house.app.anonymous();
    for _ in 0..3 {
        assert!(nobody.socket_io(Some(&auth)).await.is_ok());
    }
    assert_eq!(hall.auth.asked(), 1);
    clock.advance(Duration::from_mins(6));
    assert_eq!(nobody.socket_io(Some(&auth)).await.err().as_deref(), Some("Invalid authentication token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_not_made_good_by_a_cookie() {
    let hall = Hall::open().await;
    let known = hall.house.app.as_user();
    assert!(known.socket_io(None).await.is_ok());
    let refusal = known.socket_io(Some(&json!({ "token": "made-up" }))).await.err();
    assert_eq!(refusal.as_deref(), Some("Invalid authentication token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_nobody_can_judge_is_not_told_to_give_up() {
    let hall = Hall::open().await;
    let auth = hall.auth.knows("good", hall.somebody(), (hall.house.stage.clock.now() + Duration::from_mins(5)).into());
    hall.auth.is_away(true);
    let nobody = hall.house.app.anonymous();
    // A `connect_error` would end a stock client's tries; a broken connection does not.
    assert_eq!(nobody.socket_io(Some(&auth)).await.err().as_deref(), Some("closed"));
    hall.auth.is_away(false);
    eventually(Duration::from_secs(10), || async { nobody.socket_io(Some(&auth)).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_login_ends_its_sockets_and_no_others() {
    let hall = Hall::open().await;
    let (event, person) = (hall.event().await, hall.somebody());
    let auth = hall.auth.knows("good", person, (hall.house.stage.clock.now() + Duration::from_mins(5)).into());
    let by_token = hall.house.app.anonymous().socket_io(Some(&auth)).await.unwrap();
    let by_cookie = hall.other.as_principal(person).socket_io(None).await.unwrap();
    let (mut first, mut second) =
        (joined(by_token, "join-event", event).await, joined(by_cookie, "join-event", event).await);
    let mut neighbour = joined(hall.here().await, "join-event", event).await;
    hall.end(person).await;
    let ended = async { tokio::join!(first.closed(), second.closed()) };
    tokio::time::timeout(Duration::from_secs(15), ended).await.expect("closed");
    let refusal = hall.house.app.anonymous().socket_io(Some(&auth)).await.err();
    assert_eq!(refusal.as_deref(), Some("Invalid authentication token"));
    assert_eq!(neighbour.ask("join-queue", &json!({ "eventId": event })).await["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_has_so_many_sockets_and_no_more() {
    let hall = Hall::open().await;
    let client = hall.house.app.as_user();
    let mut sockets = Vec::new();
    for _ in 0..32 {
        let mut socket = client.socket_io(None).await.unwrap();
        settle(&mut socket).await;
        sockets.push(socket);
    }
    assert_eq!(client.socket_io(None).await.err().as_deref(), Some("Too many connections"));
    assert!(hall.house.app.as_user().socket_io(None).await.is_ok());
    sockets.pop();
    eventually(Duration::from_secs(5), || async { client.socket_io(None).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_around_the_gateway() {
    let hall = Hall::open().await;
    for path in ["/socket.io/?EIO=4&transport=polling", "/socket.io?EIO=4&transport=websocket"] {
        hall.house.app.without_token().get(path).await.assert_problem(401, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_is_none_is_refused() {
    let hall = Hall::open().await;
    let client = hall.house.app.as_user();
    let upgrade = |path: &str, version: &str| {
        let request = client.request(Method::GET, path).header("connection", "upgrade").header("upgrade", "websocket");
        client.send(request.header("sec-websocket-version", version.to_owned()))
    };
    let path = "/socket.io/?EIO=4&transport=websocket";
    upgrade(path, "13").await.assert_problem(400, "bad_handshake");
    upgrade(path, "12").await.assert_problem(400, "bad_handshake");
    let unknown = format!("{path}&sid=AAAAAAAAAAAAAAHs");
    upgrade(&unknown, "13").await.assert_problem(400, "unknown_session");
    for query in ["", "?EIO=4", "?EIO=3&transport=polling", "?EIO=4&transport=pigeon"] {
        let answer = client.get(&format!("/socket.io/{query}")).await.assert_status(400);
        assert!(answer.json["message"].is_string(), "{query}: {}", answer.json);
    }
    client.get("/socket.io/?EIO=4&transport=polling&sid=x").await.assert_problem(400, "unknown_session");
    client.delete("/socket.io/").await.assert_problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_sends_everybody_elsewhere_and_does_not_hang() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(joined(hall.there().await, "join-event", event).await);
    }
    let mut staying = joined(hall.here().await, "join-event", event).await;
    staying.hear_where("room-info", |info| info["userCount"] == 21).await;
    // One that never says who it is hangs nobody up either.
    let token = hall.other.anonymous().token();
    let mute = Socket::open(hall.other.addr(), "/socket.io/?EIO=4&transport=websocket", token.as_deref(), &[]).await;
    tokio::time::timeout(Duration::from_secs(5), hall.other.stop()).await.expect("stopped in time");
    for socket in &mut sockets {
        socket.closed().await;
    }
    mute.closed().await;
    staying.hear_where("room-info", |info| info["userCount"] == 1).await;
}
