//! Files: up, checked, and down again.

use std::time::Duration;

use domain::{
    ids::AttachmentId,
    memo::attachment::{Declared, upload_key},
};
use memo::storage::ObjectStorage;
use serde_json::json;
use testkit::{Answer, Stage, TestClient, eventually};

use crate::{
    EXECUTABLE, PICTURE, a_memo, begin, config, fetch,
    forms::{Form, number, send},
    path_of, picture, picture_with_digest, put, refused, start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_goes_up_by_its_presigned_url_and_comes_back_byte_for_byte() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture_with_digest()).await;
    assert_eq!(upload.text("/headers/content-type"), "image/png");
    assert_eq!(upload.text("/headers/content-length"), PICTURE.len().to_string());
    assert_eq!(upload.header("cache-control"), "no-store");
    assert!(!upload.text("/upload_url").contains("png"), "no text of a client is in a key: {}", upload.json);
    assert!(put(&upload, PICTURE).await.is_success());
    assert_eq!(kim.get(&memo).await.json["attachments"], json!([]));

    let file = path_of(&memo, &upload);
    let done = kim.post(&format!("{file}/complete"), json!({})).await.assert_status(200);
    assert_eq!((done.text("/type"), done.text("/filename")), ("image", "가을.png"));
    let shown = kim.get(&memo).await.assert_status(200);
    assert_eq!(shown.json["attachments"].as_array().unwrap().len(), 1);
    assert_eq!(shown.json["attachments"][0]["size"], PICTURE.len());
    assert_eq!(shown.text("/attachments/0/id"), upload.text("/attachment_id"));

    let again = kim.get(&file).await.assert_status(200);
    assert!(again.text("/expires_at").ends_with('Z'), "{}", again.json);
    for url in [done.text("/url"), shown.text("/attachments/0/url"), again.text("/url")] {
        let response = fetch(url).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"image/png".parse().unwrap())
        );
        let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert_eq!(disposition, "inline; filename*=UTF-8''%EA%B0%80%EC%9D%84.png");
        assert_eq!(response.bytes().await.unwrap(), PICTURE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_that_was_attached_is_never_shown_as_one() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let page = b"<script>alert(1)</script>";
    for (filename, content_type) in [("../a.html", "text/html"), ("a.svg", "image/svg+xml")] {
        let declared = json!({ "filename": filename, "content_type": content_type, "size": page.len() });
        let upload = begin(&kim, &memo, declared).await;
        assert!(put(&upload, page).await.is_success());
        let done = kim.post(&format!("{}/complete", path_of(&memo, &upload)), json!({})).await.assert_status(200);
        assert_eq!(done.text("/type"), "file");
        let response = fetch(done.text("/url")).await;
        assert_eq!(response.headers()["content-type"], "application/octet-stream");
        assert!(response.headers()["content-disposition"].to_str().unwrap().starts_with("attachment; "));
        // The built-in storage says this, too; S3 as such knows no way to ask for it.
        assert!(response.headers().get("x-content-type-options").is_none_or(|told| told == "nosniff"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_has_not_arrived_is_not_complete() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture()).await;
    let file = path_of(&memo, &upload);
    let complete = format!("{file}/complete");
    kim.post(&complete, json!({})).await.assert_problem(409, "not_uploaded");
    kim.get(&file).await.assert_problem(409, "not_uploaded");
    assert!(put(&upload, PICTURE).await.is_success());
    kim.post(&complete, json!({})).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completing_twice_or_at_the_same_time_makes_one_file() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture()).await;
    assert!(put(&upload, PICTURE).await.is_success());
    let complete = format!("{}/complete", path_of(&memo, &upload));
    let (a, b, c) =
        tokio::join!(kim.post(&complete, json!({})), kim.post(&complete, json!({})), kim.post(&complete, json!({})),);
    assert_eq!([a.status, b.status, c.status], [200, 200, 200]);
    kim.post(&complete, json!({})).await.assert_status(200);
    assert_eq!(kim.get(&memo).await.json["attachments"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_as_declared_is_rejected_and_deleted() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let (all, _) = PICTURE.split_at(PICTURE.len() - 1);
    let retouched = [all, b"!"].concat();
    let cases: [(_, &[u8], &str, &str); 4] = [
        (picture(), b"short", "image/png", "size_mismatch"),
        (picture(), PICTURE, "text/html", "type_mismatch"),
        (picture(), EXECUTABLE, "image/png", "type_mismatch"),
        // Put there without the digest, so that the storage has nothing to confirm.
        (picture_with_digest(), &retouched, "image/png", "checksum_mismatch"),
    ];
    for (declared, bytes, content_type, code) in cases {
        let upload = begin(&kim, &memo, declared).await;
        let (storage, key) = behind_its_back(&stage, &kim, &upload);
        let size = i64::try_from(bytes.len()).unwrap();
        let other = Declared { size, content_type: content_type.to_owned(), sha256: None };
        let permit = storage.permit_upload(&key, &other);
        let headers = json!(permit.headers);
        assert!(crate::put_to(&permit.presigned.url, &headers, bytes).await.is_success());

        let file = path_of(&memo, &upload);
        for _ in 0..2 {
            kim.post(&format!("{file}/complete"), json!({})).await.assert_problem(422, code);
        }
        kim.get(&file).await.assert_problem(422, code);
        assert_eq!(storage.find(&key).await.unwrap(), None);
    }
    assert_eq!(kim.get(&memo).await.json["attachments"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_of_which_the_storage_says_nothing_is_computed_here() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture_with_digest()).await;
    let (storage, key) = behind_its_back(&stage, &kim, &upload);
    let permit = storage.permit_upload(&key, &declared_picture());
    assert!(crate::put_to(&permit.presigned.url, &json!(permit.headers), PICTURE).await.is_success());
    assert_eq!(storage.find(&key).await.unwrap().unwrap().found.sha256, None);
    kim.post(&format!("{}/complete", path_of(&memo, &upload)), json!({})).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_with_another_digest_never_become_part_of_a_memo() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture_with_digest()).await;
    let mut other = PICTURE.to_vec();
    other.reverse();
    let stored = put(&upload, &other).await;
    let answer = kim.post(&format!("{}/complete", path_of(&memo, &upload)), json!({})).await;
    // A storage may notice the digest before or after it has kept the bytes, or know no digests.
    let is_noticed = refused(stored) && answer.text("/code") == "not_uploaded";
    assert!(is_noticed || answer.text("/code") == "checksum_mismatch", "{stored}: {}", answer.json);
    assert_eq!(kim.get(&memo).await.json["attachments"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memo_has_at_most_ten_files_however_many_are_asked_for_at_once() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let path = format!("{memo}/attachments");
    let asked: Vec<_> = (0..14)
        .map(|_| {
            let (kim, path) = (kim.clone(), path.clone());
            #[expect(clippy::disallowed_methods, reason = "ends with the test")]
            tokio::spawn(async move { kim.post(&path, picture()).await })
        })
        .collect();
    let mut permitted = Vec::new();
    for answer in asked {
        let answer = answer.await.unwrap();
        if answer.status == 201 {
            permitted.push(answer);
        } else {
            answer.assert_problem(409, "too_many_attachments");
        }
    }
    assert_eq!(permitted.len(), 10);

    // A place whose URL ended without an upload is free again, and an upload that comes too late has none.
    for upload in &permitted {
        assert!(put(upload, PICTURE).await.is_success());
    }
    let (last, in_time) = permitted.split_last().unwrap();
    for upload in in_time {
        kim.post(&format!("{}/complete", path_of(&memo, upload)), json!({})).await.assert_status(200);
    }
    kim.post(&path, picture()).await.assert_problem(409, "too_many_attachments");
    stage.clock.advance(memo::storage::URL_LIFE);
    let newcomer = begin(&kim, &memo, picture()).await;
    let (storage, key) = behind_its_back(&stage, &kim, &newcomer);
    let permit = storage.permit_upload(&key, &declared_picture());
    assert!(crate::put_to(&permit.presigned.url, &json!(permit.headers), PICTURE).await.is_success());
    kim.post(&format!("{}/complete", path_of(&memo, &newcomer)), json!({})).await.assert_status(200);
    kim.post(&format!("{}/complete", path_of(&memo, last)), json!({}))
        .await
        .assert_problem(409, "too_many_attachments");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_permits_one_file_and_keeps_no_url() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let path = format!("{memo}/attachments");
    let key = [("idempotency-key", "k1")];
    let first = kim.post_with(&path, picture(), &key).await.assert_status(201);
    stage.clock.advance(std::time::Duration::from_secs(2));
    let second = kim.post_with(&path, picture(), &key).await.assert_status(201);
    assert_eq!(first.text("/attachment_id"), second.text("/attachment_id"));
    assert_ne!(first.text("/upload_url"), second.text("/upload_url"));
    kim.post_with(&path, picture_with_digest(), &key).await.assert_problem(422, "idempotency_key_reused");

    assert!(put(&second, PICTURE).await.is_success());
    kim.post(&format!("{}/complete", path_of(&memo, &second)), json!({})).await.assert_status(200);
    kim.post_with(&path, picture(), &key).await.assert_problem(409, "already_uploaded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_file_is_named_at_once_in_the_language_asked_for() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = format!("{}/attachments", a_memo(&kim).await);
    let bad = json!({ "filename": "..", "content_type": "png", "size": 1, "sha256": "abc" });
    let korean = kim.post(&path, bad.clone()).await.assert_problem(422, "invalid");
    let pointers: Vec<_> =
        korean.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/filename", "/content_type", "/sha256"]);
    assert_eq!(korean.text("/errors/0/detail"), "파일 이름은 1-200자여야 합니다.");
    let english = kim.post_with(&path, bad, &[("accept-language", "en")]).await;
    assert_eq!(english.text("/errors/0/detail"), "A file name has 1-200 characters.");

    for (content_type, size) in
        [("image/png", 0), ("image/png", 25 * 1024 * 1024 + 1), ("audio/mpeg", 100 * 1024 * 1024 + 1)]
    {
        let body = json!({ "filename": "a", "content_type": content_type, "size": size });
        let answer = kim.post(&path, body).await.assert_problem(422, "invalid");
        assert_eq!(answer.text("/errors/0/pointer"), "/size");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_looked_at_cannot_be_changed_by_uploading_once_more() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture()).await;
    assert!(put(&upload, PICTURE).await.is_success());
    let file = path_of(&memo, &upload);
    let done = kim.post(&format!("{file}/complete"), json!({})).await.assert_status(200);
    let (storage, key) = behind_its_back(&stage, &kim, &upload);
    assert_eq!(storage.find(&key).await.unwrap(), None, "it has moved");

    assert!(put(&upload, EXECUTABLE).await.is_success(), "the URL lives for 15 minutes");
    let again = kim.post(&format!("{file}/complete"), json!({})).await.assert_status(200);
    for url in [done.text("/url"), again.text("/url")] {
        assert_eq!(fetch(url).await.bytes().await.unwrap(), PICTURE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_taken_away_is_gone_and_an_upload_that_is_given_up_frees_its_place() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let memo = a_memo(&kim).await;
    let (given_up, kept) = (begin(&kim, &memo, picture()).await, begin(&kim, &memo, picture()).await);
    assert!(put(&kept, PICTURE).await.is_success());
    let file = path_of(&memo, &kept);
    let done = kim.post(&format!("{file}/complete"), json!({})).await.assert_status(200);
    for path in [&file, &path_of(&memo, &given_up)] {
        lee.delete(path).await.assert_problem(404, "attachment_not_found");
        kim.delete(path).await.assert_status(204);
        kim.delete(path).await.assert_problem(404, "attachment_not_found");
    }
    assert_eq!(kim.get(&memo).await.json["attachments"], json!([]));
    kim.post(&format!("{file}/complete"), json!({})).await.assert_problem(404, "attachment_not_found");
    stage.clock.advance(Duration::from_mins(2));
    eventually(Duration::from_secs(10), || async { fetch(done.text("/url")).await.status() == 404 }).await;
    // What may still come by the other URL counts until it cannot.
    let bytes = "SELECT sum(bytes)::bigint AS number FROM storage_usage";
    let one = i64::try_from(PICTURE.len()).unwrap();
    eventually(Duration::from_secs(10), || async { number(&stage, bytes).await == one }).await;
    stage.clock.advance(Duration::from_mins(76));
    let used = || async { number(&stage, "SELECT count(*) AS number FROM storage_usage").await };
    eventually(Duration::from_secs(15), || async { used().await == 0 }).await;

    let form = Form::default().file("image_0", "a.png", "image/png", PICTURE);
    let made = send(&kim, reqwest::Method::POST, "/memo", form, &[]).await.assert_status(201);
    let last = format!("/memo/{}/attachments/{}", made.text("/id"), made.text("/attachments/0/id"));
    kim.delete(&last).await.assert_problem(422, "invalid");
    kim.get(&last).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reserves_more_than_their_quota_however_many_ask_at_once() {
    let stage = Stage::new(domain::principal::Service::Memo, memo::app::MIGRATIONS).await;
    let mut config = config(&stage);
    config.files.files_quota_mb = 50;
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let memos = [a_memo(&kim).await, a_memo(&kim).await, a_memo(&kim).await];
    let large = json!({ "filename": "a", "content_type": "application/zip", "size": 10 * 1024 * 1024 });
    let asked = (0..15).map(|n| {
        let (kim, path, large) = (kim.clone(), format!("{}/attachments", memos[n % 3]), large.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move { kim.post(&path, large).await })
    });
    let asked: Vec<_> = asked.collect();
    let mut permitted = 0;
    for answer in asked {
        let answer = answer.await.unwrap();
        if answer.status == 201 {
            permitted += 1;
        } else {
            let answer = answer.assert_problem(409, "quota_exceeded");
            assert_eq!(answer.json["quota_bytes"], 50 * 1024 * 1024);
        }
    }
    assert_eq!(permitted, 5);
    let lee = app.as_user();
    begin(&lee, &a_memo(&lee).await, picture()).await;
}

fn declared_picture() -> Declared {
    Declared { size: i64::try_from(PICTURE.len()).unwrap(), content_type: "image/png".to_owned(), sha256: None }
}

/// Returns the storage, at the machine's time, and the key of a file.
pub(crate) fn behind_its_back(stage: &Stage, owner: &TestClient, upload: &Answer) -> (ObjectStorage, String) {
    let storage = ObjectStorage::new(&config(stage).s3, chassis::clock::Clock::system()).unwrap();
    let attachment: AttachmentId = upload.text("/attachment_id").parse().unwrap();
    (storage, upload_key(owner.user_id, attachment))
}
