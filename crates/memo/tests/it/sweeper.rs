//! Rows and objects that lost each other, and processes that died in between.

use std::time::Duration;

use chrono::TimeDelta;
use domain::principal::Service;
use memo::{
    app::App,
    attachments::sweep::{look_for_files, sweep, sweep_strays},
};
use reqwest::Method;
use serde_json::json;
use testkit::{Child, Stage, TestClient};

use crate::{
    PICTURE, a_memo, begin, config, fetch,
    forms::{Form, number, objects_of, send, storage_settings},
    path_of,
    person::sql,
    picture, put, start,
};

/// Lets the time of everything pass that waits for its own, and sweeps until nothing is left to do.
pub(crate) async fn let_time_pass(stage: &Stage, program: &App) {
    sql(stage, "UPDATE attachments SET upload_expires_at = now() - interval '2 hours' WHERE state = 'initiated'").await;
    loop {
        sql(stage, "UPDATE unowned_objects SET due_at = now() - interval '1 minute'").await;
        sweep(program).await.unwrap();
        let left = "SELECT count(*) + (SELECT count(*) FROM attachments WHERE state = 'initiated') AS number \
                    FROM unowned_objects";
        if number(stage, left).await == 0 {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_that_nobody_used_ends_with_what_came_of_it() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture()).await;
    begin(&kim, &memo, picture()).await;
    assert!(put(&upload, PICTURE).await.is_success());
    let bytes = "SELECT coalesce(sum(bytes), 0)::bigint AS number FROM storage_usage";
    assert_eq!(number(&stage, bytes).await, 2 * i64::try_from(PICTURE.len()).unwrap());
    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    sweep(&program).await.unwrap();
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM attachments").await, 2, "their time is not over");
    let_time_pass(&stage, &program).await;
    assert_eq!(number(&stage, bytes).await, 0);
    assert_eq!(program.storage.list(&format!("upload/{}/", kim.user_id), "", 10).await.unwrap(), []);
    kim.post(&format!("{}/complete", path_of(&memo, &upload)), json!({}))
        .await
        .assert_problem(404, "attachment_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_object_is_lost_is_hidden_until_it_is_back() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let form = Form::default().text("content", "x").file("image_0", "a.png", "image/png", PICTURE);
    let made = send(&kim, Method::POST, "/memo", form, &[]).await.assert_status(201);
    let path = format!("/memo/{}", made.text("/id"));
    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    let key = program.storage.list(&format!("memo/{}/", kim.user_id), "", 10).await.unwrap().remove(0).key;
    program.storage.delete(&key).await.unwrap();
    stage.clock.advance(Duration::from_hours(25));
    assert_eq!(look_for_files(&program, 10).await.unwrap(), 1);
    assert_eq!(kim.get(&path).await.json["attachments"], json!([]));
    program.storage.put(&key, "image/png", PICTURE.into()).await.unwrap();
    stage.clock.advance(Duration::from_hours(25));
    assert_eq!(look_for_files(&program, 10).await.unwrap(), 0);
    assert_eq!(kim.get(&path).await.json["attachments"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_which_nothing_is_written_down_is_deleted_when_it_is_old() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let form = Form::default().text("content", "x").file("image_0", "a.png", "image/png", PICTURE);
    send(&kim, Method::POST, "/memo", form, &[]).await.assert_status(201);
    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    let (prefix, stray) = (format!("memo/{}/", kim.user_id), stage.clock.uuid());
    program.storage.put(&format!("{prefix}{stray}"), "image/png", PICTURE.into()).await.unwrap();
    sweep_strays(&program, &prefix, "", TimeDelta::days(2)).await.unwrap();
    assert_eq!(objects_of(&stage, &kim).await, 2, "it is young");
    sweep_strays(&program, &prefix, "", TimeDelta::zero() - TimeDelta::minutes(1)).await.unwrap();
    assert_eq!(objects_of(&stage, &kim).await, 1);
}

/// Uploads in both ways and deletes, as fast as it goes, until the process is gone.
async fn use_until_it_dies(stage: &Stage, kim: &TestClient, url: &str) {
    // By the machine's time, which is the service's: the stage's own stands still.
    let now = chassis::clock::Clock::system().now();
    let (http, token) = (crate::browser(), stage.signer().mint(Service::Memo, kim.principal(), now).unwrap());
    let at = |method: Method, path: &str| http.request(method, format!("{url}{path}")).bearer_auth(&token);
    loop {
        let Some(memo) = made(at(Method::POST, "/memo").json(&json!({ "content": "x" }))).await else { return };
        let memo = format!("/memo/{}", memo["id"].as_str().unwrap());
        let Some(upload) = made(at(Method::POST, &format!("{memo}/attachments")).json(&picture())).await else {
            return;
        };
        let headers = &upload["headers"];
        assert!(crate::put_to(upload["upload_url"].as_str().unwrap(), headers, PICTURE).await.is_success());
        let file = format!("{memo}/attachments/{}", upload["attachment_id"].as_str().unwrap());
        if made(at(Method::POST, &format!("{file}/complete"))).await.is_none() {
            return;
        }
        let form = Form::default().text("keep_attachments", "").text("content", "y");
        let (content_type, body) = form.file("new_image_0", "a.png", "image/png", PICTURE).whole();
        if made(at(Method::PUT, &memo).header("content-type", content_type).body(body)).await.is_none() {
            return;
        }
    }
}

async fn made(request: reqwest::RequestBuilder) -> Option<serde_json::Value> {
    request.send().await.ok()?.json().await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_leaves_no_orphan_and_no_broken_file() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    let settings = storage_settings();
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    for round in 0_u64..8 {
        let database = stage.database().url();
        let child = Child::serve(env!("CARGO_BIN_EXE_maru-memo"), &stage, &database, &settings).await;
        let url = child.url("");
        // Another moment in each round.
        let until = Duration::from_millis(150 + 150 * round);
        tokio::select! {
            () = use_until_it_dies(&stage, &kim, &url) => panic!("it ended by itself"),
            () = tokio::time::sleep(until) => child.kill(),
        }
    }
    let_time_pass(&stage, &program).await;
    let ready = number(&stage, "SELECT count(*) AS number FROM attachments WHERE state = 'ready'").await;
    assert_eq!(i64::try_from(objects_of(&stage, &kim).await).unwrap(), ready);
    assert!(ready > 0, "something was uploaded");
    assert_eq!(program.storage.list(&format!("upload/{}/", kim.user_id), "", 10).await.unwrap(), []);
    let drift = "SELECT coalesce((SELECT sum(bytes) FROM storage_usage), 0)::bigint \
                 - coalesce((SELECT sum(counted_bytes) FROM attachments), 0)::bigint AS number";
    assert_eq!(number(&stage, drift).await, 0);
    let today = stage.clock.now().date_naive();
    let list = format!("/memo/list?tz=UTC&start_date={}&end_date={today}", today.pred_opt().unwrap());
    for memo in kim.get(&list).await.assert_status(200).json.as_array().unwrap() {
        for file in memo["attachments"].as_array().unwrap() {
            assert_eq!(fetch(file["url"].as_str().unwrap()).await.bytes().await.unwrap(), PICTURE);
        }
    }
}
