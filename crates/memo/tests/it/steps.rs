//! A process killed between any two of its steps: each thing it sends to the database or the object storage that may
//! change something there is one.
//!
//! The two are reached through proxies that pass on a number of steps and then nothing more; the process is killed there.
//! So every state is met that an upload or a deletion can be left in, not only those that last long.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use memo::{app::App, attachments::preview};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use testkit::{Child, Stage, TestApp, TestClient, database::TestDatabase, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    browser, config, fetch,
    forms::{Form, number, storage_settings},
    person::sql,
    put_to,
    sweeper::let_time_pass,
};

/// Processes at once.
const AT_ONCE: i64 = 4;
/// More steps than there are.
const STEPS_MAX: i64 = 400;
/// Longest for one life.
const PATIENCE: Duration = Duration::from_mins(1);

/// How many steps still pass.
#[derive(Default)]
struct Steps {
    left: AtomicI64,
    is_over: Notify,
}

impl Steps {
    /// Lets everything pass until the steps are counted.
    fn uncounted() -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(i64::MAX), is_over: Notify::new() })
    }

    /// Lets something pass that is a step or is none; `false` when there are none left.
    fn pass(&self, is_step: bool) -> bool {
        let is_left = self.left.fetch_sub(i64::from(is_step), Ordering::SeqCst) > 0;
        if !is_left {
            self.is_over.notify_one();
        }
        is_left
    }

    /// Passes on what is sent to `upstream`; returns where to send it.
    async fn before(self: &Arc<Self>, upstream: SocketAddr, is_step: fn(&[u8]) -> bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let steps = self.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let steps = steps.clone();
                #[expect(clippy::disallowed_methods, reason = "ends with the test")]
                tokio::spawn(async move { steps.relay(stream, upstream, is_step).await });
            }
        });
        here
    }

    async fn relay(&self, from: TcpStream, upstream: SocketAddr, is_step: fn(&[u8]) -> bool) {
        let Ok(to) = TcpStream::connect(upstream).await else { return };
        _ = (from.set_nodelay(true), to.set_nodelay(true));
        let ((mut asks, mut hears), (mut answers, mut is_asked)) = (from.into_split(), to.into_split());
        let there = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = asks.read(&mut buffer).await {
                if !self.pass(is_step(&buffer[..read])) {
                    // Held until the process is gone; what it had begun then ends with its connection.
                    while matches!(asks.read(&mut buffer).await, Ok(1..)) {}
                    break;
                }
                if is_asked.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = there => {}
            _ = copy(&mut answers, &mut hears) => {}
        }
    }
}

/// Whether PostgreSQL may change something: it executes a statement. Preparing one and beginning a transaction do not
/// count; that many of them only read is not seen here.
fn executes(sent: &[u8]) -> bool {
    let mut rest = sent;
    while let [kind, a, b, c, d, ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        let begins = rest.get(5..10).is_some_and(|text| text.eq_ignore_ascii_case(b"BEGIN"));
        if *kind == b'B' || (*kind == b'Q' && !begins) {
            return true;
        }
        rest = rest.get(1 + length..).unwrap_or_default();
    }
    false
}

/// Whether the storage may change something.
fn stores(sent: &[u8]) -> bool {
    [b"PUT ".as_slice(), b"POST ", b"DELETE "].iter().any(|method| sent.starts_with(method))
}

/// A picture that can be made small.
fn photograph() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(8, 8, image::Rgb([30, 90, 200])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Sends a request, and again for as long as the process says that it cannot now: it has a server's patience with the
/// database, and a busy machine may take longer. What is done twice must leave nothing behind either.
async fn sent(request: RequestBuilder) -> Value {
    loop {
        let answer = request.try_clone().unwrap().timeout(PATIENCE).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        if status != StatusCode::SERVICE_UNAVAILABLE {
            assert!(status.is_success(), "{status}: {text}");
            return serde_json::from_str(&text).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a process is killed in.
#[derive(Clone, Copy, Debug)]
enum Life {
    /// A memo gets a file by a presigned URL.
    Upload,
    /// A memo comes with a file in a form, and another form takes that away and brings another one.
    Forms,
}

/// Calls of one person, until nothing of them is left to do in the background.
async fn live(life: Life, kim: &TestClient, url: &str, stage: &Stage) {
    let (http, token, picture) = (browser(), kim.token().unwrap(), photograph());
    let at = |method: Method, path: &str| http.request(method, format!("{url}{path}")).bearer_auth(&token);
    match life {
        Life::Upload => {
            let memo = sent(at(Method::POST, "/memo").json(&json!({ "content": "x" }))).await;
            let files = format!("/memo/{}/attachments", memo["id"].as_str().unwrap());
            let declared = json!({ "filename": "a.png", "content_type": "image/png", "size": picture.len() });
            let upload = sent(at(Method::POST, &files).json(&declared)).await;
            let stored = put_to(upload["upload_url"].as_str().unwrap(), &upload["headers"], &picture).await;
            assert!(stored.is_success());
            let file = format!("{files}/{}", upload["attachment_id"].as_str().unwrap());
            sent(at(Method::POST, &format!("{file}/complete"))).await;
        }
        Life::Forms => {
            let form = Form::default().text("content", "x").file("image_0", "a.png", "image/png", &picture);
            let (content_type, body) = form.whole();
            let memo = sent(at(Method::POST, "/memo").header("content-type", content_type).body(body)).await;
            previews_end(kim, stage).await;
            let form = Form::default().text("keep_attachments", "").file("new_image_0", "b.png", "image/png", &picture);
            let (content_type, body) = form.whole();
            let memo = format!("/memo/{}", memo["id"].as_str().unwrap());
            sent(at(Method::PUT, &memo).header("content-type", content_type).body(body)).await;
        }
    }
    previews_end(kim, stage).await;
    let due = format!(
        "SELECT count(*) AS number FROM unowned_objects WHERE user_id = '{}' AND due_at <= now() + interval '2 minutes'",
        kim.user_id
    );
    while number(stage, &due).await > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn previews_end(kim: &TestClient, stage: &Stage) {
    let made = format!(
        "SELECT count(*) AS number FROM attachments WHERE user_id = '{}' AND preview = 'processing'",
        kim.user_id
    );
    while number(stage, &made).await > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Lives with a process that is killed after so many steps; returns whether it came to the end before.
async fn live_for(life: Life, stage: &Stage, app: &TestApp, after: i64) -> bool {
    let steps = Steps::uncounted();
    let database = stage.database().url_through(steps.before(TestDatabase::server_addr(), executes).await);
    let endpoint: url::Url = testkit::s3().endpoint.parse().unwrap();
    let storage = endpoint.socket_addrs(|| None).unwrap()[0];
    let through = format!("http://{}", steps.before(storage, stores).await);
    let mut settings = storage_settings().to_vec();
    settings.retain(|(key, _)| *key != "S3_ENDPOINT");
    settings.extend([("S3_ENDPOINT", through), ("S3_PUBLIC_ENDPOINT", testkit::s3().endpoint)]);
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let child = Child::serve(env!("CARGO_BIN_EXE_maru-memo"), stage, &database, &settings).await;
    let (kim, url) = (app.as_user(), child.url(""));
    steps.left.store(after, Ordering::SeqCst);
    let came_to_the_end = tokio::select! {
        biased;
        () = steps.is_over.notified() => false,
        () = live(life, &kim, &url, stage) => true,
        () = tokio::time::sleep(PATIENCE) => panic!("neither its end nor its death came after {after} steps"),
    };
    child.kill();
    came_to_the_end
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_any_two_steps_of_an_upload_it_leaves_no_orphan_and_no_broken_file() {
    killed_between_any_two_steps(Life::Upload).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_any_two_steps_of_a_form_and_a_deletion_it_leaves_no_orphan_and_no_broken_file() {
    killed_between_any_two_steps(Life::Forms).await;
}

/// Kills one process after the other, each a step later, until one comes to its end before.
async fn killed_between_any_two_steps(life: Life) {
    let (stage, app) = crate::start().await;
    let (mut first, begun, mut passed) = (0, Instant::now(), Duration::ZERO);
    loop {
        // The processes live by the machine's clock, and their callers' tokens with them.
        let now = begun.elapsed();
        stage.clock.advance(now.saturating_sub(passed));
        passed = now;
        let some = (first..first + AT_ONCE).map(|after| live_for(life, &stage, &app, after));
        if futures_util::future::join_all(some).await.into_iter().all(|came_to_the_end| came_to_the_end) {
            break;
        }
        first += AT_ONCE;
        assert!(first < STEPS_MAX, "it never comes to its end");
    }
    assert!(first >= 20, "{first} steps of {life:?} are fewer than there are");
    stage.clock.advance(begun.elapsed().saturating_sub(passed));
    let program = App::new(config(&stage), stage.clock.clone()).unwrap();
    sql(&stage, "UPDATE attachments SET preview_due_at = now() - interval '1 minute' WHERE preview = 'processing'")
        .await;
    while preview::make_next(&program).await.unwrap() {}
    let_time_pass(&stage, &program).await;
    nothing_is_lost(&stage, &app, &program).await;
}

/// What the rows say is there is there, and nothing else is.
async fn nothing_is_lost(stage: &Stage, app: &TestApp, program: &App) {
    let unready = "SELECT count(*) AS number FROM attachments WHERE state <> 'ready' OR preview <> 'ready'";
    // The test's own service makes previews, too.
    eventually(Duration::from_secs(20), || async { number(stage, unready).await == 0 }).await;
    let owners: Vec<uuid::Uuid> = crate::person::ids(stage, "SELECT DISTINCT user_id AS id FROM memos").await;
    let mut whole = 0;
    for owner in owners {
        let count = format!("SELECT count(*) AS number FROM attachments WHERE user_id = '{owner}'");
        let files = usize::try_from(number(stage, &count).await).unwrap();
        for (prefix, expected) in [("memo", files), ("thumbnail", files), ("upload", 0)] {
            let there = program.storage.list(&format!("{prefix}/{owner}/"), "", 100).await.unwrap();
            assert_eq!(there.len(), expected, "{prefix} of {owner}: {there:?}");
        }
        let person = app.as_principal(domain::principal::Principal {
            user_id: domain::ids::UserId(owner),
            login_id: stage.clock.id(),
            role: domain::principal::Role::User,
        });
        for memo in person.get("/memo/list?q=x").await.assert_status(200).json.as_array().unwrap() {
            for file in memo["attachments"].as_array().unwrap() {
                for url in [&file["url"], &file["thumbnail_url"]] {
                    assert_eq!(fetch(url.as_str().unwrap()).await.status(), 200, "{file}");
                }
                whole += 1;
            }
        }
    }
    assert!(whole > 5, "{whole} files came through");
    let drift = "SELECT coalesce((SELECT sum(bytes) FROM storage_usage), 0)::bigint \
                 - coalesce((SELECT sum(counted_bytes) FROM attachments), 0)::bigint AS number";
    assert_eq!(number(stage, drift).await, 0);
}
