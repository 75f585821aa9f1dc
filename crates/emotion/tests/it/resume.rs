//! A reply is read on from any piece: nothing is lost and nothing comes twice.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    Socket, TestClient, eventually,
    openai::{OpenAiServer, Script},
};
use tokio::task::JoinSet;

use crate::{hear, open, say, start_scripted, steps};

/// Reads `count` tokens; returns their text.
async fn read(socket: &mut Socket, count: u32, seen: u32) -> (String, Value) {
    let (mut text, mut last) = (String::new(), Value::Null);
    for place in seen + 1..=seen + count {
        last = socket.next_json().await;
        assert_eq!(last["seq"], place, "{last}");
        text.push_str(last["token"].as_str().unwrap());
    }
    (text, last)
}

/// Reads to the end; returns the text and the last frame.
async fn read_out(socket: &mut Socket, seen: u32) -> (String, Value) {
    let mut text = String::new();
    for place in seen + 1.. {
        let frame = socket.next_json().await;
        let Some(token) = frame["token"].as_str() else {
            assert_eq!(frame["seq"], place - 1, "{frame}");
            return (text, frame);
        };
        assert_eq!(frame["seq"], place, "{frame}");
        text.push_str(token);
    }
    unreachable!("a reply ends")
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(sides)).unwrap()
    }
}

/// Says something, leaves in the middle, comes back, leaves again, and reads to the end.
async fn cut_twice(kim: &TestClient, seed: u64) -> (String, String) {
    let mut dice = Dice(seed);
    let (mut socket, session_id) = open(kim, None).await;
    say(&mut socket, &format!("이야기 {seed}")).await;
    let first = 1 + dice.roll(9);
    let (mut text, token) = read(&mut socket, first, 0).await;
    drop(socket);
    let (mut socket, _) = open(kim, Some(&session_id)).await;
    let mut resume = json!({ "type": "resume", "after": first });
    if dice.roll(2) == 0 {
        resume["step_id"] = token["step_id"].clone();
    }
    socket.send_json(&resume).await;
    let second = dice.roll(9);
    text += &read(&mut socket, second, first).await.0;
    drop(socket);
    if dice.roll(3) == 0 {
        // Until it is surely over, and comes out of the database.
        eventually(Duration::from_secs(10), || async { steps(kim, &session_id).await[0]["status"] == "complete" })
            .await;
    }
    let (mut socket, _) = open(kim, Some(&session_id)).await;
    socket.send_json(&json!({ "type": "resume", "after_seq": first + second })).await;
    let (rest, done) = read_out(&mut socket, first + second).await;
    assert_eq!(done["done"], true);
    text += &rest;
    let kept = steps(kim, &session_id).await[0]["gpt_response"].as_str().unwrap().to_owned();
    (text, kept)
}

fn sent(server: &OpenAiServer, seed: u64) -> String {
    let said = format!("이야기 {seed}");
    let asked = server.streamed().into_iter().find(|asked| asked.messages("user").contains(&said));
    asked.unwrap().sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_two_hundred_places_what_is_read_on_is_exactly_what_was_sent_and_kept() {
    let (_stage, app, server) = start_scripted().await;
    server.always("n=24,itl=4");
    server.always_answer("err=500");
    let mut running = JoinSet::new();
    // Each cuts twice, four at a time.
    for worker in 0..4 {
        let kim = app.as_user();
        running.spawn(async move {
            let mut results = Vec::new();
            for seed in (worker..100).step_by(4) {
                results.push((seed, cut_twice(&kim, seed).await));
            }
            results
        });
    }
    let mut seen = 0;
    while let Some(results) = running.join_next().await {
        for (seed, (text, kept)) in results.unwrap() {
            let sent = sent(&server, seed);
            assert_eq!((&text, &kept), (&sent, &sent), "seed {seed}");
            seen += 1;
        }
    }
    assert_eq!(seen, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_of_what_is_not_there_is_refused_and_the_socket_stays_open() {
    let (_stage, app, server) = start_scripted().await;
    server.always(Script::saying("ㄱ ㄴ ㄷ ㄹ"));
    let (kim, lee) = (app.as_user(), app.as_user());
    let (mut socket, session_id) = open(&kim, None).await;
    socket.send_json(&json!({ "type": "resume", "after": 0 })).await;
    assert_eq!(socket.next_json().await["error"]["code"], "step_not_found", "nothing was said yet");
    say(&mut socket, "안녕").await;
    let (text, done) = hear(&mut socket).await;
    socket.send_json(&json!({ "type": "resume", "step_id": done["step_id"], "after": 5 })).await;
    assert_eq!(socket.next_json().await["error"]["code"], "bad_seq");
    socket.send_json(&json!({ "type": "resume", "after": 4 })).await;
    let (rest, end) = hear(&mut socket).await;
    assert_eq!((rest.as_str(), &end["step_id"], &end["seq"]), ("", &done["step_id"], &json!(4)), "only the end comes");
    assert_eq!(end["arc_step"], done["arc_step"]);
    socket.send_json(&json!({ "type": "resume" })).await;
    assert_eq!(hear(&mut socket).await.0, text, "from the beginning");
    let (mut other, _) = open(&lee, None).await;
    let unknown = "01900000-0000-7000-8000-00000000ffff";
    for step_id in [done["step_id"].as_str().unwrap(), unknown] {
        other.send_json(&json!({ "type": "resume", "step_id": step_id, "after": 0 })).await;
        assert_eq!(other.next_json().await["error"]["code"], "step_not_found");
        other.send_json(&json!({ "type": "stop", "step_id": step_id })).await;
        assert_eq!(other.next_json().await["error"]["code"], "step_not_found");
    }
    assert_eq!(steps(&kim, &session_id).await.len(), 1);
}
