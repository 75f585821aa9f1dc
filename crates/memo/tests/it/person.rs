//! What the auth service asks about a person.

use std::time::Duration;

use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::{
    contract::{UserErasure, UserExport},
    ids::UserId,
    memo::attachment::upload_key,
    principal::{Role, Service},
};
use memo::{app::App, attachments::sweep::sweep};
use serde_json::json;
use testkit::{Answer, Stage, TestApp, TestClient, eventually};

use crate::{PICTURE, a_memo, begin, config, fetch, path_of, picture, put, start};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn path(person: UserId) -> String {
    format!("/internal/users/{person}")
}

async fn export(app: &TestApp, person: UserId) -> UserExport {
    let answer = app.as_service(Service::Auth).get(&format!("{}/export", path(person))).await.assert_status(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    serde_json::from_value(answer.json).unwrap()
}

async fn erase(app: &TestApp, person: UserId) -> UserErasure {
    let answer = app.as_service(Service::Auth).delete(&path(person)).await.assert_status(200);
    serde_json::from_value(answer.json).unwrap()
}

/// Asks the database for a number.
pub(crate) async fn number(stage: &Stage, query: &str) -> i64 {
    let mut conn = stage.pg().conn().await.unwrap();
    sql_query(query).get_result::<Number>(&mut conn).await.unwrap().number
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: uuid::Uuid,
}

/// Asks the database for ids.
pub(crate) async fn ids(stage: &Stage, query: &str) -> Vec<uuid::Uuid> {
    let mut conn = stage.pg().conn().await.unwrap();
    sql_query(query).load::<Id>(&mut conn).await.unwrap().into_iter().map(|row| row.id).collect()
}

/// Does something to the database.
pub(crate) async fn sql(stage: &Stage, statements: &str) {
    stage.pg().conn().await.unwrap().batch_execute(statements).await.unwrap();
}

/// Counts everything that is kept of a person.
async fn left_of(stage: &Stage, person: UserId) -> i64 {
    let count = format!(
        "SELECT (SELECT count(*) FROM memos WHERE user_id = '{person}') \
         + (SELECT count(*) FROM attachments WHERE user_id = '{person}') \
         + (SELECT count(*) FROM idempotency_keys WHERE user_id = '{person}') AS number"
    );
    number(stage, &count).await
}

/// Puts a picture into a memo; returns the upload and the URL it can be read by.
async fn a_picture(of: &TestClient, memo: &str) -> (Answer, String) {
    let upload = begin(of, memo, picture()).await;
    assert!(put(&upload, PICTURE).await.is_success());
    let done = of.post(&format!("{}/complete", path_of(memo, &upload)), json!({})).await.assert_status(200);
    let url = done.text("/url").to_owned();
    (upload, url)
}

/// Writes one memo with a picture and an upload that has not come, and one under a key that is in the trash.
async fn two_memos(stage: &Stage, of: &TestClient) -> (Answer, String) {
    let memo = a_memo(of).await;
    let picture_and_url = a_picture(of, &memo).await;
    begin(of, &memo, picture()).await;
    let key = [("idempotency-key", "k-1")];
    let trashed = of.post_with("/memo", json!({ "content": "버린 메모" }), &key).await.assert_status(201);
    sql(stage, &format!("UPDATE memos SET deleted_at = now() WHERE id = '{}'", trashed.text("/id"))).await;
    picture_and_url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_auth_service_may_ask_about_a_person() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    two_memos(&stage, &kim).await;
    let (own, shown) = (path(kim.user_id), format!("{}/export", path(kim.user_id)));
    let others = [Service::Gateway, Service::Session, Service::Ticketing, Service::Emotion, Service::Memo];
    let callers = others.map(|service| app.as_service(service)).into_iter();
    for caller in callers.chain([kim.clone(), app.as_role(Role::Admin), app.anonymous()]) {
        caller.get(&shown).await.assert_problem(404, "not_found");
        caller.delete(&own).await.assert_problem(404, "not_found");
    }
    app.without_token().delete(&own).await.assert_problem(401, "unauthenticated");
    assert_eq!(left_of(&stage, kim.user_id).await, 5);
    let document = app.without_token().get("/openapi.json").await.assert_status(200);
    assert!(!String::from_utf8(document.body).unwrap().contains("/internal/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_the_trash_and_the_files_too_and_nothing_of_others() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let (upload, _) = two_memos(&stage, &kim).await;
    two_memos(&stage, &lee).await;
    let changed = kim.get("/memo/list?q=가을").await.assert_status(200);
    let path = format!("/memo/{}", changed.text("/0/id"));
    kim.put(&path, json!({ "content": "가을 밤" })).await.assert_status(200);
    kim.put(&path, json!({ "content": "가을 하늘" })).await.assert_status(200);
    let UserExport { service, data } = export(&app, kim.user_id).await;
    assert_eq!((service, &data["truncated"]), (Service::Memo, &json!(false)));
    let memos = data["memos"].as_array().unwrap();
    let find = |content: &str| memos.iter().find(|memo| memo["content"] == content).unwrap();
    assert_eq!((memos.len(), &find("가을 하늘")["deleted_at"]), (2, &json!(null)));
    assert!(find("버린 메모")["deleted_at"].as_str().unwrap().ends_with('Z'));

    let was: Vec<_> = data["revisions"].as_array().unwrap().iter().map(|was| &was["content"]).collect();
    assert_eq!(
        (was, &data["revisions"][0]["memo_id"]),
        (vec![&json!("가을 밤"), &json!("가을 하늘")], &changed.json[0]["id"])
    );

    let files = data["attachments"].as_array().unwrap();
    let is_ready = |ready: bool| files.iter().find(|file| file["url"].is_string() == ready).unwrap();
    let (ready, awaited) = (is_ready(true), is_ready(false));
    assert_eq!(
        (files.len(), &ready["id"], &ready["memo_id"]),
        (2, &upload.json["attachment_id"], &find("가을 하늘")["id"])
    );
    assert_eq!((&ready["filename"], &ready["content_type"]), (&json!("가을.png"), &json!("image/png")));
    assert_eq!((&ready["size"], &ready["type"]), (&json!(PICTURE.len()), &json!("image")));
    let until = stage.clock.now() + Duration::from_mins(15);
    assert_eq!(ready["url_expires_at"], json!(domain::time::rfc3339(until)));
    assert_eq!(fetch(ready["url"].as_str().unwrap()).await.bytes().await.unwrap(), PICTURE);
    assert_eq!((&awaited["state"], &awaited["url"]), (&json!("initiated"), &json!(null)));

    let nobody = export(&app, UserId(uuid::Uuid::nil())).await.data;
    assert_eq!(nobody, json!({ "memos": [], "revisions": [], "attachments": [], "truncated": false }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_leaves_no_row_and_no_object_of_the_person_and_everything_of_others() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let (_, of_kim) = two_memos(&stage, &kim).await;
    let (_, of_lee) = two_memos(&stage, &lee).await;
    let first = erase(&app, kim.user_id).await;
    assert_eq!((first.service, first.is_finished), (Service::Memo, true));
    assert_eq!(json!(first.erased), json!({ "memos": 2, "attachments": 2, "idempotency_keys": 1 }));
    assert_eq!((left_of(&stage, kim.user_id).await, left_of(&stage, lee.user_id).await), (0, 5));
    assert_eq!((fetch(&of_kim).await.status().as_u16(), fetch(&of_lee).await.status().as_u16()), (404, 200));
    let again = erase(&app, kim.user_id).await;
    assert_eq!((again.is_finished, again.erased.len()), (true, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_uploaded_after_the_erasure_is_deleted_when_nothing_more_can_come() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (upload, url) = two_memos(&stage, &kim).await;
    assert!(erase(&app, kim.user_id).await.is_finished);
    assert!(put(&upload, PICTURE).await.is_success(), "the URL to upload it cannot be taken back");
    assert_eq!(fetch(&url).await.status().as_u16(), 404);

    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    let key = upload_key(kim.user_id, upload.text("/attachment_id").parse().unwrap());
    let awaited = "SELECT count(*) AS number FROM unowned_objects WHERE object_key LIKE 'upload/%'";
    sweep(&program).await.unwrap();
    assert_eq!(number(&stage, awaited).await, 2);
    assert!(program.storage.find(&key).await.unwrap().is_some(), "more may come, and all of it goes at once");
    let ends = "SELECT round(extract(epoch FROM max(due_at) - now()))::bigint AS number FROM unowned_objects";
    assert!((74 * 60..=75 * 60).contains(&number(&stage, ends).await));
    // Their time passes; the storage goes by a clock of its own, and the stage's is up to a second and the test behind.
    sql(&stage, "UPDATE unowned_objects SET due_at = now() - interval '1 minute'").await;
    sweep(&program).await.unwrap();
    let left = "SELECT count(*) + (SELECT count(*) FROM storage_usage) AS number FROM unowned_objects";
    eventually(Duration::from_secs(10), || async { number(&stage, left).await == 0 }).await;
    assert_eq!(program.storage.find(&key).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_time_is_long_over_is_not_waited_for() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    two_memos(&stage, &kim).await;
    let over = "UPDATE attachments SET upload_expires_at = now() - interval '2 hours'; \
                UPDATE unowned_objects SET due_at = now() - interval '1 hour'";
    sql(&stage, over).await;
    assert!(erase(&app, kim.user_id).await.is_finished);
    let late = "SELECT count(*) AS number FROM unowned_objects WHERE due_at > now() + interval '1 minute'";
    assert_eq!(number(&stage, late).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_outlived_their_objects_are_erased_by_the_next_call() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (upload, _) = two_memos(&stage, &kim).await;
    // As if a process had died between the object and its row.
    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    let objects = program.storage.list(&format!("memo/{}/", kim.user_id), "", 10).await.unwrap();
    assert_eq!(objects.len(), 1, "{}", upload.json);
    program.storage.delete(&objects[0].key).await.unwrap();
    assert!(erase(&app, kim.user_id).await.is_finished);
    assert_eq!(left_of(&stage, kim.user_id).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_storage_no_row_of_a_file_is_erased() {
    let stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let well = stage.serve(memo::build(config(&stage), stage.clock.clone()).unwrap());
    let mut config = config(&stage);
    config.s3.s3_endpoint = format!("http://{closed}").parse().unwrap();
    let ill = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    let kim = well.as_user();
    two_memos(&stage, &kim).await;
    let answer = ill.as_service(Service::Auth).delete(&path(kim.user_id)).await;
    answer.assert_problem(503, "unavailable");
    assert_eq!(left_of(&stage, kim.user_id).await, 5);
    assert!(erase(&well, kim.user_id).await.is_finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_account_takes_several_calls_and_is_shown_whole() {
    let (stage, app) = start().await;
    let person = app.as_user().user_id;
    let many = format!(
        "INSERT INTO memos (id, user_id, content, created_at, updated_at) \
         SELECT gen_random_uuid(), '{person}', 'x', now(), now() FROM generate_series(1, 1210); \
         INSERT INTO attachments (id, memo_id, user_id, kind, filename, content_type, size, upload_expires_at, \
         created_at) SELECT gen_random_uuid(), id, user_id, 'file', 'a', 'text/plain', 1, now(), now() \
         FROM (SELECT * FROM memos ORDER BY id LIMIT 250) m"
    );
    sql(&stage, &many).await;
    let data = export(&app, person).await.data;
    let ids = |part: &str| {
        let rows = data[part].as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((ids("memos"), ids("attachments")), (1210, 250));
    let mut calls = Vec::new();
    loop {
        let erasure = erase(&app, person).await;
        let of = |what: &str| erasure.erased.get(what).copied().unwrap_or_default();
        calls.push((of("memos"), of("attachments")));
        if erasure.is_finished {
            break;
        }
    }
    // As many as there may be in one call, or fewer when the storage takes its time.
    assert!(calls.len() >= 3 && calls.iter().all(|(memos, files)| *memos <= 500 && *files <= 100), "{calls:?}");
    let sums = calls.iter().fold((0, 0), |(memos, files), call| (memos + call.0, files + call.1));
    assert_eq!(sums, (1210, 250), "{calls:?}");
    assert_eq!(left_of(&stage, person).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasures_and_uploads_at_the_same_time_leave_nothing_in_the_end() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for _ in 0..5 {
        let memo = a_memo(&kim).await;
        let key = [("idempotency-key", "k-1")];
        let attachments = format!("{memo}/attachments");
        let (a, b, first, second) = tokio::join!(
            erase(&app, kim.user_id),
            erase(&app, kim.user_id),
            kim.post_with(&attachments, picture(), &key),
            kim.post(&attachments, picture()),
        );
        assert!([a, b].iter().all(|erasure| erasure.service == Service::Memo));
        assert!([201, 404, 409, 422].contains(&first.status), "{}", first.json);
        assert!([201, 404].contains(&second.status), "{}", second.json);
    }
    while !erase(&app, kim.user_id).await.is_finished {}
    assert_eq!(left_of(&stage, kim.user_id).await, 0);
}
