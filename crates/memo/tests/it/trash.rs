//! Deleting memos, changing one's mind, and what is gone for good.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use memo::{app::App, memos::trash};
use serde_json::{Value, json};
use testkit::{Stage, TestClient};

use crate::{PICTURE, a_memo, begin, config, fetch, path_of, picture, put, start};

const A_MONTH: Duration = Duration::from_hours(30 * 24);

async fn contents(of: &TestClient, query: &str) -> Vec<Value> {
    let answer = of.get(&format!("/memo/list?{query}")).await.assert_status(200);
    answer.json.as_array().unwrap().iter().map(|memo| memo["content"].clone()).collect()
}

/// Lets what is in the trash have been there for longer.
async fn age(stage: &Stage, by: &str) {
    let sql = format!("UPDATE memos SET deleted_at = deleted_at - interval '{by}'");
    stage.pg().conn().await.unwrap().batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_memo_is_nowhere_but_in_the_trash_until_it_is_restored() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let before = kim.get(&memo).await.json;
    let deleted = kim.delete(&memo).await.assert_status(200);
    assert_eq!(deleted.text("/message"), "메모가 삭제되었습니다.");
    kim.get(&memo).await.assert_problem(404, "memo_not_found");
    kim.put(&memo, json!({ "content": "x" })).await.assert_problem(404, "memo_not_found");
    kim.delete(&memo).await.assert_problem(404, "memo_not_found");
    assert!(contents(&kim, "q=가을").await.is_empty());
    assert_eq!(contents(&kim, "trash=true").await, ["가을 하늘"]);
    assert!(contents(&app.as_user(), "trash=true").await.is_empty());

    stage.clock.advance(A_MONTH.saturating_sub(Duration::from_secs(1)));
    let restore = format!("{memo}/restore");
    app.as_user().post(&restore, json!({})).await.assert_problem(404, "memo_not_found");
    let restored = kim.post(&restore, json!({})).await.assert_status(200);
    assert_eq!(restored.json, before);
    assert_eq!(kim.post(&restore, json!({})).await.assert_status(200).json, before);
    assert_eq!(contents(&kim, "q=가을").await, ["가을 하늘"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_month_a_deleted_memo_is_gone_with_its_files() {
    let (stage, app) = start().await;
    let process = App::new(config(&stage), stage.clock.clone()).unwrap();
    let kim = app.as_user();
    let (memo, other) = (a_memo(&kim).await, a_memo(&kim).await);
    let upload = begin(&kim, &memo, picture()).await;
    assert!(put(&upload, PICTURE).await.is_success());
    let file = path_of(&memo, &upload);
    kim.post(&format!("{file}/complete"), json!({})).await.assert_status(200);
    kim.delete(&memo).await.assert_status(200);
    assert_eq!(trash::purge(&process).await.unwrap(), 0);

    // Rows that are older, and not a clock that is ahead: the storage goes by its own.
    age(&stage, "30 days").await;
    kim.post(&format!("{memo}/restore"), json!({})).await.assert_problem(404, "memo_not_found");
    age(&stage, "2 hours").await;
    // The service's own loop may come first.
    trash::purge(&process).await.unwrap();
    assert!(contents(&kim, "trash=true").await.is_empty());
    kim.get(&other).await.assert_status(200);
    let key = format!("memo/{}/{}", kim.user_id, upload.text("/attachment_id"));
    assert!(process.storage.find(&key).await.unwrap().is_none());
    let url = upload.text("/upload_url");
    assert!(!fetch(url).await.status().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_aside_is_not_in_the_trash() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    kim.put(&memo, json!({ "is_archived": true })).await.assert_status(200);
    kim.get(&memo).await.assert_status(200);
    assert!(contents(&kim, "q=가을").await.is_empty());
    assert_eq!(contents(&kim, "q=가을&archived=true").await.len(), 1);
    assert_eq!(contents(&kim, "q=가을&archived=any").await.len(), 1);
    assert!(contents(&kim, "trash=true").await.is_empty());
    kim.get("/memo/list?q=가을&archived=maybe").await.assert_problem(422, "invalid");
}
