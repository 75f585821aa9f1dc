//! One's own sessions, page by page.

use std::time::Duration;

use diesel_async::RunQueryDsl;
use serde_json::json;
use testkit::Answer;

use crate::{SESSIONS, make, start};

fn titles(answer: &Answer) -> Vec<&str> {
    answer.json.as_array().unwrap().iter().map(|session| session["title"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_a_bare_array_newest_first_with_and_without_a_slash() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for title in ["첫째", "둘째", "셋째"] {
        stage.clock.advance(Duration::from_secs(1));
        kim.post("/api/v1/sessions/", json!({ "title": title })).await.assert_status(201);
    }
    app.as_user().post(SESSIONS, json!({ "title": "남의 것" })).await.assert_status(201);
    for path in [SESSIONS, "/api/v1/sessions/"] {
        let list = kim.get(path).await.assert_status(200);
        assert_eq!(titles(&list), ["셋째", "둘째", "첫째"]);
        assert_eq!((list.header("x-total-count"), list.header("link")), ("3", ""));
    }
    let other_way = kim.get(&format!("{SESSIONS}?sort=created_at&order=ASC")).await.assert_status(200);
    assert_eq!(titles(&other_way), ["첫째", "둘째", "셋째"]);
    assert_eq!(titles(&kim.get(&format!("{SESSIONS}?sort=title&order=asc")).await).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_the_link_visits_every_session_once() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    // Two of them in the same instant.
    for number in 0..5 {
        stage.clock.advance(Duration::from_secs(number % 2));
        kim.post(SESSIONS, json!({ "title": format!("세션 {number}") })).await.assert_status(201);
    }
    let mut seen = Vec::new();
    let mut path = format!("{SESSIONS}?limit=2&type=presentation");
    loop {
        let page = kim.get(&path).await.assert_status(200);
        assert_eq!(page.header("x-total-count"), "5");
        seen.extend(titles(&page).into_iter().map(ToOwned::to_owned));
        let Some((next, _rel)) = page.header("link").split_once(">; rel=\"next\"") else { break };
        path = next.trim_start_matches('<').to_owned();
        assert!(path.contains("type=presentation"), "{path}");
    }
    seen.sort();
    assert_eq!(seen, ["세션 0", "세션 1", "세션 2", "세션 3", "세션 4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_goes_on_where_it_was_whatever_was_added_or_removed() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for number in 0..6 {
        // Two of each instant, and of each title.
        stage.clock.advance(Duration::from_secs(number % 2));
        kim.post(SESSIONS, json!({ "title": format!("세션 {}", number / 2) })).await.assert_status(201);
    }
    for order in
        ["sort=created_at", "sort=created_at&order=asc", "sort=title", "sort=title&order=asc", "sort=updated_at"]
    {
        let whole = kim.get(&format!("{SESSIONS}?{order}")).await.assert_status(200).json;
        let mut path = format!("{SESSIONS}?{order}&limit=2");
        let mut seen = Vec::new();
        loop {
            let page = kim.get(&path).await.assert_status(200);
            assert_eq!(page.header("x-total-count"), "6");
            seen.extend(page.json.as_array().unwrap().clone());
            let Some((next, _rel)) = page.header("link").split_once(">; rel=\"next\"") else { break };
            path = next.trim_start_matches('<').to_owned();
            assert!(path.contains("cursor=") && path.contains(order), "{path}");
        }
        assert_eq!(whole, json!(seen), "{order}");
    }
    let whole = kim.get(SESSIONS).await.json;
    let first = kim.get(&format!("{SESSIONS}?limit=2")).await;
    stage.clock.advance(Duration::from_secs(1));
    kim.post(SESSIONS, json!({ "title": "새 세션" })).await.assert_status(201);
    let (next, _) = first.header("link").split_once('>').unwrap();
    let second = kim.get(next.trim_start_matches('<')).await.assert_status(200);
    assert_eq!(second.json[0], whole[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_choose_by_type_status_and_activity() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for kind in ["dating", "interview", "business", "presentation"] {
        kim.post(SESSIONS, json!({ "title": kind, "type": kind })).await.assert_status(201);
    }
    let mut conn = stage.pg().conn().await.unwrap();
    diesel::sql_query("UPDATE sessions SET status = 'active' WHERE kind IN ('dating', 'interview')")
        .execute(&mut conn)
        .await
        .unwrap();
    let list = |query: &str| {
        let (kim, path) = (kim.clone(), format!("{SESSIONS}?{query}"));
        async move { kim.get(&path).await }
    };
    assert_eq!(titles(&list("type=business").await), ["business"]);
    let active = list("status=active&type=dating").await;
    assert_eq!((titles(&active), active.header("x-total-count")), (vec!["dating"], "1"));
    assert_eq!(active.json[0]["is_active"], true);
    assert_eq!(titles(&list("is_active=true").await).len(), 2);
    assert_eq!(titles(&list("is_active=false&status=active").await), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_given_is_refused_with_the_parameter() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=101", "?limit"),
        ("offset=-1", "?offset"),
        ("offset=1&cursor=01900000-0000-7000-8000-0000000000ff", "?cursor"),
        ("cursor=01900000-0000-7000-8000-0000000000ff", "?cursor"),
        ("status=gone", "?status"),
        ("type=party", "?type"),
        ("sort=user_id", "?sort"),
        ("order=sideways", "?order"),
    ] {
        let refused = kim.get(&format!("{SESSIONS}?{query}")).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let others = make(&app.as_user()).await;
    let others = format!("{SESSIONS}?cursor={}", others.rsplit('/').next().unwrap());
    kim.get(&others).await.assert_problem(422, "invalid");
    kim.get(&format!("{SESSIONS}?cursor=xyz")).await.assert_problem(400, "malformed");
    kim.get(&format!("{SESSIONS}?limit=many")).await.assert_problem(400, "malformed");
}
