//! Changing memos, and what they were before.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, TestClient};

use crate::{a_memo, begin, path_of, picture, put, start};

async fn put_if(of: &TestClient, path: &str, body: Value, version: &str) -> Answer {
    of.send(of.request(Method::PUT, path).header("if-match", version).json(&body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_is_changed_and_the_rest_stays() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let body = json!({ "content": "가", "tags": ["하나"], "category": "일", "metadata": { "a": 1 } });
    let made = kim.post("/memo", body).await.assert_status(201);
    assert_eq!(made.header("etag"), "\"1\"");
    let path = format!("/memo/{}", made.text("/id"));
    stage.clock.advance(std::time::Duration::from_mins(1));
    let changed = kim.put(&path, json!({ "content": "나" })).await.assert_status(200);
    assert_eq!((changed.text("/content"), &changed.json["tags"]), ("나", &json!(["하나"])));
    assert_eq!((&changed.json["version"], changed.header("etag")), (&json!(2), "\"2\""));
    assert_eq!(changed.text("/created_at"), made.text("/created_at"));
    assert_ne!(changed.text("/updated_at"), made.text("/updated_at"));
    assert_eq!(kim.get(&path).await.json, changed.json);

    let body = json!({ "tags": [" 둘 ", "둘"], "category": null, "metadata": null });
    let changed = kim.put(&path, body).await.assert_status(200);
    assert_eq!((&changed.json["tags"], &changed.json["metadata"]), (&json!(["둘"]), &json!({})));
    assert!(changed.json.get("category").is_none());
    assert_eq!(changed.text("/content"), "나");
    // What changes nothing makes no version, and putting aside is no change of what was written.
    assert_eq!(kim.put(&path, json!({ "content": "나" })).await.json["version"], 3);
    let aside = kim.put(&path, json!({ "is_archived": true })).await.assert_status(200);
    assert_eq!((&aside.json["version"], &aside.json["is_archived"]), (&json!(3), &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_version_changes_nothing() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    put_if(&kim, &memo, json!({ "content": "둘째" }), "\"1\"").await.assert_status(200);
    let stale = put_if(&kim, &memo, json!({ "content": "셋째" }), "\"1\"").await.assert_problem(412, "memo_changed");
    assert_eq!(stale.json["version"], 2);
    put_if(&kim, &memo, json!({ "content": "셋째" }), "W/\"2\"").await.assert_problem(400, "malformed");
    put_if(&kim, &memo, json!({ "content": "셋째" }), "*").await.assert_status(200);
    let delete = kim.request(Method::DELETE, &memo).header("if-match", "\"2\"");
    kim.send(delete).await.assert_problem(412, "memo_changed");

    let (one, other) = tokio::join!(
        put_if(&kim, &memo, json!({ "content": "이쪽" }), "\"3\""),
        put_if(&kim, &memo, json!({ "content": "저쪽" }), "\"3\""),
    );
    let mut both = [one.status, other.status];
    both.sort_unstable();
    assert_eq!(both, [200, 412]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_memo_was_is_kept_and_not_without_end() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    for version in 2..=23 {
        kim.put(&memo, json!({ "content": format!("{version}번째") })).await.assert_status(200);
    }
    let revisions = kim.get(&format!("{memo}/revisions")).await.assert_status(200);
    let versions: Vec<_> =
        revisions.json.as_array().unwrap().iter().map(|revision| revision["version"].as_i64().unwrap()).collect();
    assert_eq!(versions, (3..=22).rev().collect::<Vec<_>>());
    assert_eq!(revisions.text("/0/content"), "22번째");
    app.as_user().get(&format!("{memo}/revisions")).await.assert_problem(404, "memo_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_judged_like_a_new_memo() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let tags: Vec<_> = (0..51).map(|tag| tag.to_string()).collect();
    let bad =
        json!({ "content": "가".repeat(100_001), "tags": tags, "category": "", "metadata": [], "session_id": "x" });
    let answer = kim.put(&memo, bad).await.assert_problem(422, "invalid");
    let pointers: Vec<_> = answer.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(pointers, ["/content", "/tags", "/category", "/session_id", "/metadata"]);
    kim.put(&memo, json!({ "content": " " })).await.assert_problem(422, "invalid");
    kim.put(&memo, json!({ "user_id": kim.user_id })).await.assert_problem(400, "malformed");
    app.as_user().put(&memo, json!({ "content": "내 것" })).await.assert_problem(404, "memo_not_found");
    app.as_user().delete(&memo).await.assert_problem(404, "memo_not_found");
    assert_eq!(kim.get(&memo).await.json["version"], 1);

    let upload = begin(&kim, &memo, picture()).await;
    assert!(put(&upload, crate::PICTURE).await.is_success());
    kim.post(&format!("{}/complete", path_of(&memo, &upload)), json!({})).await.assert_status(200);
    let bare = kim.put(&memo, json!({ "content": " " })).await.assert_status(200);
    assert_eq!((bare.text("/content"), bare.json["attachments"].as_array().unwrap().len()), ("", 1));
}
