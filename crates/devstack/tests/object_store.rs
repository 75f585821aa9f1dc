//! The embedded object storage, used as a browser and as a service use it.

#![expect(clippy::expect_used, reason = "a helper of a test may end it")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use devstack::object_store::{self, Guard};
use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

const KEY: &str = "MARUTEST";
const SECRET: &str = "correct horse battery staple";
const HOUR: Duration = Duration::from_hours(1);

struct Store {
    bucket: Bucket,
    client: Client,
    root: PathBuf,
    _guard: Guard,
}

impl Store {
    async fn serve(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("objects-{name}-{}", std::process::id()));
        let (endpoint, guard) = object_store::serve(&root, KEY, SECRET, "maru").await.expect("a free port");
        let url = endpoint.parse().expect("a URL");
        let bucket = Bucket::new(url, UrlStyle::Path, "maru", object_store::REGION).expect("a bucket");
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { bucket, client, root, _guard: guard }
    }

    fn put_url(&self, secret: &str, object: &str) -> String {
        let credentials = Credentials::new(KEY, secret);
        let mut action = self.bucket.put_object(Some(&credentials), object);
        action.headers_mut().insert("content-type", "image/png");
        action.sign(HOUR).to_string()
    }

    fn get_url(&self, object: &str) -> String {
        self.bucket.get_object(Some(&Credentials::new(KEY, SECRET)), object).sign(HOUR).to_string()
    }

    async fn put(&self, url: String, content: &'static str) -> (StatusCode, HeaderMap) {
        let request = self.client.put(url).header("content-type", "image/png").header("origin", "http://page.example");
        let response = request.body(content).send().await.expect("an answer");
        (response.status(), response.headers().clone())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

#[tokio::test]
async fn what_is_put_through_a_presigned_url_is_read_back() {
    let store = Store::serve("roundtrip").await;
    let (status, headers) = store.put(store.put_url(SECRET, "memos/1/a b.png"), "pixels").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], "*");
    let exposed = headers["access-control-expose-headers"].to_str().expect("text");
    assert!(exposed.contains("ETag") && headers.contains_key("etag"), "{headers:?}");

    let answer = store.client.get(store.get_url("memos/1/a b.png")).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.text().await.expect("a body"), "pixels");
}

#[tokio::test]
async fn what_a_presigned_url_says_of_an_answer_stands_in_it_and_no_browser_guesses() {
    let store = Store::serve("disposition").await;
    store.put(store.put_url(SECRET, "page"), "<script>alert(1)</script>").await;
    let credentials = Credentials::new(KEY, SECRET);
    let mut get = store.bucket.get_object(Some(&credentials), "page");
    get.query_mut().insert("response-content-type", "application/octet-stream");
    get.query_mut().insert("response-content-disposition", "attachment; filename*=UTF-8''a.html");
    let url = get.sign(HOUR).to_string();
    let answer = store.client.get(&url).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(headers["content-disposition"], "attachment; filename*=UTF-8''a.html");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let changed = url.replace("attachment", "inline");
    let answer = store.client.get(changed).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let store = Store::serve("refusal").await;
    let (status, _) = store.put(store.put_url("another secret", "x"), "pixels").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = store.put(store.put_url(SECRET, "x").replace("/maru/x", "/maru/y"), "pixels").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let unsigned = store.client.get(store.bucket.object_url("x")).send().await.expect("an answer");
    assert_eq!(unsigned.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_browsers_preflight_request_is_allowed_what_it_asks_for() {
    let store = Store::serve("preflight").await;
    let request = store.client.request(Method::OPTIONS, store.put_url(SECRET, "x"));
    let request = request
        .header("origin", "http://page.example")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type,x-amz-meta-name");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["access-control-allow-headers"], "content-type,x-amz-meta-name");
    assert!(answer.headers()["access-control-allow-methods"].to_str().expect("text").contains("PUT"));
}

#[tokio::test]
async fn the_store_ends_with_its_guard_and_keeps_its_objects() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("objects-guard-{}", std::process::id()));
    let (endpoint, guard) = object_store::serve(&root, KEY, SECRET, "maru").await.expect("a free port");
    let client = Client::builder().no_proxy().build().expect("a client");
    assert!(client.get(&endpoint).send().await.is_ok());
    drop(guard);
    let closed = async { while client.get(&endpoint).send().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the listener closes");
    assert!(root.join("maru").is_dir());
    std::fs::remove_dir_all(&root).expect("still there");
}
