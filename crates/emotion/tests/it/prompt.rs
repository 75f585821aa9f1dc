//! How somebody would like to be answered.

use serde_json::json;

use crate::start;

const PATH: &str = "/emotion/prompt";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_is_set_changed_and_taken_back_by_its_owner() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    kim.get(PATH).await.assert_problem(404, "prompt_not_found");
    let set = kim.put(PATH, json!({ "prompt": " 존댓말로 짧게 \n" })).await.assert_status(200);
    assert_eq!((set.text("/prompt"), &set.json["version"]), ("존댓말로 짧게", &json!(1)));
    assert_eq!(set.text("/updated_at"), domain::time::rfc3339(stage.clock.now()));
    assert_eq!(kim.get(PATH).await.json, set.json);
    assert_eq!(kim.put(PATH, json!({ "prompt": "존댓말로 짧게" })).await.json, set.json, "the same changes nothing");
    let other = kim.put(PATH, json!({ "prompt": "천천히" })).await.assert_status(200);
    assert_eq!((other.text("/prompt"), &other.json["version"]), ("천천히", &json!(2)));
    lee.get(PATH).await.assert_problem(404, "prompt_not_found");

    lee.delete(PATH).await.assert_status(204);
    assert_eq!(kim.get(PATH).await.text("/prompt"), "천천히");
    kim.delete(PATH).await.assert_status(204);
    kim.get(PATH).await.assert_problem(404, "prompt_not_found");
    kim.delete(PATH).await.assert_status(204);
    let back = kim.put(PATH, json!({ "prompt": "천천히" })).await.assert_status(200);
    assert_eq!(back.json["version"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_is_empty_too_long_or_not_text_is_refused() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for (body, code) in [
        (json!({ "prompt": "  " }), "required"),
        (json!({ "prompt": "가".repeat(4_001) }), "too_long"),
        (json!({ "prompt": "a\u{0}b" }), "nul_in_text"),
    ] {
        let refused = kim.put(PATH, body).await.assert_problem(422, "invalid");
        assert_eq!((refused.text("/errors/0/pointer"), refused.text("/errors/0/code")), ("/prompt", code));
    }
    for body in [json!({}), json!({ "prompt": 7 }), json!({ "prompt": "x", "role": "system" }), json!("x")] {
        kim.put(PATH, body).await.assert_problem(400, "malformed");
    }
    kim.put(PATH, json!({ "prompt": "가".repeat(4_000) })).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_at_once_one_is_in_force_and_the_newest_twenty_are_kept() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let changes = (0..30).map(|n| {
        let kim = kim.clone();
        async move { kim.put(PATH, json!({ "prompt": format!("{n}번째") })).await.status }
    });
    assert_eq!(futures_util::future::join_all(changes).await, [200; 30]);
    assert_eq!(kim.get(PATH).await.json["version"], 30);
    let mut conn = stage.pg().conn().await.unwrap();
    let vault = crate::config(&stage).vault.open().unwrap().read_for(&mut conn, kim.user_id).await.unwrap();
    let kept = emotion::prompt::store::list(&mut conn, &vault, kim.user_id).await.unwrap();
    assert_eq!(kept.iter().map(|(prompt, _)| prompt.version).collect::<Vec<_>>(), (11..=30).rev().collect::<Vec<_>>());
    assert_eq!(kept.iter().filter(|(_, retired_at)| retired_at.is_none()).count(), 1);
}
