//! What large files cost the service.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use memo::app::App;
use reqwest::Body;
use serde_json::{Value, json};
use testkit::Child;

use crate::{
    browser, config,
    forms::{Form, storage_settings},
    start,
};

/// Megabytes of one recording: the largest there may be.
const LARGEST: usize = 100;
/// How many of them make a gigabyte.
const MANY: usize = 10;

/// Resident memory of a process, kB.
fn resident(process: u32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends a form with a recording of so many MB, made as it goes, and returns the most memory that the service had.
async fn record(url: &str, token: &str, process: u32, megabytes: usize) -> i64 {
    let (content_type, form) = Form::default().file("audio_0", "a.mp3", "audio/mpeg", b"ID3\x04").whole();
    // The file's end stands before what ends the form.
    let end = form.windows(4).position(|four| four == b"ID3\x04").unwrap() + 4;
    let (head, tail) = (form[..end].to_vec(), form[end..].to_vec());
    let chunk = bytes::Bytes::from(vec![7_u8; 64 * 1024]);
    let chunks = stream::iter(0..megabytes * 16).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    let whole = stream::iter([Ok(head.into())]).chain(chunks).chain(stream::iter([Ok(tail.into())]));
    let request = browser().post(format!("{url}/memo")).bearer_auth(token).header("content-type", content_type);
    // As the gateway says for its uploads.
    let request = request.header("x-deadline-ms", "120000").timeout(Duration::from_mins(2));
    let sent = request.body(Body::wrap_stream(whole)).send();
    let mut most = 0;
    tokio::pin!(sent);
    loop {
        tokio::select! {
            answer = &mut sent => {
                assert_eq!(answer.unwrap().status(), 201);
                return most;
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(resident(process)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_in_a_form_are_never_in_memory_together() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let settings = storage_settings();
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let database = stage.database().url();
    let child = Child::serve(env!("CARGO_BIN_EXE_maru-memo"), &stage, &database, &settings).await;
    let (url, token) = (child.url(""), kim.token().unwrap());
    record(&url, &token, child.id(), 1).await;
    let before = resident(child.id());
    let most = record(&url, &token, child.id(), 99).await;
    assert!(most - before <= 16 * 1024, "{before} kB grew to {most} kB");
}

/// Uploads a recording of so many MB by a presigned URL.
async fn upload(url: &str, token: &str, megabytes: usize) {
    let at = |path: &str| browser().post(format!("{url}{path}")).bearer_auth(token);
    let made = |request: reqwest::RequestBuilder| async {
        let answer = request.timeout(Duration::from_mins(1)).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json::<Value>().await.unwrap()
    };
    let memo = made(at("/memo").json(&json!({ "content": "x" }))).await;
    let path = format!("/memo/{}/attachments", memo["id"].as_str().unwrap());
    let declared = json!({ "filename": "a.mp3", "content_type": "audio/mpeg", "size": megabytes << 20 });
    let permit = made(at(&path).json(&declared)).await;
    let chunk = bytes::Bytes::from(vec![7_u8; 64 * 1024]);
    let first = bytes::Bytes::from([b"ID3\x04".as_slice(), &vec![7; 64 * 1024 - 4]].concat());
    let chunks =
        (0..megabytes * 16).map(move |n| Ok::<_, std::io::Error>(if n == 0 { first.clone() } else { chunk.clone() }));
    let mut put = browser().put(permit["upload_url"].as_str().unwrap()).timeout(Duration::from_mins(2));
    for (name, value) in permit["headers"].as_object().unwrap() {
        put = put.header(name, value.as_str().unwrap());
    }
    let stored = put.body(Body::wrap_stream(stream::iter(chunks))).send().await.unwrap();
    assert!(stored.status().is_success(), "{}", stored.status());
    let complete = format!("{path}/{}/complete", permit["attachment_id"].as_str().unwrap());
    made(at(&complete).header("x-deadline-ms", "60000")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_by_presigned_urls_costs_the_service_nothing() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let settings = storage_settings();
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let database = stage.database().url();
    let child = Child::serve(env!("CARGO_BIN_EXE_maru-memo"), &stage, &database, &settings).await;
    let (url, begun, mut passed) = (child.url(""), Instant::now(), Duration::ZERO);
    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    let (mut before, mut most) = (0, 0);
    for round in 0..=MANY {
        // The token lives for a minute of the machine's clock.
        let now = begun.elapsed();
        stage.clock.advance(now.saturating_sub(passed));
        passed = now;
        let token = kim.token().unwrap();
        // The first one, a small one, is what everything takes once.
        let megabytes = if round == 0 { 1 } else { LARGEST };
        let uploaded = upload(&url, &token, megabytes);
        tokio::pin!(uploaded);
        loop {
            tokio::select! {
                () = &mut uploaded => break,
                () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(resident(child.id())),
            }
        }
        if round == 0 {
            before = resident(child.id());
            most = before;
        }
        for object in program.storage.list(&format!("memo/{}/", kim.user_id), "", 100).await.unwrap() {
            program.storage.delete(&object.key).await.unwrap();
        }
    }
    assert!(most - before <= 4 * 1024, "{before} kB grew to {most} kB");
}
