//! Memos that come as forms with files, as the web client of the original sends them.

use std::time::Duration;

use domain::principal::Service;
use memo::app::App;
use reqwest::Method;
use serde_json::json;
use testkit::{Answer, Stage, TestClient, eventually};

use crate::{EXECUTABLE, PICTURE, a_memo, config, fetch, start};

/// What lies between the fields.
const BOUNDARY: &str = "----maru-7d93b0";

/// A form that is written as a browser writes it.
#[derive(Clone, Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    /// Adds a field.
    pub(crate) fn text(mut self, name: &str, text: &str) -> Self {
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        self.0.extend_from_slice(format!("{head}{text}\r\n").as_bytes());
        self
    }

    /// Adds a file.
    pub(crate) fn file(mut self, name: &str, filename: &str, content_type: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\n\
             content-type: {content_type}\r\n\r\n"
        );
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Returns its type and all of it.
    pub(crate) fn whole(self) -> (String, Vec<u8>) {
        let body = [self.0, format!("--{BOUNDARY}--\r\n").into_bytes()].concat();
        (format!("multipart/form-data; boundary={BOUNDARY}"), body)
    }

    /// Returns it without its end.
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Sends a form.
pub(crate) async fn send(of: &TestClient, method: Method, path: &str, form: Form, headers: &[(&str, &str)]) -> Answer {
    let (content_type, body) = form.whole();
    let mut request = of.request(method, path).header("content-type", content_type).body(body);
    request = request.timeout(Duration::from_secs(30));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    of.send(request).await
}

async fn post(of: &TestClient, form: Form) -> Answer {
    send(of, Method::POST, "/memo", form, &[]).await
}

/// Returns how many objects there are of a person. The test's storage fails to list what is deleted at that moment, and is
/// asked again then, as the service does.
pub(crate) async fn objects_of(stage: &Stage, of: &TestClient) -> usize {
    let program = App::new(config(stage), stage.clock.clone()).unwrap();
    let prefix = format!("memo/{}/", of.user_id);
    for _ in 0..9 {
        if let Ok(objects) = program.storage.list(&prefix, "", 1000).await {
            return objects.len();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    program.storage.list(&prefix, "", 1000).await.unwrap().len()
}

/// Returns the settings of a process of its own for the test's object storage.
pub(crate) fn storage_settings() -> [(&'static str, String); 5] {
    let s3 = testkit::s3();
    [
        ("S3_ENDPOINT", s3.endpoint),
        ("S3_BUCKET", s3.bucket),
        ("S3_REGION", s3.region),
        ("S3_ACCESS_KEY", s3.access_key_id),
        ("S3_SECRET_KEY", s3.secret_access_key),
    ]
}

fn recording(length: usize) -> Vec<u8> {
    let mut bytes = b"ID3\x04\0\0\0\0\0\0".to_vec();
    bytes.resize(length, 7);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memo_with_a_picture_and_a_voice_comes_in_one_form() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let voice = recording(100_000);
    let form = Form::default()
        .text("content", "가을 하늘")
        .text("tags", "가을, 하늘")
        .text("category", "일상")
        .file("image_0", "가을.png", "image/png", PICTURE)
        .file("audio_0", "voice.mp3", "audio/mpeg", &voice);
    let made = post(&kim, form).await.assert_status(201);
    assert_eq!((made.text("/content"), made.text("/category")), ("가을 하늘", "일상"));
    assert_eq!(made.json["tags"], json!(["가을", "하늘"]));
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!((made.text("/attachments/0/type"), made.text("/attachments/0/filename")), ("image", "가을.png"));
    assert_eq!((made.text("/attachments/1/type"), &made.json["attachments"][1]["size"]), ("audio", &json!(100_000)));
    assert_eq!(fetch(made.text("/attachments/0/url")).await.bytes().await.unwrap(), PICTURE);
    assert_eq!(fetch(made.text("/attachments/1/url")).await.bytes().await.unwrap(), voice);
    let shown = kim.get(&format!("/memo/{}", made.text("/id"))).await.assert_status(200);
    assert_eq!(shown.json["attachments"].as_array().unwrap().len(), 2);
    assert_eq!(objects_of(&stage, &kim).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_larger_than_a_part_comes_whole() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let large: Vec<u8> =
        recording(12 * 1024 * 1024 + 17).iter().enumerate().map(|(n, b)| b ^ u8::try_from(n % 251).unwrap()).collect();
    let large = [b"ID3\x04".as_slice(), &large].concat();
    let form = Form::default().file("audio_0", "long.mp3", "audio/mpeg", &large);
    let made = post(&kim, form).await.assert_status(201);
    assert_eq!(made.text("/content"), "", "a voice says enough");
    assert_eq!(fetch(made.text("/attachments/0/url")).await.bytes().await.unwrap(), large);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_a_picture_is_refused_and_gone() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let good = Form::default().text("content", "x").file("image_0", "a.png", "image/png", PICTURE);
    let refused = [
        (good.clone().file("image_1", "b.png", "image/png", EXECUTABLE), 422, "type_mismatch"),
        (good.clone().file("image_1", "b.png", "application/octet-stream", EXECUTABLE), 422, "type_mismatch"),
        (good.clone().file("image_1", "b.mp3", "audio/mpeg", &recording(64)), 422, "type_mismatch"),
        (good.clone().file("image_1", "b.svg", "image/svg+xml", b"<svg onload=alert(1)>"), 422, "type_mismatch"),
        (good.clone().file("image_1", "b.png", "image/png", b""), 422, "invalid"),
        (good.clone().file("image_1", "b.png", "image/png", &[PICTURE, &vec![0; 25 << 20]].concat()), 413, "too_large"),
        (Form::default().text("content", "  "), 422, "invalid"),
        (good.clone().text("session_id", "x"), 422, "invalid"),
        (
            (1..11).fold(good, |form, n| form.file(&format!("image_{n}"), "a.png", "image/png", PICTURE)),
            409,
            "too_many_attachments",
        ),
    ];
    for (form, status, code) in refused {
        post(&kim, form).await.assert_problem(status, code);
    }
    eventually(Duration::from_secs(10), || async { objects_of(&stage, &kim).await == 0 }).await;
    assert_eq!(kim.get("/memo/tags").await.json, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_whose_type_nobody_told_is_one_all_the_same() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let form = Form::default().file("image_0", "../../etc/gnp.png", "application/octet-stream", PICTURE);
    let made = post(&kim, form).await.assert_status(201);
    assert_eq!(
        (made.text("/attachments/0/content_type"), made.text("/attachments/0/filename")),
        ("image/png", "gnp.png")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let begun = Form::default().file("audio_0", "a.mp3", "audio/mpeg", &recording(7 << 20)).bytes();
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = kim.request(Method::POST, "/memo").header("content-type", content_type);
    let endless = futures_util::stream::once(async { Ok::<_, std::io::Error>(begun) });
    let endless = futures_util::StreamExt::chain(endless, futures_util::stream::pending());
    let request = request.body(reqwest::Body::wrap_stream(endless));
    drop(tokio::time::timeout(Duration::from_millis(700), request.send()).await);
    let used = || async { number(&stage, "SELECT count(*) AS number FROM unowned_objects").await };
    eventually(Duration::from_secs(20), || async { used().await == 0 }).await;
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM storage_usage").await, 0);
    assert_eq!(objects_of(&stage, &kim).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_makes_one_memo_of_a_form_that_is_sent_twice() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let form = Form::default().text("content", "한 번").file("image_0", "a.png", "image/png", PICTURE);
    let key = [("idempotency-key", "k-1")];
    let first = send(&kim, Method::POST, "/memo", form.clone(), &key).await.assert_status(201);
    let second = send(&kim, Method::POST, "/memo", form.clone(), &key).await.assert_status(201);
    assert_eq!(first.text("/id"), second.text("/id"));
    assert_eq!(fetch(second.text("/attachments/0/url")).await.bytes().await.unwrap(), PICTURE);
    let other = form.file("image_1", "b.png", "image/png", PICTURE);
    send(&kim, Method::POST, "/memo", other, &key).await.assert_problem(422, "idempotency_key_reused");
    eventually(Duration::from_secs(10), || async { objects_of(&stage, &kim).await == 1 }).await;
    let kept = "SELECT count(*) AS number FROM idempotency_keys WHERE answer::text LIKE '%X-Amz%'";
    assert_eq!(number(&stage, kept).await, 0, "no URL is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_changes_text_and_files_together() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let form = Form::default().text("content", "처음").file("image_0", "a.png", "image/png", PICTURE).file(
        "image_1",
        "b.png",
        "image/png",
        PICTURE,
    );
    let made = post(&kim, form).await.assert_status(201);
    let path = format!("/memo/{}", made.text("/id"));
    let kept = made.text("/attachments/1/id");
    let gone = made.text("/attachments/0/url").to_owned();
    // Files are in the order of their ids, and those of one millisecond in no order.
    stage.clock.advance(Duration::from_millis(1));
    let form = Form::default().text("content", "나중").text("keep_attachments", kept).file(
        "new_audio_0",
        "c.mp3",
        "audio/mpeg",
        &recording(100),
    );
    let changed = send(&kim, Method::PUT, &path, form, &[]).await.assert_status(200);
    let names: Vec<_> = changed.json["attachments"].as_array().unwrap().iter().map(|a| a["filename"].clone()).collect();
    assert_eq!((changed.text("/content"), names), ("나중", vec![json!("b.png"), json!("c.mp3")]));
    stage.clock.advance(Duration::from_mins(2));
    eventually(Duration::from_secs(10), || async { fetch(&gone).await.status() == 404 }).await;
    assert_eq!(objects_of(&stage, &kim).await, 2);

    let old = [("if-match", "\"1\"")];
    let again = Form::default().text("content", "늦게").file("new_image_0", "d.png", "image/png", PICTURE);
    send(&kim, Method::PUT, &path, again, &old).await.assert_problem(412, "memo_changed");
    let empty = Form::default().text("content", "").text("keep_attachments", "");
    send(&kim, Method::PUT, &path, empty, &[]).await.assert_problem(422, "invalid");
    assert_eq!(kim.get(&path).await.json["attachments"].as_array().unwrap().len(), 2);
    eventually(Duration::from_secs(10), || async { objects_of(&stage, &kim).await == 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_memo_and_file_are_not_there() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let form = Form::default().text("content", "내 것").file("image_0", "a.png", "image/png", PICTURE);
    let made = post(&kim, form).await.assert_status(201);
    let (memo, file) = (format!("/memo/{}", made.text("/id")), made.text("/attachments/0/id"));
    let own = a_memo(&lee).await;
    for of in [&memo, &own] {
        lee.get(&format!("{of}/attachments/{file}")).await.assert_problem(404, "attachment_not_found");
        let complete = format!("{of}/attachments/{file}/complete");
        lee.post(&complete, json!({})).await.assert_problem(404, "attachment_not_found");
    }
    let form = Form::default().text("content", "x").file("new_image_0", "a.png", "image/png", PICTURE);
    send(&lee, Method::PUT, &memo, form, &[]).await.assert_problem(404, "memo_not_found");
    // Naming it does not make it one's own.
    let form = Form::default().text("keep_attachments", file);
    let changed = send(&lee, Method::PUT, &own, form, &[]).await.assert_status(200);
    assert_eq!(changed.json["attachments"], json!([]));
    assert_eq!(kim.get(&memo).await.json["attachments"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_counts_against_the_quota_while_it_comes() {
    let stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    let mut config = config(&stage);
    config.files.files_quota_mb = 8;
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let form = Form::default().file("audio_0", "a.mp3", "audio/mpeg", &recording(9 << 20));
    post(&kim, form).await.assert_problem(409, "quota_exceeded");
    let used = "SELECT count(*) AS number FROM storage_usage";
    eventually(Duration::from_secs(10), || async { number(&stage, used).await == 0 }).await;
    let form = Form::default().file("audio_0", "a.mp3", "audio/mpeg", &recording(7 << 20));
    post(&kim, form).await.assert_status(201);
    assert_eq!(number(&stage, "SELECT sum(bytes)::bigint AS number FROM storage_usage").await, 7 << 20);
}

/// Asks the database for a number.
pub(crate) async fn number(stage: &Stage, query: &str) -> i64 {
    crate::person::number(stage, query).await
}
