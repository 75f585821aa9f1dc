//! Coming in by a code.

use diesel::sql_query;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{SESSIONS, join, make, open, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_shows_its_session_to_everybody_and_nothing_private() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let body = json!({ "title": "마루 발표", "description": "비밀", "tags": ["안"], "custom_settings": { "mine": 1 } });
    let made = kim.post(SESSIONS, body).await.assert_status(201);
    let code = made.text("/session_code");
    for anybody in [app.anonymous(), app.as_user(), kim.clone()] {
        let shown = anybody.get(&format!("{SESSIONS}/code/{code}")).await.assert_status(200);
        let expected = json!({
            "id": made.json["id"], "title": "마루 발표", "type": "presentation", "status": "created",
            "session_code": code, "presenter_name": null, "is_active": false, "participant_count": 0,
            "requires_ticket": false,
        });
        assert_eq!(shown.json, expected);
        assert_eq!(shown.header("cache-control"), "no-store");
    }
    app.without_token().get(&format!("{SESSIONS}/code/{code}")).await.assert_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_read_as_people_type_it() {
    let (_stage, app) = start().await;
    let (_path, code) = open(&app.as_user()).await;
    let guest = app.anonymous();
    let (head, tail) = code.split_at(3);
    let lower = code.to_lowercase();
    for typed in [lower.clone(), format!("{head}-{tail}"), format!("{head}%20{tail}"), format!("%20{lower}%20")] {
        let shown = guest.get(&format!("{SESSIONS}/code/{typed}")).await.assert_status(200);
        assert_eq!(shown.text("/session_code"), code, "{typed}");
        guest.post(&format!("{SESSIONS}/code/{typed}/join"), json!({})).await.assert_status(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_code_and_what_is_none_are_the_same() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let guest = app.anonymous();
    let strange = [
        "AAAAAA",
        "AB",
        "AB23CDE",
        "%EA%B0%80%EB%82%98%EB%8B%A4",
        "%F0%9F%98%80",
        "%EF%BC%A1BCDEF",
        "a'b--c",
        "%25AB23C",
    ];
    for typed in strange.iter().map(|typed| (*typed).to_owned()).chain([format!("{}0", "9".repeat(500))]) {
        guest.get(&format!("{SESSIONS}/code/{typed}")).await.assert_problem(404, "session_not_found");
        let path = format!("{SESSIONS}/code/{typed}/join");
        guest.post(&path, json!({})).await.assert_problem(404, "session_not_found");
    }
    // Letters that are not drawn any more still open what has them.
    let old = "UPDATE sessions SET session_code = 'O0I1L5'";
    stage.pg().conn().await.unwrap().batch_execute(old).await.unwrap();
    assert_eq!(guest.get(&format!("{SESSIONS}/code/o0i1l5")).await.assert_status(200).text("/title"), "마루 발표");
    guest.get(&format!("{SESSIONS}/code/{code}")).await.assert_problem(404, "session_not_found");
    kim.delete(&path).await.assert_status(204);
    guest.get(&format!("{SESSIONS}/code/O0I1L5")).await.assert_problem(404, "session_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_and_people_come_in_and_are_counted() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let guest = join(&app.anonymous(), &code, "  이주최 ").await.assert_status(201);
    assert_eq!(guest.text("/participant/display_name"), "이주최");
    assert!(guest.text("/participant/joined_at").ends_with('Z'), "{}", guest.json);
    assert!(guest.text("/participant_token").starts_with("mpt_"), "{}", guest.json);
    assert_eq!(guest.header("cache-control"), "no-store");
    let mut members: Vec<_> = guest.json["session"].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    let public = [
        "id",
        "is_active",
        "participant_count",
        "presenter_name",
        "requires_ticket",
        "session_code",
        "status",
        "title",
        "type",
    ];
    assert_eq!(members, public);
    assert_eq!(guest.json["session"]["participant_count"], 1);
    assert!(path.ends_with(guest.text("/session/id")));

    let lee = join(&app.as_user(), &code, "박관리").await.assert_status(201);
    assert_eq!(lee.json["session"]["participant_count"], 2);
    assert_eq!(kim.get(&path).await.json["participant_count"], 2);
    assert_eq!(kim.get(SESSIONS).await.json[0]["participant_count"], 2);
    let list = kim.get(&format!("{path}/participants")).await.assert_status(200);
    assert_eq!((list.header("x-total-count"), list.header("link")), ("2", ""));
    assert_eq!(list.json, json!([lee.json["participant"], guest.json["participant"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_no_name_has_one_all_the_same() {
    let (_stage, app) = start().await;
    let (_path, code) = open(&app.as_user()).await;
    let join = format!("{SESSIONS}/code/{code}/join");
    let guest = app.anonymous();
    let bare = guest.send(guest.request(Method::POST, &join)).await.assert_status(201);
    assert_eq!(bare.text("/participant/display_name"), "참가자");
    let english = guest.post_with(&join, json!({ "display_name": null }), &[("accept-language", "en")]).await;
    assert_eq!(english.assert_status(201).text("/participant/display_name"), "Participant");
    for bad in ["", "  ", "두\n줄", "\u{0}", &"가".repeat(51)] {
        let refused = guest.post(&join, json!({ "display_name": bad })).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), "/display_name");
    }
    for body in [json!({ "display_name": 7 }), json!({ "name": "x" }), json!({ "user_id": "x" }), json!([])] {
        guest.post(&join, body).await.assert_problem(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_join_of_a_person_keeps_the_first_place() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let lee = app.as_user();
    let first = join(&lee, &code, "이주최").await.assert_status(201);
    let second = join(&lee, &code, "다른 이름").await.assert_status(201);
    assert_eq!(first.json["participant"], second.json["participant"]);
    let path_of_code = format!("{SESSIONS}/code/{code}/join");
    let again = || lee.post(&path_of_code, json!({}));
    let (a, b, c, d) = tokio::join!(again(), again(), again(), again());
    for answer in [a, b, c, d] {
        assert_eq!(answer.assert_status(201).json["participant"], first.json["participant"]);
    }
    assert_eq!(kim.get(&path).await.json["participant_count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_joins_many_times_at_once_has_one_place() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let lee = app.as_user();
    let walk_in = || join(&lee, &code, "이주최");
    let (a, b, c, d) = tokio::join!(walk_in(), walk_in(), walk_in(), walk_in());
    let places = [a, b, c, d].map(|answer| answer.assert_status(201).json["participant"]["id"].clone());
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    assert_eq!(kim.get(&path).await.json["participant_count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_active_session_lets_people_in() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let code = kim.get(&path).await.text("/session_code").to_owned();
    let guest = app.anonymous();
    let refused = join(&guest, &code, "이주최").await.assert_problem(409, "session_not_active");
    assert_eq!(refused.text("/detail"), "지금은 참여할 수 없는 세션입니다.");
    for (button, status) in [("activate", 201), ("deactivate", 409), ("activate", 201), ("end", 409)] {
        kim.post(&format!("{path}/{button}"), json!({})).await.assert_status(200);
        assert_eq!(join(&guest, &code, "이주최").await.status, status, "{button}");
    }
    assert_eq!(kim.get(&path).await.json["participant_count"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_who_come_at_once_are_fifty() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let (guest, mut coming) = (app.anonymous(), tokio::task::JoinSet::new());
    for number in 0..50 {
        let (guest, code) = (guest.clone(), code.clone());
        coming.spawn(async move { join(&guest, &code, &format!("손님 {number}")).await.assert_status(201) });
    }
    let came = coming.join_all().await;
    let mut counts: Vec<_> =
        came.iter().map(|one| one.json["session"]["participant_count"].as_i64().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=50).collect::<Vec<_>>());
    assert_eq!(kim.get(&path).await.json["participant_count"], 50);
    let list = kim.get(&format!("{path}/participants?limit=500")).await;
    assert_eq!((list.header("x-total-count"), list.json.as_array().unwrap().len()), ("50", 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_session_lets_nobody_in_and_those_inside_stay() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let lee = app.as_user();
    let inside = join(&lee, &code, "이주최").await.assert_status(201);
    sql_query("UPDATE sessions SET participant_count = 9999")
        .execute(&mut stage.pg().conn().await.unwrap())
        .await
        .unwrap();
    let guest = app.anonymous();
    let (a, b, c) = tokio::join!(join(&guest, &code, "가"), join(&guest, &code, "나"), join(&guest, &code, "다"));
    let mut statuses = [a.status, b.status, c.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    join(&guest, &code, "라").await.assert_problem(409, "session_full");
    assert_eq!(join(&lee, &code, "이주최").await.assert_status(201).json["participant"], inside.json["participant"]);
    // Who was not let in left no trace.
    let list = kim.get(&format!("{path}/participants")).await;
    assert_eq!(list.json.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_is_its_owners_page_by_page() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    for number in 0..5 {
        join(&app.anonymous(), &code, &format!("손님 {number}")).await.assert_status(201);
    }
    let names = |page: &Value| -> Vec<String> {
        page.as_array().unwrap().iter().map(|one| one["display_name"].as_str().unwrap().to_owned()).collect()
    };
    let first = kim.get(&format!("{path}/participants?limit=2")).await.assert_status(200);
    assert_eq!(names(&first.json), ["손님 4", "손님 3"]);
    let (next, _) = first.header("link").split_once(">; rel=\"next\"").unwrap();
    let second = kim.get(next.trim_start_matches('<')).await.assert_status(200);
    assert_eq!(
        (names(&second.json), second.header("x-total-count")),
        (vec!["손님 2".to_owned(), "손님 1".to_owned()], "5")
    );
    for (query, pointer) in [("limit=0", "?limit"), ("limit=501", "?limit"), ("offset=-1", "?offset")] {
        let refused = kim.get(&format!("{path}/participants?{query}")).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    app.as_user().get(&format!("{path}/participants")).await.assert_problem(404, "session_not_found");
    app.anonymous().get(&format!("{path}/participants")).await.assert_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_answer_was_lost_comes_in_once_and_only_from_there() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let (guest, join) = (app.anonymous(), format!("{SESSIONS}/code/{code}/join"));
    let send = |key: &'static str, name: &'static str, from: &'static str| {
        let (guest, join) = (guest.clone(), join.clone());
        async move {
            let headers = [("idempotency-key", key), ("x-client-ip", from)];
            guest.post_with(&join, json!({ "display_name": name }), &headers).await
        }
    };
    let (a, b, c) =
        tokio::join!(send("k-1", "손님", "1.2.3.4"), send("k-1", "손님", "1.2.3.4"), send("k-1", "손님", "1.2.3.4"));
    let places = [a, b, c].map(|answer| answer.assert_status(201).json["participant"]["id"].clone());
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    send("k-1", "다른 손님", "1.2.3.4").await.assert_problem(422, "idempotency_key_reused");
    let elsewhere = send("k-1", "손님", "5.6.7.8").await.assert_status(201);
    assert_ne!(elsewhere.json["participant"]["id"], places[0]);
    send("not a key", "손님", "1.2.3.4").await.assert_problem(422, "invalid");
    assert_eq!(kim.get(&path).await.json["participant_count"], 2);
}
