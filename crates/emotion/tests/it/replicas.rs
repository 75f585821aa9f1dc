//! Two replicas, and Redis between them or not.

use std::{net::SocketAddr, pin::pin, time::Duration};

use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role, Service},
};
use emotion::config::EmotionConfig;
use futures_util::StreamExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{
    Socket, Stage, TestApp, TestClient, eventually,
    fault_proxy::FaultProxy,
    openai::{Ending, OpenAiServer},
};

use crate::{config, hear, model, open, path, say, start, steps};

struct House {
    _stage: Stage,
    _apps: [TestApp; 2],
    kim: [TestClient; 2],
    server: OpenAiServer,
}

/// Two replicas of one service, and one person at both.
async fn house(grace_ms: u64) -> House {
    let (server, stage) = (OpenAiServer::start(), Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await);
    let apps = [1, 2].map(|_| {
        let mut config = EmotionConfig { model: model(Some(server.url())), ..config(&stage) };
        config.replies.reply_grace_ms = grace_ms;
        config.model.openai_idle_timeout_ms = 30_000;
        stage.serve(emotion::build(config, stage.clock.clone()).unwrap())
    });
    let person =
        Principal { user_id: stage.clock.id::<UserId>(), login_id: stage.clock.id::<LoginId>(), role: Role::User };
    let kim = [&apps[0], &apps[1]].map(|app| app.as_principal(person));
    server.always_answer("err=500");
    House { _stage: stage, _apps: apps, kim, server }
}

async fn read_to(socket: &mut Socket, last: u32) -> (String, Value) {
    let mut text = String::new();
    loop {
        let frame = socket.next_json().await;
        let token = frame["token"].as_str().unwrap_or_default();
        assert!(!token.is_empty(), "no token: {frame}");
        text.push_str(token);
        if frame["seq"] == last {
            return (text, frame);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sockets_of_a_conversation_see_the_same_reply_wherever_they_are() {
    let House { _stage, _apps, kim: [here, there], server } = house(30_000).await;
    let (mut first, session_id) = open(&here, None).await;
    say(&mut first, "안녕").await;
    hear(&mut first).await;
    let (mut second, _) = open(&there, Some(&session_id)).await;
    let (mut third, _) = open(&here, Some(&session_id)).await;
    server.next("n=30,itl=20");
    say(&mut first, "같이 들어요").await;
    let (text, done) = hear(&mut first).await;
    assert_eq!(hear(&mut third).await, (text.clone(), done.clone()), "on the same replica");
    assert_eq!(hear(&mut second).await, (text.clone(), done), "and on the other one");
    assert_eq!(server.streamed().pop().unwrap().sent, text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_hears_itself_late_shows_no_reply_twice() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    let redis = stage.redis();
    let mut notices = pin!(redis.subscribe("emotion:replies").await.unwrap());
    let mut ended = Vec::new();
    let talk = async |socket: &mut Socket, ended: &mut Vec<Value>| {
        say(socket, "하나 더").await;
        ended.push(hear(socket).await.1["step_id"].clone());
    };
    talk(&mut socket, &mut ended).await;
    let first = notices.next().await.unwrap();
    // More than a socket remembers to have shown.
    for _ in 0..20 {
        talk(&mut socket, &mut ended).await;
    }
    for _ in 0..5 {
        redis.publish("emotion:replies", &first).await.unwrap();
        talk(&mut socket, &mut ended).await;
    }
    let mut kept = steps(&kim, &session_id).await;
    let newest = kept.pop().unwrap();
    assert_eq!((newest["step_order"].as_u64(), ended.last()), (Some(26), Some(&newest["step_id"])));
    let kept: Vec<_> = kept.into_iter().map(|step| step["step_id"].clone()).collect();
    assert_eq!(ended[..25], kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_read_on_and_stopped_at_another_replica() {
    let House { _stage, _apps, kim: [here, there], server } = house(500).await;
    let (mut first, session_id) = open(&here, None).await;
    server.next("n=60,itl=50,stall=59");
    say(&mut first, "길게 말해 줘").await;
    let (mut text, _) = read_to(&mut first, 5).await;
    let (mut second, _) = open(&there, Some(&session_id)).await;
    second.send_json(&json!({ "type": "resume", "after": 5 })).await;
    let (more, _) = read_to(&mut second, 6).await;
    text += &more;
    drop(first);
    // Longer than a reply goes on that nobody looks at: somebody looks, over there.
    let (rest, token) = read_to(&mut second, 45).await;
    text += &rest;
    assert!(server.streamed().pop().unwrap().sent.starts_with(&text));
    there
        .post(&format!("/emotion/steps/{}/stop", token["step_id"].as_str().unwrap()), json!({}))
        .await
        .assert_status(200);
    let (rest, done) = hear(&mut second).await;
    assert_eq!(done["status"], "stopped", "{done}");
    eventually(Duration::from_secs(15), || async { server.live() == 0 }).await;
    let asked = server.streamed().pop().unwrap();
    assert!(matches!(asked.ending, Ending::Dropped(_)));
    let kept = steps(&here, &session_id).await.pop().unwrap();
    assert_eq!(kept["gpt_response"].as_str().unwrap(), text + &rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_goes_on_and_is_kept_when_redis_dies_in_the_middle() {
    let (server, stage) = (OpenAiServer::start(), Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await);
    let mut config = EmotionConfig { model: model(Some(server.url())), ..config(&stage) };
    let url = testkit::settings::single_redis_url();
    let addr: SocketAddr = url.rsplit(['/', '@']).find_map(|part| part.parse().ok()).unwrap();
    let proxy = FaultProxy::start(addr).unwrap();
    config.base.redis.redis_url = SecretString::from(url.replace(&addr.to_string(), &proxy.addr().to_string()));
    let app = stage.serve(emotion::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    server.next("n=60,itl=20");
    say(&mut socket, "들려?").await;
    let (mut text, _) = read_to(&mut socket, 10).await;
    proxy.reset();
    let (rest, done) = hear(&mut socket).await;
    text += &rest;
    assert_eq!((&done["done"], &server.streamed()[0].sent), (&json!(true), &text));
    assert_eq!(steps(&kim, &session_id).await[0]["gpt_response"], text);
    // It can be read again without Redis, and talked on.
    let mut again = kim.socket(&path(&kim, Some(&session_id))).await;
    again.next_json().await;
    again.send_json(&json!({ "type": "resume", "step_id": done["step_id"], "after": 30 })).await;
    assert!(text.ends_with(&hear(&mut again).await.0));
    say(&mut again, "아직 있어?").await;
    assert_eq!(hear(&mut again).await.1["done"], true);
}
