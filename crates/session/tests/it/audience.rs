//! What an audience sees of a session, as it happens.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Socket, TestApp, TestClient};

use crate::{join, open, start};

fn socket_path(session: &str) -> String {
    format!("/ws/sessions/{}", session.rsplit('/').next().unwrap())
}

async fn watch(client: &TestClient, session: &str, headers: &[(&str, &str)]) -> (Socket, Value) {
    let mut socket = client.socket_with(&socket_path(session), headers).await;
    let snapshot = socket.next_json().await;
    assert_eq!(snapshot["type"], "snapshot");
    (socket, snapshot)
}

async fn ticket(app: &TestApp, session: &str, guest: &Answer) -> String {
    let nobody = app.anonymous();
    let request = nobody.request(Method::POST, &format!("{session}/stream-ticket"));
    let given = nobody.send(request.header("x-participant-token", guest.text("/participant_token"))).await;
    given.assert_status(200).text("/ticket").to_owned()
}

async fn leave(app: &TestApp, session: &str, guest: &Answer) {
    let nobody = app.anonymous();
    let place = format!("{session}/participants/{}", guest.text("/participant/id"));
    let request = nobody.request(Method::DELETE, &place);
    nobody.send(request.header("x-participant-token", guest.text("/participant_token"))).await.assert_status(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_watches_by_token_or_ticket_and_sees_nothing_private() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (session, code) = open(&kim).await;
    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    let token = guest.text("/participant_token");
    let nobody = app.anonymous();
    let (_by_token, snapshot) = watch(&nobody, &session, &[("x-participant-token", token)]).await;
    assert_eq!((&snapshot["participant_count"], &snapshot["session"]["title"]), (&json!(1), &json!("마루 발표")));
    for private in ["settings", "metadata", "summary", "user_id", "qr_code_url", "session_code"] {
        assert_eq!(snapshot["session"].get(private), None, "{private}: {snapshot}");
    }
    let (_of_owner, snapshot) = watch(&kim, &session, &[]).await;
    assert!(snapshot["session"]["qr_code_url"].as_str().unwrap().starts_with("data:image/png"), "{snapshot}");
    assert_eq!(snapshot["session"]["participant_count"], 1);

    // A client that offers a protocol is answered with it, or it would hang up.
    let offer = format!("ticket.{}", ticket(&app, &session, &guest).await);
    watch(&nobody, &session, &[("sec-websocket-protocol", &offer)]).await;
    let used = nobody.socket_with(&socket_path(&session), &[("sec-websocket-protocol", &offer)]).await;
    assert_eq!(used.closed().await, Some(4401));

    let stream = format!("{session}/stream?ticket={}", ticket(&app, &session, &guest).await);
    let first = nobody.events(&stream, &[]).await.next().await;
    assert_eq!(first.data["type"], "snapshot");
    nobody.get(&stream).await.assert_problem(401, "invalid_ticket");
    nobody.get(&format!("{session}/stream?ticket=made-up")).await.assert_problem(401, "invalid_ticket");
    let stranger = nobody.socket_with(&socket_path(&session), &[("x-participant-token", "mpt_x")]).await;
    assert_eq!(stranger.closed().await, Some(4401));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_who_comes_and_goes_and_what_becomes_of_the_session() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (session, code) = open(&kim).await;
    let lee = app.as_user();
    let joined = join(&lee, &code, "이주최").await.assert_status(201);
    let (mut owner, _) = watch(&kim, &session, &[]).await;
    let (mut audience, before) = watch(&lee, &session, &[]).await;

    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    for socket in [&mut owner, &mut audience] {
        let frame = socket.next_json().await;
        assert_eq!((&frame["type"], &frame["participant_count"]), (&json!("participants"), &json!(2)));
        assert_eq!(frame["seq"].as_i64(), before["seq"].as_i64().map(|seq| seq + 1), "{frame}");
    }
    // Coming in twice is no news.
    assert_eq!(join(&lee, &code, "이주최").await.json["participant"], joined.json["participant"]);
    leave(&app, &session, &guest).await;
    for socket in [&mut owner, &mut audience] {
        let frame = socket.next_json().await;
        assert_eq!((&frame["type"], &frame["participant_count"]), (&json!("participants"), &json!(1)));
        assert_eq!(frame.get("left"), None, "{frame}");
    }
    let changes = [
        (Method::PUT, "", json!({ "title": "새 제목" }), "active"),
        (Method::POST, "/deactivate", json!({}), "paused"),
        (Method::PUT, "/summary", json!({ "summary": { "score": 7 } }), "paused"),
        (Method::POST, "/end", json!({}), "ended"),
    ];
    for (method, path, body, status) in changes {
        kim.send(kim.request(method, &format!("{session}{path}")).json(&body)).await.assert_status(200);
        for socket in [&mut owner, &mut audience] {
            let frame = socket.next_json().await;
            assert_eq!((&frame["type"], &frame["session"]["status"]), (&json!("session"), &json!(status)), "{path}");
            assert_eq!(frame["session"]["title"], "새 제목");
        }
    }
    // What changes nothing tells nobody: the next frame is the answer to this.
    kim.post(&format!("{session}/end"), json!({})).await.assert_status(200);
    owner.send_json(&json!({ "type": "ping" })).await;
    assert_eq!(owner.next_json().await["type"], "pong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_shown_out_sees_nothing_more() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (session, code) = open(&kim).await;
    let (lee, nobody) = (app.as_user(), app.anonymous());
    let (first, second) = (join(&nobody, &code, "손님").await, join(&nobody, &code, "다른 손님").await);
    let person = join(&lee, &code, "이주최").await;
    let shown_out = watch(&nobody, &session, &[("x-participant-token", first.text("/participant_token"))]).await.0;
    let also = watch(&nobody, &session, &[("x-participant-token", first.text("/participant_token"))]).await.0;
    let mut stays = watch(&nobody, &session, &[("x-participant-token", second.text("/participant_token"))]).await.0;
    let signed_in = watch(&lee, &session, &[]).await.0;
    kim.delete(&format!("{session}/participants/{}", first.text("/participant/id"))).await.assert_status(204);
    assert_eq!((shown_out.closed().await, also.closed().await), (Some(4404), Some(4404)));
    assert_eq!(stays.next_json().await["participant_count"], 2);
    lee.delete(&format!("{session}/participants/{}", person.text("/participant/id"))).await.assert_status(204);
    assert_eq!(signed_in.closed().await, Some(4404));
    assert_eq!(stays.next_json().await["participant_count"], 1);

    kim.delete(&session).await.assert_status(204);
    assert_eq!(stays.closed().await, Some(4404));
}
