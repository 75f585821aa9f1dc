//! A reply is a job: it has one place in its conversation, one writer, and needs no viewer.

use std::{collections::BTreeSet, time::Duration};

use chassis::socket::Patience;
use serde_json::json;
use testkit::eventually;

use crate::{Prompted, hear, open, say, start, start_with, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_in_the_middle_does_not_lose_the_reply() {
    let companion = Prompted::new(&["ㄱ ", "ㄴ ", "ㄷ ", "ㄹ"]);
    let (_stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "안녕하세요").await;
    companion.let_say(2);
    assert_eq!(socket.next_json().await["token"], "ㄱ ");
    assert_eq!(steps(&kim, &session_id).await[0]["status"], "streaming");
    drop(socket);
    companion.let_say(2);
    eventually(Duration::from_secs(5), || async {
        let kept = steps(&kim, &session_id).await;
        kept[0]["status"] == "complete" && kept[0]["gpt_response"] == "ㄱ ㄴ ㄷ ㄹ"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_message_while_a_reply_is_written_is_refused_everywhere() {
    let companion = Prompted::new(&["응"]);
    let (_stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let (mut first, session_id) = open(&kim, None).await;
    let (mut second, _) = open(&kim, Some(&session_id)).await;
    say(&mut first, "하나").await;
    eventually(Duration::from_secs(5), || async { steps(&kim, &session_id).await.len() == 1 }).await;
    for socket in [&mut first, &mut second] {
        say(socket, "둘").await;
        assert_eq!(socket.next_json().await["error"]["code"], "busy");
    }
    let body = json!({ "session_id": session_id, "user_input": "셋" });
    kim.post("/emotion/steps/generate", body).await.assert_problem(409, "busy");
    companion.let_say(2);
    for socket in [&mut first, &mut second] {
        assert_eq!(hear(socket).await.1["done"], true, "both see it");
    }
    say(&mut second, "넷").await;
    assert_eq!(hear(&mut second).await.1["done"], true);
    let said: Vec<_> = steps(&kim, &session_id).await.iter().map(|step| step["user_input"].clone()).collect();
    assert_eq!(said, ["하나", "넷"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sockets_on_one_conversation_never_get_the_same_place() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (first, session_id) = open(&kim, None).await;
    let (second, _) = open(&kim, Some(&session_id)).await;
    let talk = |mut socket: testkit::Socket, who: &'static str| async move {
        let mut said = 0;
        while said < 10 {
            let name = format!("{who}-{said}");
            socket.send_json(&json!({ "user_input": "한마디", "client_msg_id": name })).await;
            // Each hears the replies to the other one, too.
            loop {
                match hear(&mut socket).await.1 {
                    done if done["client_msg_id"] == name => {
                        said += 1;
                        break;
                    }
                    done if done["done"] == true => {}
                    // The other one was first.
                    busy => {
                        assert_eq!(busy["error"]["code"], "busy");
                        break;
                    }
                }
            }
        }
    };
    tokio::join!(talk(first, "a"), talk(second, "b"));
    let orders: BTreeSet<_> =
        steps(&kim, &session_id).await.iter().map(|step| step["step_order"].as_i64().unwrap()).collect();
    assert_eq!(orders, (1..=20).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_given_up_still_gets_its_reply_written() {
    let companion = Prompted::new(&["그랬", "군요."]);
    let (_stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let made = kim.post("/emotion/sessions", json!({})).await.assert_status(201);
    let session_id = made.text("/session_id");
    let body = json!({ "session_id": session_id, "user_input": "말하고 갈게" });
    let asking = kim.post("/emotion/steps/generate", body);
    tokio::select! {
        _ = asking => panic!("nothing was said yet"),
        () = eventually(Duration::from_secs(5), || async { steps(&kim, session_id).await.len() == 1 }) => {}
    }
    companion.let_say(2);
    eventually(Duration::from_secs(5), || async {
        let kept = steps(&kim, session_id).await;
        kept[0]["status"] == "complete" && kept[0]["gpt_response"] == "그랬군요."
    })
    .await;
}
