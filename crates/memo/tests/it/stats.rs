//! What is counted of a person's memos.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::{
    PICTURE,
    forms::{Form, send},
    start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memos_of_some_days_are_counted_in_the_persons_own_calendar() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    lee.post("/memo", json!({ "content": "남의 것", "tags": ["가을"] })).await.assert_status(201);
    let first = stage.clock.now();
    kim.post("/memo", json!({ "content": "하나", "tags": ["가을"], "category": "일상" })).await.assert_status(201);
    stage.clock.advance(Duration::from_hours(24));
    let form =
        Form::default().text("content", "둘").text("tags", "가을,하늘").file("image_0", "a.png", "image/png", PICTURE);
    send(&kim, Method::POST, "/memo", form, &[]).await.assert_status(201);
    let gone = kim.post("/memo", json!({ "content": "셋" })).await.assert_status(201);
    kim.delete(&format!("/memo/{}", gone.text("/id"))).await.assert_status(200);

    let seoul = |at: chrono::DateTime<chrono::Utc>| (at + chrono::TimeDelta::hours(9)).date_naive();
    let (from, today) = (seoul(first).pred_opt().unwrap(), seoul(stage.clock.now()));
    let path = format!("/memo/stats?tz=Asia/Seoul&start_date={from}&end_date={today}");
    let counted = kim.get(&path).await.assert_status(200);
    assert_eq!(
        counted.json["days"],
        json!([
            { "date": from, "memos": 0 }, { "date": seoul(first), "memos": 1 }, { "date": today, "memos": 1 }
        ])
    );
    assert_eq!((&counted.json["total"], &counted.json["streak_days"]), (&json!(2), &json!(2)));
    assert_eq!(counted.json["by_tag"], json!([{ "name": "가을", "count": 2 }, { "name": "하늘", "count": 1 }]));
    assert_eq!(counted.json["by_category"], json!([{ "name": "일상", "count": 1 }]));
    assert_eq!(counted.json["attachments"], json!([{ "name": "image", "count": 1 }]));
    let storage = json!({ "used_bytes": PICTURE.len(), "quota_bytes": 2_048_u64 << 20 });
    assert_eq!(counted.json["storage"], storage);
    assert_eq!(counted.header("cache-control"), "no-store");

    for bad in [
        "",
        "tz=Mars/Base&start_date=2026-01-01&end_date=2026-01-02",
        "tz=UTC&start_date=2026-01-02&end_date=2026-01-01",
    ] {
        kim.get(&format!("/memo/stats?{bad}")).await.assert_problem(422, "invalid");
    }
    app.anonymous().get(&path).await.assert_problem(401, "unauthenticated");
}
