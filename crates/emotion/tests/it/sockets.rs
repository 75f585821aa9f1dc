//! Opening a socket, talking over it, and what it refuses.

use std::{sync::Arc, time::Duration};

use chassis::socket::Patience;
use domain::{companion::OFFLINE_LABEL, locale::Locale, safety::disclosure};
use emotion::companion::OfflineCompanion;
use serde_json::json;
use testkit::{TestClient, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{Prompted, config, hear, open, path, say, start, start_with, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_come_in_the_documents_order_and_their_tokens_are_the_stored_reply() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let mut socket = kim.socket(&path(&kim, None)).await;
    let opened = socket.next_json().await;
    assert_eq!(opened["notice"], disclosure(Locale::Ko));
    let session_id = opened["session_id"].as_str().unwrap();

    let example =
        r#"{"user_input": "요즘 기분이 별로야.", "step_type": "normal", "system_prompt": "너는 감정 전문 상담사야"}"#;
    socket.send(Message::text(example)).await;
    let (first, done) = hear(&mut socket).await;
    assert!(first.starts_with(OFFLINE_LABEL.ko) && first.contains("요즘 기분이 별로야"), "{first}");
    let keys: Vec<_> = done.as_object().unwrap().keys().cloned().collect();
    assert!(["created_at", "done", "step_id"].iter().all(|key| keys.contains(&(*key).to_owned())), "{keys:?}");
    assert_eq!(done["done"], true);
    say(&mut socket, "  내일이 걱정돼  ").await;
    let (second, _done) = hear(&mut socket).await;
    assert!(!second.contains(OFFLINE_LABEL.ko), "{second}");

    let kept = steps(&kim, session_id).await;
    assert_eq!(kept.len(), 2);
    assert_eq!((kept[0]["gpt_response"].as_str(), kept[1]["gpt_response"].as_str()), (Some(&*first), Some(&*second)));
    assert_eq!((&kept[0]["step_id"], &kept[0]["created_at"]), (&done["step_id"], &done["created_at"]));
    assert_eq!((kept[0]["step_order"].as_i64(), kept[1]["step_order"].as_i64()), (Some(1), Some(2)));
    assert_eq!((&kept[1]["user_input"], &kept[1]["step_type"]), (&json!("내일이 걱정돼"), &json!("normal")));
    assert_eq!((&kept[0]["status"], &kept[0]["provider"]), (&json!("complete"), &json!("offline")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_english_request_gets_the_english_notice_and_companion() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let mut socket = kim.socket_with(&path(&kim, None), &[("accept-language", "en-US,en")]).await;
    assert_eq!(socket.next_json().await["notice"], disclosure(Locale::En));
    say(&mut socket, "Not great.").await;
    let (reply, _done) = hear(&mut socket).await;
    assert!(reply.starts_with(OFFLINE_LABEL.en), "{reply}");
    say(&mut socket, "").await;
    assert_eq!(socket.next_json().await["error"]["message"], "The message is empty.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_talk_here_is_told_by_a_close_code() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "안녕하세요").await;
    hear(&mut socket).await;
    let unknown = "01900000-0000-7000-8000-00000000ffff";
    let of_lee = |rest: &str| format!("/ws/emotion?user_id={}{rest}", lee.user_id);
    let cases = [
        (of_lee(&format!("&session_id={session_id}")), 4404),
        (of_lee(&format!("&session_id={unknown}")), 4404),
        (of_lee("&session_id=mine"), 4404),
        (path(&kim, None), 4403),
        (path(&kim, Some(&session_id)), 4403),
        ("/ws/emotion".to_owned(), 4400),
        ("/ws/emotion?user_id=".to_owned(), 4400),
        ("/ws/emotion?user_id=lee".to_owned(), 4400),
    ];
    for (path, code) in cases {
        assert_eq!(lee.socket(&path).await.closed().await, Some(code), "{path}");
    }
    assert_eq!(app.anonymous().socket(&path(&kim, None)).await.closed().await, Some(4401));
    app.without_token().get(&path(&kim, None)).await.assert_problem(401, "unauthenticated");
    lee.get(&path(&lee, None)).await.assert_problem(400, "websocket_needed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_written_with_its_first_message_and_can_be_reopened_before() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let (first, session_id) = open(&kim, None).await;
    let list = format!("/emotion/sessions/user/{}", kim.user_id);
    assert_eq!(kim.get(&list).await.json, json!([]));
    let shown = kim.get(&format!("/emotion/sessions/{session_id}")).await.assert_status(200);
    assert_eq!(steps(&kim, &session_id).await, Vec::<serde_json::Value>::new());
    lee.get(&format!("/emotion/sessions/{session_id}")).await.assert_problem(404, "session_not_found");
    drop(first);

    let (mut second, same) = open(&kim, Some(&session_id)).await;
    assert_eq!(same, session_id);
    say(&mut second, "다시 왔어요").await;
    hear(&mut second).await;
    assert_eq!(kim.get(&list).await.json, json!([shown.json]));
    let (_third, same) = open(&kim, Some(&session_id)).await;
    assert_eq!(same, session_id);
    let (_fourth, other) = open(&kim, Some("")).await;
    assert_ne!(other, session_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_refused_leaves_the_socket_open_and_nothing_behind() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    let cases = [
        (Message::text("안녕"), "malformed"),
        (Message::text("[]"), "malformed"),
        (Message::text(r#"{"user_input": {}}"#), "malformed"),
        (Message::text("{}"), "empty_input"),
        (Message::text(r#"{"user_input": " \n "}"#), "empty_input"),
        (Message::text(json!({ "user_input": "a".repeat(8_193) }).to_string()), "input_too_long"),
        (Message::text(r#"{"user_input": "a\u0000b"}"#), "nul_in_text"),
        (Message::text(r#"{"user_input": "안녕", "step_type": "Step-1"}"#), "unknown_step_type"),
        (Message::text(json!({ "user_input": "안녕", "system_prompt": "가".repeat(4_001) }).to_string()), "too_long"),
        (Message::text(r#"{"type": "dance"}"#), "unknown_type"),
        (Message::binary(b"{}".to_vec()), "text_only"),
    ];
    for (message, code) in cases {
        socket.send(message).await;
        let frame = socket.next_json().await;
        assert_eq!(frame["error"]["code"], code, "{frame}");
        assert!(!frame["error"]["message"].as_str().unwrap().is_empty());
    }
    kim.get("/emotion/sessions/user/me").await.assert_status(404);
    assert_eq!(kim.get(&format!("/emotion/sessions/user/{}", kim.user_id)).await.json, json!([]));

    socket.send(Message::text(r#"{"type": "ping"}"#)).await;
    socket.send(Message::text(json!({ "user_input": "가".repeat(2_730) }).to_string())).await;
    assert_eq!(hear(&mut socket).await.1["done"], true, "the longest message is taken, a ping is not answered");
    assert_eq!(steps(&kim, &session_id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_is_too_large_or_not_text_ends_the_socket_with_its_reason() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for bytes in [32 * 1024 + 1, 40_000, 3_000_000] {
        let (mut socket, _) = open(&kim, None).await;
        socket.send(Message::text("x".repeat(bytes))).await;
        assert_eq!(socket.closed().await, Some(1009), "{bytes}");
    }
    let (mut socket, _) = open(&kim, None).await;
    let piece = vec![b'x'; 20_000];
    socket.send(Message::Frame(Frame::message(piece.clone(), OpCode::Data(Data::Text), false))).await;
    socket.send(Message::Frame(Frame::message(piece, OpCode::Data(Data::Continue), true))).await;
    assert_eq!(socket.closed().await, Some(1009));

    let (mut socket, _) = open(&kim, None).await;
    socket.send(Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true))).await;
    assert_eq!(socket.closed().await, Some(1007));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_socket_gets_its_close_back() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (mut socket, _) = open(&kim, None).await;
    socket.send(Message::Close(None)).await;
    assert_eq!(socket.closed().await, Some(1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_stops_says_so_and_keeps_the_reply_it_was_writing() {
    let companion = Prompted::new(&["ㄱ ", "ㄴ"]);
    let (stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let (mut talking, session_id) = open(&kim, None).await;
    let (idle, _) = open(&kim, None).await;
    say(&mut talking, "안녕").await;
    companion.let_say(1);
    assert_eq!(talking.next_json().await["token"], "ㄱ ");

    app.lifecycle().stop();
    assert_eq!(idle.closed().await, Some(1001));
    assert_eq!(talking.closed().await, Some(1001));
    companion.let_say(1);
    assert!(app.lifecycle().finished(Duration::from_secs(5)).await, "the reply is finished before the process ends");
    let mut conn = stage.pg().conn().await.unwrap();
    let limit = domain::page::Limit::parse(None, 10, 10).unwrap();
    let vault = config(&stage).vault.open().unwrap().read_for(&mut conn, kim.user_id).await.unwrap();
    let kept = emotion::step::store::list_of(&mut conn, &vault, session_id.parse().unwrap(), limit, 0).await.unwrap();
    assert_eq!((kept[0].gpt_response.as_str(), kept[0].status.as_str()), ("ㄱ ㄴ", "complete"));
}

/// Opens a socket by hand, so that nothing answers pings or reads frames unless the test does.
async fn raw_socket(app: &testkit::TestApp, kim: &TestClient, session_id: Option<&str>) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(app.addr()).await.unwrap();
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nAuthorization: Bearer {}\r\n\r\n",
        path(kim, session_id),
        kim.token().unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // No frame may follow before the handshake is answered.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_answers_no_ping_is_let_go() {
    let patience =
        Patience { ping_every: Duration::from_millis(200), silence: Duration::from_secs(3), ..Patience::default() };
    let (_stage, app) = start_with(Arc::new(OfflineCompanion::new(Duration::ZERO)), patience).await;
    let kim = app.as_user();
    let mut silent = raw_socket(&app, &kim, None).await;
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), silent.read_to_end(&mut bytes)).await.unwrap().unwrap();
    assert!(bytes.windows(2).any(|frame| frame == [0x89, 0]), "it was pinged");
    assert!(bytes.ends_with(b"no answer to pings"), "and told why it is let go");

    let (mut answering, _) = open(&kim, None).await;
    let until = tokio::time::Instant::now() + 2 * patience.silence;
    while tokio::time::Instant::now() < until {
        say(&mut answering, "아직 여기 있어요").await;
        let end = hear(&mut answering).await.1;
        assert_eq!(end["done"], true, "{end}");
        // As often as a ping comes: it is not asked how much can be said.
        tokio::time::sleep(patience.ping_every).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_too_slow_is_let_go_and_its_reply_is_kept() {
    let word = "천천히 ".repeat(100);
    let words = vec![word.as_str(); 60];
    let companion = Prompted::new(&words);
    companion.let_say(usize::from(u16::MAX));
    let patience = Patience { send: Duration::from_secs(2), ..Patience::default() };
    let (_stage, app) = start_with(companion, patience).await;
    let kim = app.as_user();
    let (mut first, session_id) = open(&kim, None).await;
    say(&mut first, "안녕").await;
    hear(&mut first).await;
    drop(first);
    let mut slow = raw_socket(&app, &kim, Some(&session_id)).await;
    // A masked text frame; the mask is zero, so the payload stands as it is.
    let message = br#"{"user_input":"hi"}"#;
    let mut frame = vec![0x81, 0x80 | u8::try_from(message.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(message);
    let metrics = app.without_token();
    let are_open = async |count: usize| {
        let page = metrics.get("/metrics").await;
        String::from_utf8(page.body).unwrap().lines().any(|line| line == format!("emotion_sockets_open {count}"))
    };
    eventually(Duration::from_secs(20), || are_open(1)).await;
    let let_go = || are_open(0);
    let complete = |place: usize| {
        let path = format!("/emotion/steps/{session_id}?limit=1&cursor={place}");
        let kim = &kim;
        async move { kim.get(&path).await.text("/0/status") == "complete" }
    };
    // A few hundred kilobytes fill every buffer on the way.
    let mut said = 0;
    while said < 100 && !let_go().await {
        said += 1;
        _ = slow.write_all(&frame).await;
        eventually(Duration::from_secs(20), || async { complete(said).await || let_go().await }).await;
    }
    assert!(let_go().await, "after {said} replies it still was not");
    eventually(Duration::from_secs(20), || async {
        let kept = steps(&kim, &session_id).await;
        !kept.is_empty() && kept.iter().all(|step| step["gpt_response"] == word.repeat(60))
    })
    .await;
}
