//! Nobody sees another person's memos, and nobody comes in without the gateway's word.

use serde_json::json;

use crate::{PICTURE, a_memo, begin, path_of, picture, put, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_persons_memo_and_files_are_not_there() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture()).await;
    assert!(put(&upload, PICTURE).await.is_success());
    let file = path_of(&memo, &upload);
    let complete = format!("{file}/complete");

    lee.get(&memo).await.assert_problem(404, "memo_not_found");
    lee.put(&memo, json!({ "content": "내 것" })).await.assert_problem(404, "memo_not_found");
    lee.delete(&memo).await.assert_problem(404, "memo_not_found");
    lee.post(&format!("{memo}/restore"), json!({})).await.assert_problem(404, "memo_not_found");
    lee.get(&format!("{memo}/revisions")).await.assert_problem(404, "memo_not_found");
    lee.post(&format!("{memo}/attachments"), picture()).await.assert_problem(404, "memo_not_found");
    lee.post(&complete, json!({})).await.assert_problem(404, "attachment_not_found");
    kim.post(&complete, json!({})).await.assert_status(200);
    lee.post(&complete, json!({})).await.assert_problem(404, "attachment_not_found");
    lee.get(&file).await.assert_problem(404, "attachment_not_found");
    let own = a_memo(&lee).await;
    lee.get(&path_of(&own, &upload)).await.assert_problem(404, "attachment_not_found");
    let days = "/memo/list?tz=UTC&start_date=2026-01-01&end_date=2026-12-31";
    assert!(!String::from_utf8(lee.get(days).await.body).unwrap().contains(upload.text("/attachment_id")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_none_names_nothing() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    for path in ["/memo/6720e4b1c2d3a4b5c6d7e8f9", "/memo/x/attachments/y", &format!("{memo}/attachments/../list")] {
        assert_eq!(kim.get(path).await.status, 404, "{path}");
    }
    kim.get("/memo/00000000-0000-7000-8000-000000000000").await.assert_problem(404, "memo_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_person_there_is_nothing_to_see() {
    let (_stage, app) = start().await;
    let memo = a_memo(&app.as_user()).await;
    for nobody in [app.without_token(), app.anonymous()] {
        let body = json!({ "content": "몰래" });
        let answer = nobody.post("/memo", body).await.assert_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        nobody.get(&memo).await.assert_problem(401, "unauthenticated");
        nobody.get("/memo/list").await.assert_problem(401, "unauthenticated");
        nobody.post(&format!("{memo}/attachments"), picture()).await.assert_problem(401, "unauthenticated");
    }
}
