//! Long-polling, request by request.

use reqwest::Method;
use serde_json::json;
use testkit::{Answer, TestClient};

use super::{Hall, hall::joined};

const PATH: &str = "/socket.io/?EIO=4&transport=polling";

struct Polling {
    client: TestClient,
    path: String,
}

impl Polling {
    async fn open(client: TestClient) -> Self {
        let answer = client.get(PATH).await.assert_status(200);
        let open: serde_json::Value = serde_json::from_slice(&answer.body[1..]).unwrap();
        assert_eq!((open["maxPayload"].as_u64(), open["upgrades"][0].as_str()), (Some(100_000), Some("websocket")));
        let path = format!("{PATH}&sid={}", open["sid"].as_str().unwrap());
        Self { client, path }
    }

    async fn say(&self, packets: &str) -> Answer {
        let request = self.client.request(Method::POST, &self.path).header("content-type", "text/plain;charset=UTF-8");
        self.client.send(request.body(packets.to_owned())).await
    }

    /// Polls until a packet begins like this.
    async fn hear(&self, beginning: &str) -> String {
        self.find(beginning).await.unwrap()
    }

    async fn find(&self, beginning: &str) -> Option<String> {
        for _ in 0..20 {
            let answer = self.client.get(&self.path).await.assert_status(200);
            let text = String::from_utf8(answer.body).unwrap();
            for packet in text.split('\u{1e}') {
                if packet == "2" {
                    self.say("3").await.assert_status(200);
                } else if packet.starts_with(beginning) {
                    return Some(packet.to_owned());
                }
            }
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_polls_is_one_like_any_other() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let polling = Polling::open(hall.house.app.as_user()).await;
    polling.say("40").await.assert_status(200);
    polling.hear("40").await;
    polling.say(&format!("420{}", json!(["join-event", event]))).await.assert_status(200);
    assert!(polling.hear("430").await.contains("\"ok\":true"));
    let mut other = joined(hall.there().await, "join-event", event).await;
    other.hear_where("room-info", |info| info["userCount"] == 2).await;
    polling.say("41").await.assert_status(200);
    other.hear_where("room-info", |info| info["userCount"] == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_polls_is_refused_in_the_same_words() {
    let hall = Hall::open().await;
    let polling = Polling::open(hall.house.app.anonymous()).await;
    polling.say("40").await.assert_status(200);
    assert_eq!(polling.hear("44").await, r#"44{"message":"Authentication required"}"#);
    polling.say(r#"40{"token":"made-up"}"#).await.assert_status(200);
    assert_eq!(polling.hear("44").await, r#"44{"message":"Invalid authentication token"}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_polling_client_says_has_bounds() {
    let hall = Hall::open().await;
    let polling = Polling::open(hall.house.app.as_user()).await;
    polling.say(&"4".repeat(100_001)).await.assert_problem(413, "too_large");
    let elsewhere = Polling { client: hall.other.as_user(), path: polling.path.clone() };
    elsewhere.say("40").await.assert_problem(400, "unknown_session");
    polling.say("40").await.assert_status(200);
    polling.hear("40").await;
}
