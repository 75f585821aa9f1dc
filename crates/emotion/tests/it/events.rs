//! A reply as server-sent events.

use serde_json::{Value, json};
use testkit::TestClient;

use crate::{hear, open, say, start_scripted, steps};

/// Reads a stream to its end; returns the text of its tokens, and the last event's id and data.
async fn read(kim: &TestClient, path: &str, last: Option<&str>) -> (String, String, Value) {
    let headers: Vec<_> = last.map(|last| ("last-event-id", last)).into_iter().collect();
    let (mut events, mut text) = (kim.events(path, &headers).await, String::new());
    let mut place = last.map_or(0, |last| last.parse::<u64>().unwrap());
    loop {
        let event = events.next().await;
        let Some(token) = event.data["token"].as_str() else { return (text, event.id.unwrap(), event.data) };
        place += 1;
        assert_eq!((event.id, &event.data["seq"]), (Some(place.to_string()), &json!(place)));
        text.push_str(token);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_read_as_events_while_it_grows_and_afterwards_from_any_piece() {
    let (_stage, app, server) = start_scripted().await;
    server.next("n=30,itl=20");
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "안녕").await;
    let first = socket.next_json().await;
    let path = format!("/emotion/steps/{}/stream", first["step_id"].as_str().unwrap());
    let (read_live, heard) = tokio::join!(read(&kim, &path, None), hear(&mut socket));
    let whole = first["token"].as_str().unwrap().to_owned() + &heard.0;
    let (text, id, done) = read_live;
    assert_eq!((text.as_str(), id.as_str()), (whole.as_str(), "30-end"));
    assert_eq!((&done["done"], &done["step_id"]), (&json!(true), &first["step_id"]));
    assert_eq!(steps(&kim, &session_id).await[0]["gpt_response"], whole);

    for seen in [0, 1, 17, 30] {
        let (rest, id, done) = read(&kim, &path, Some(&seen.to_string())).await;
        assert!(whole.ends_with(&rest) && (seen > 0 || rest == whole), "{seen}: {rest}");
        assert_eq!((id.as_str(), &done["done"]), ("30-end", &json!(true)));
    }
    let after = async |last: &str| kim.get_with(&path, &[("last-event-id", last)]).await;
    after("30-end").await.assert_status(204);
    after("31").await.assert_problem(422, "bad_seq");
    after("x").await.assert_problem(400, "malformed");
    app.as_user().get(&path).await.assert_problem(404, "step_not_found");
    app.anonymous().get(&path).await.assert_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_was_cut_off_ends_its_events_with_an_error() {
    let (_stage, app, server) = start_scripted().await;
    server.next("n=9,inband_err=3");
    let kim = app.as_user();
    let (mut socket, _) = open(&kim, None).await;
    say(&mut socket, "안녕").await;
    let first = socket.next_json().await;
    hear(&mut socket).await;
    let path = format!("/emotion/steps/{}/stream", first["step_id"].as_str().unwrap());
    let (_, id, last) = read(&kim, &path, None).await;
    assert_eq!((id.as_str(), &last["error"]["code"]), ("3-end", &json!("reply_interrupted")));
}
