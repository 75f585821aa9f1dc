//! What a presigned URL allows, and what the storage refuses: nobody of ours is asked then.

use chassis::clock::Clock;
use chrono::TimeDelta;
use domain::principal::Service;
use reqwest::StatusCode;
use serde_json::json;
use testkit::Stage;

use crate::{
    PICTURE, a_memo, attachments::behind_its_back, begin, browser, config, fetch, path_of, picture,
    picture_with_digest, put, put_to, refused, start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_permitted_type_length_and_method_go_up() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture()).await;
    let (url, headers) = (upload.text("/upload_url"), &upload.json["headers"]);

    let longer = [PICTURE, b"!"].concat();
    assert!(refused(put(&upload, &longer).await));
    assert!(refused(put(&upload, &PICTURE[1..]).await));
    assert!(refused(put_to(url, &json!({ "content-type": "text/html" }), PICTURE).await));
    assert!(refused(put_to(url, &json!({}), PICTURE).await));
    assert!(refused(fetch(url).await.status()));
    assert!(refused(browser().delete(url).send().await.unwrap().status()));
    kim.post(&format!("{}/complete", path_of(&memo, &upload)), json!({})).await.assert_problem(409, "not_uploaded");

    // Exactly as told, with the length written out.
    let mut request = browser().put(url).body(PICTURE);
    for (name, value) in headers.as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    assert!(request.send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_with_a_digest_cannot_leave_it_out() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture_with_digest()).await;
    let url = upload.text("/upload_url");
    assert!(refused(put_to(url, &json!({ "content-type": "image/png" }), PICTURE).await));
    let changed =
        json!({ "content-type": "image/png", "x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" });
    assert!(refused(put_to(url, &changed, PICTURE).await));
    assert!(put(&upload, PICTURE).await.is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_url_is_refused() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let (mine, other) = (begin(&kim, &memo, picture()).await, begin(&kim, &memo, picture()).await);
    let (url, headers) = (mine.text("/upload_url"), &mine.json["headers"]);
    let other_key = url.replace(mine.text("/attachment_id"), other.text("/attachment_id"));
    let longer_life = url.replace("X-Amz-Expires=900", "X-Amz-Expires=90000");
    let last = url.chars().next_back().unwrap();
    let signature = format!("{}{}", &url[..url.len() - 1], if last == '0' { '1' } else { '0' });
    let unsigned = url.split('?').next().unwrap().to_owned();
    for changed in [other_key, longer_life, signature, unsigned] {
        assert_ne!(changed, url);
        assert!(refused(put_to(&changed, headers, PICTURE).await), "{changed}");
    }

    assert!(put(&mine, PICTURE).await.is_success());
    let file = path_of(&memo, &mine);
    let done = kim.post(&format!("{file}/complete"), json!({})).await.assert_status(200);
    let download = done.text("/url");
    let as_a_page = download.replace("response-content-type=image%2Fpng", "response-content-type=text%2Fhtml");
    assert_ne!(as_a_page, download);
    assert!(refused(fetch(&as_a_page).await.status()));
    assert!(refused(fetch(download.split('?').next().unwrap()).await.status()));
    assert!(refused(put_to(download, headers, PICTURE).await));
    assert_eq!(fetch(download).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_ends_after_fifteen_minutes() {
    let mut stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    let now = stage.clock.now();
    stage.clock = Clock::manual(now - TimeDelta::minutes(15) - TimeDelta::seconds(5));
    let app = stage.serve(memo::build(config(&stage), stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let expired = begin(&kim, &memo, picture()).await;
    assert!(refused(put(&expired, PICTURE).await));
    let (storage, key) = behind_its_back(&stage, &kim, &expired);
    storage.put(&key, "image/png", PICTURE.into()).await.unwrap();
    let file = path_of(&memo, &expired);
    let download = kim.post(&format!("{file}/complete"), json!({})).await.assert_status(200);
    assert!(refused(fetch(download.text("/url")).await.status()));

    stage.clock.advance(std::time::Duration::from_mins(1));
    let alive = begin(&kim, &memo, picture()).await;
    assert!(put(&alive, PICTURE).await.is_success());
    let download = kim.get(&file).await.assert_status(200);
    assert_eq!(fetch(download.text("/url")).await.status(), StatusCode::OK);
}
