//! What is too old to be kept.

use std::time::Duration;

use emotion::retention::{RetentionConfig, sweep_once};
use serde_json::json;

use crate::{start, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_deleted_its_days_after_its_last_message_and_never_without_an_order() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let mut made = Vec::new();
    for _ in 0..2 {
        let session = kim.post("/emotion/sessions", json!({})).await.assert_status(201);
        made.push(session.text("/session_id").to_owned());
    }
    let say = async |id: &str| {
        let body = json!({ "session_id": id, "user_input": "오늘도 왔어요" });
        kim.post("/emotion/steps/generate", body).await.assert_status(200);
    };
    say(&made[0]).await;
    say(&made[1]).await;
    stage.clock.advance(Duration::from_hours(24 * 20));
    say(&made[1]).await;
    stage.clock.advance(Duration::from_hours(24 * 11));
    let pg = stage.pg();
    let sweep = async |days| {
        let config = RetentionConfig { emotion_retention_days: days };
        sweep_once(&pg, stage.clock.now(), config).await.unwrap()
    };
    assert_eq!((sweep(None).await, sweep(Some(32)).await), (0, 0));
    assert_eq!((sweep(Some(30)).await, sweep(Some(30)).await), (1, 0));
    kim.get(&format!("/emotion/sessions/{}", made[0])).await.assert_problem(404, "session_not_found");
    assert_eq!(steps(&kim, &made[1]).await.len(), 2);
}
