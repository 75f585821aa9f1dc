//! Focus sessions over HTTP: their shape, what they refuse, and what becomes of them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::principal::Service;
use serde_json::{Value, json};
use session::app::App;
use testkit::{Answer, Stage, TestApp, TestClient, eventually};

use crate::{config, start};

/// The collection.
pub(crate) const FOCUS: &str = "/session";
/// A list of every day these tests live in.
pub(crate) const ALL: &str = "/session/list?tz=UTC&start_date=2026-01-01&end_date=2026-12-31";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Serves the service without its loops: what there is of it when every watcher is dead.
pub(crate) async fn start_without_loops() -> (Stage, TestApp) {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let app = stage.serve(App::new(config(&stage), stage.clock.clone()).unwrap().answer().unwrap());
    (stage, app)
}

/// A request of the documents' client for 25 minutes.
pub(crate) fn writing() -> Value {
    json!({
        "subject": "글쓰기", "goal": "서론", "duration": 25, "break_duration": 5, "tags": ["글", "집중"],
        "status": "pending", "created_at": "2026-11-21T09:30:00.000Z",
    })
}

/// Makes a focus session and returns its path.
pub(crate) async fn make_focus(client: &TestClient) -> String {
    let made = client.post(FOCUS, writing()).await.assert_status(201);
    format!("{FOCUS}/{}", made.text("/id"))
}

/// Takes a focus session to a status.
pub(crate) async fn go(client: &TestClient, path: &str, status: &str) -> Answer {
    let body = json!({ "status": status, "updated_at": "2020-01-01T00:00:00.000Z" });
    client.put(&format!("{path}/status"), body).await
}

/// Makes it as if the running sessions had begun earlier.
pub(crate) async fn let_pass(stage: &Stage, seconds: u32) {
    let shift = format!("interval '{seconds} seconds'");
    let sql = format!(
        "UPDATE focus_sessions SET anchor_at = anchor_at - {shift}, due_at = due_at - {shift} WHERE status = 'started'"
    );
    execute(stage, &sql).await;
}

/// Changes the database behind the service's back.
pub(crate) async fn execute(stage: &Stage, sql: &str) {
    stage.pg().conn().await.unwrap().batch_execute(sql).await.unwrap();
}

/// Reads one number, `SELECT ... AS number`.
pub(crate) async fn number(stage: &Stage, query: &str) -> i64 {
    let mut conn = stage.pg().conn().await.unwrap();
    sql_query(query).get_result::<Number>(&mut conn).await.unwrap().number
}

/// Reads an instant of an answer.
pub(crate) fn instant(answer: &Answer, pointer: &str) -> DateTime<Utc> {
    let text = answer.text(pointer);
    assert!(text.ends_with('Z') && text.len() == 24, "{pointer} of {}", answer.json);
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn remaining(answer: &Answer) -> i64 {
    answer.json["remaining_seconds"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_the_shape_of_the_contract_and_its_clients_status_and_clock_are_not_believed() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let mut body = writing();
    body["status"] = json!("started");
    let made = kim.post("/session/", body).await.assert_status(201);
    let now = domain::time::rfc3339(stage.clock.now());
    let expected = json!({
        "id": made.json["id"], "user_id": kim.user_id, "subject": "글쓰기", "goal": "서론", "duration": 25,
        "break_duration": 5, "tags": ["글", "집중"], "started_at": null, "created_at": now, "updated_at": now,
        "status": "pending", "reflection": null, "remaining_seconds": 1_500, "ends_at": null,
    });
    assert_eq!(made.json, expected);
    let path = format!("{FOCUS}/{}", made.text("/id"));
    for shown in [kim.get(&path).await, kim.get("/session/current").await] {
        assert_eq!((shown.status, &shown.json), (200, &expected));
        assert_eq!(shown.header("cache-control"), "no-store");
    }
    assert_eq!(kim.get(ALL).await.assert_status(200).json, json!([expected]));

    let started = go(&kim, &path, "started").await.assert_status(200);
    assert_eq!(started.text("/status"), "started");
    assert_eq!(instant(&started, "/ends_at") - instant(&started, "/started_at"), TimeDelta::minutes(25));
    assert!((stage.clock.now() - instant(&started, "/started_at")).abs() < TimeDelta::minutes(1));
    let little = json!({ "subject": " 독서 ", "duration": 1, "goal": "  " });
    let made = kim.post(FOCUS, little).await.assert_status(201);
    let fields = ["subject", "goal", "tags", "break_duration"].map(|field| made.json[field].clone());
    assert_eq!(json!(fields), json!(["독서", null, [], 5]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_session_is_refused_with_its_field() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    let with = |field: &str, value: Value| {
        let mut body = writing();
        body[field] = value;
        body
    };
    let bad = [
        ("subject", json!(""), "/subject"),
        ("subject", json!("   "), "/subject"),
        ("subject", json!("가".repeat(201)), "/subject"),
        ("subject", json!("a\u{0}b"), "/subject"),
        ("goal", json!("x".repeat(2_001)), "/goal"),
        ("goal", json!("\u{0}"), "/goal"),
        ("duration", json!(0), "/duration"),
        ("duration", json!(-25), "/duration"),
        ("duration", json!(181), "/duration"),
        ("duration", json!(i64::MAX), "/duration"),
        ("break_duration", json!(-1), "/break_duration"),
        ("break_duration", json!(61), "/break_duration"),
        ("tags", json!(vec!["t"; 51]), "/tags"),
        ("tags", json!(["ok", ""]), "/tags/1"),
        ("tags", json!(["x".repeat(51)]), "/tags/0"),
        ("tags", json!(["\u{0}"]), "/tags/0"),
    ];
    for (field, value, pointer) in &bad {
        for refused in
            [kim.post(FOCUS, with(field, value.clone())).await, kim.put(&path, json!({ *field: value })).await]
        {
            assert_eq!(refused.assert_problem(422, "invalid").text("/errors/0/pointer"), *pointer, "{field} {value}");
        }
    }
    for bad in ["2026-11-21", "2026-11-21T09:30:00", "2026-02-30T00:00:00.000Z", "yesterday", ""] {
        let refused = kim.post(FOCUS, with("created_at", json!(bad))).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), "/created_at");
        let body = json!({ "status": "started", "updated_at": bad });
        for to in [path.clone(), format!("{path}/status")] {
            let refused = kim.put(&to, body.clone()).await.assert_problem(422, "invalid");
            assert_eq!(refused.text("/errors/0/pointer"), "/updated_at");
        }
    }
    let refused = kim.post(FOCUS, json!({})).await.assert_problem(422, "invalid");
    assert_eq!((refused.text("/errors/0/pointer"), refused.text("/errors/1/pointer")), ("/subject", "/duration"));
    let refused = kim.put(&path, json!({ "reflection": "x".repeat(5_001) })).await.assert_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/reflection");
    for body in [json!({ "status": "ended" }), json!({ "status": "" }), json!({}), json!({ "status": null })] {
        kim.put(&format!("{path}/status"), body).await.assert_problem(422, "invalid");
    }
    for (field, value) in
        [("duration", json!(2.5)), ("duration", json!("25")), ("tags", json!("글")), ("goal", json!(1))]
    {
        kim.post(FOCUS, with(field, value)).await.assert_problem(400, "malformed");
    }
    // Nothing of it took effect.
    assert_eq!(kim.get(&path).await.json["updated_at"], kim.get(&path).await.json["created_at"]);
    for query in [
        "tz=Mars/Base&start_date=2026-01-01&end_date=2026-01-02",
        "start_date=2026-01-01&end_date=2026-01-02",
        "tz=UTC&start_date=2026-02-30&end_date=2026-03-01",
        "tz=UTC&start_date=2026-03-02&end_date=2026-03-01",
        "tz=UTC&start_date=2025-01-01&end_date=2026-01-02",
    ] {
        for list in ["list", "stats"] {
            kim.get(&format!("/session/{list}?{query}")).await.assert_problem(422, "invalid");
        }
    }
    for more in ["limit=0", "limit=501", "cursor=x", "cursor=1.2"] {
        kim.get(&format!("{ALL}&{more}")).await.assert_problem(422, "invalid");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_everybody_else_a_session_does_not_exist() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let path = make_focus(&kim).await;
    let nowhere = format!("{FOCUS}/{}", stage.clock.uuid());
    for path in [&path, &nowhere] {
        lee.get(path).await.assert_problem(404, "session_not_found");
        lee.put(path, json!({ "subject": "내 것" })).await.assert_problem(404, "session_not_found");
        lee.delete(path).await.assert_problem(404, "session_not_found");
        go(&lee, path, "started").await.assert_problem(404, "session_not_found");
    }
    kim.get("/session/not-an-id").await.assert_problem(404, "not_found");
    lee.get("/session/current").await.assert_problem(404, "no_current_session");
    assert_eq!(lee.get(ALL).await.json, json!([]));
    app.anonymous().get(&path).await.assert_problem(401, "unauthenticated");
    assert_eq!(kim.get(&path).await.text("/subject"), "글쓰기");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_keeps_what_was_consumed_and_the_documents_client_counts_the_same() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let_pass(&stage, 600).await;
    let paused = go(&kim, &path, "paused").await.assert_status(200);
    let left = remaining(&paused);
    assert!((880..=900).contains(&left), "{}", paused.json);
    assert_eq!(paused.json["ends_at"], json!(null));
    // The client's own formula, also after an edit that moves `updated_at`.
    stage.clock.advance(Duration::from_mins(7));
    let edited = kim.put(&path, json!({ "goal": null })).await.assert_status(200);
    for shown in [&paused, &edited, &kim.get(&path).await, &kim.get("/session/current").await] {
        let consumed = instant(shown, "/updated_at") - instant(shown, "/started_at");
        assert_eq!((remaining(shown), 1_500 - consumed.num_seconds()), (left, left), "{}", shown.json);
    }
    let resumed = go(&kim, &path, "resumed").await.assert_status(200);
    assert_eq!((resumed.text("/status"), remaining(&resumed)), ("started", left));
    assert_eq!(instant(&resumed, "/ends_at") - instant(&resumed, "/started_at"), TimeDelta::minutes(25));
    for _ in 0..5 {
        go(&kim, &path, "paused").await.assert_status(200);
        go(&kim, &path, "started").await.assert_status(200);
    }
    let after = kim.get(&path).await;
    assert!((left - 20..=left).contains(&remaining(&after)), "{}", after.json);
    assert_eq!(number(&stage, "SELECT version AS number FROM focus_sessions").await, 15);
    let spent = "SELECT (sum(extract(epoch FROM i.ended_at - i.started_at)) * 1000)::bigint - max(s.accumulated_ms) \
                 AS number FROM focus_intervals i JOIN focus_sessions s ON s.id = session_id";
    assert_eq!(number(&stage, spent).await, 0);

    let reset = go(&kim, &path, "pending").await.assert_status(200);
    assert_eq!((remaining(&reset), &reset.json["started_at"]), (1_500, &json!(null)));
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM focus_intervals").await, 0);
    assert_eq!(kim.get("/session/current").await.text("/status"), "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_status_forbids_is_a_conflict_that_says_what_is_allowed() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let refused = |from: Vec<&'static str>, to: Vec<&'static str>, allowed: Value| {
        let kim = kim.clone();
        async move {
            let path = make_focus(&kim).await;
            for status in &from {
                go(&kim, &path, status).await.assert_status(200);
            }
            let before = kim.get(&path).await.json;
            for status in to {
                let problem = go(&kim, &path, status).await.assert_problem(409, "invalid_transition");
                let state = from.last().copied().unwrap_or("pending");
                assert_eq!((problem.text("/state"), &problem.json["allowed"]), (state, &allowed), "{status}");
                kim.put(&path, json!({ "subject": "x", "status": status }))
                    .await
                    .assert_problem(409, "invalid_transition");
            }
            if let Some(same) = from.last() {
                go(&kim, &path, same).await.assert_status(200);
            }
            assert_eq!(kim.get(&path).await.json, before);
            path
        }
    };
    refused(vec![], vec!["paused", "completed", "reviewed"], json!(["started", "cancelled"])).await;
    let open = json!(["paused", "pending", "completed", "cancelled"]);
    let running = refused(vec!["started"], vec!["reviewed"], open).await;
    go(&kim, &running, "cancelled").await.assert_status(200);
    let over = vec!["pending", "started", "resumed", "paused", "cancelled"];
    let completed = refused(vec!["started", "completed"], over, json!(["reviewed"])).await;
    kim.put(&completed, json!({ "duration": 30 })).await.assert_problem(409, "invalid_transition");
    kim.put(&completed, json!({ "break_duration": 6 })).await.assert_problem(409, "invalid_transition");
    let ended = vec!["pending", "started", "paused", "completed", "cancelled"];
    refused(vec!["started", "paused", "completed", "reviewed"], ended, json!([])).await;
    let ended = vec!["pending", "started", "paused", "completed", "reviewed"];
    refused(vec!["started", "cancelled"], ended, json!([])).await;
    kim.get("/session/current").await.assert_problem(404, "no_current_session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reflection_reviews_what_is_completed_and_words_may_always_change() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    // Before it is over a thought is kept, and no more than that.
    let early = kim.put(&path, json!({ "reflection": "준비됨" })).await.assert_status(200);
    assert_eq!((early.text("/status"), early.text("/reflection")), ("pending", "준비됨"));
    go(&kim, &path, "started").await.assert_status(200);
    let done = go(&kim, &path, "completed").await.assert_status(200);
    assert_eq!((done.text("/status"), remaining(&done)), ("completed", 0));
    assert!(instant(&done, "/ends_at") - instant(&done, "/started_at") < TimeDelta::seconds(60));
    kim.get("/session/current").await.assert_problem(404, "no_current_session");

    // A client that sends back all that may be edited, as it was given.
    let editable = ["subject", "goal", "duration", "break_duration", "tags", "status", "updated_at"];
    let mut whole: Value = editable.iter().map(|field| ((*field).to_owned(), done.json[*field].clone())).collect();
    whole["reflection"] = json!("잘 됐다");
    let reviewed = kim.put(&path, whole).await.assert_status(200);
    assert_eq!((reviewed.text("/status"), reviewed.text("/reflection")), ("reviewed", "잘 됐다"));
    assert_eq!(go(&kim, &path, "reviewed").await.assert_status(200).json, reviewed.json);
    let edit = json!({ "subject": "새 주제", "goal": null, "tags": [], "reflection": null });
    let edited = kim.put(&path, edit).await.assert_status(200);
    let fields = ["subject", "goal", "tags", "reflection", "status"].map(|field| edited.json[field].clone());
    assert_eq!(json!(fields), json!(["새 주제", null, [], null, "reviewed"]));
    assert_eq!(edited.json["ends_at"], done.json["ends_at"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_length_moves_the_end_and_is_never_shorter_than_what_has_passed() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let_pass(&stage, 600).await;
    let longer = kim.put(&path, json!({ "duration": 30, "break_duration": 0 })).await.assert_status(200);
    assert_eq!(instant(&longer, "/ends_at") - instant(&longer, "/started_at"), TimeDelta::minutes(30));
    assert!((1_180..=1_200).contains(&remaining(&longer)), "{}", longer.json);
    assert_eq!(kim.get("/session/current").await.json["ends_at"], longer.json["ends_at"]);
    kim.put(&path, json!({ "duration": 10 })).await.assert_problem(409, "already_elapsed");
    go(&kim, &path, "paused").await.assert_status(200);
    kim.put(&path, json!({ "duration": 9 })).await.assert_problem(409, "already_elapsed");
    let paused = kim.put(&path, json!({ "duration": 12 })).await.assert_status(200);
    assert!((100..=120).contains(&remaining(&paused)), "{}", paused.json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_session_takes_the_place_of_the_current_one_which_is_closed() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let first = make_focus(&kim).await;
    go(&kim, &first, "started").await.assert_status(200);
    let_pass(&stage, 60).await;
    let second = make_focus(&kim).await;
    let closed = kim.get(&first).await;
    assert_eq!((closed.text("/status"), &closed.json["ends_at"]), ("cancelled", &json!(null)));
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM focus_intervals").await, 1);
    let current = kim.get("/session/current").await;
    assert!(second.ends_with(current.text("/id")));
    // Deleting one that is not current leaves the current one alone.
    kim.delete(&first).await.assert_status(200);
    assert_eq!(kim.get("/session/current").await.json, current.json);
    go(&kim, &second, "started").await.assert_status(200);
    // One whose time is over was completed, not cancelled, by whatever comes next.
    let_pass(&stage, 1_600).await;
    make_focus(&kim).await;
    assert_eq!(kim.get(&second).await.text("/status"), "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_that_are_made_at_once_one_is_current_and_the_others_are_closed() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let makings = (0..20).map(|_| kim.post(FOCUS, writing()));
    let made = futures(makings).await;
    assert!(made.iter().all(|answer| answer.status == 201), "{made:?}");
    let of = |status: &str| format!("SELECT count(*) AS number FROM focus_sessions WHERE status = '{status}'");
    assert_eq!(number(&stage, &of("pending")).await, 1);
    assert_eq!(number(&stage, &of("cancelled")).await, 19);
    let current = kim.get("/session/current").await.assert_status(200);
    let kept = kim.get(&format!("{FOCUS}/{}", current.text("/id"))).await;
    assert_eq!(kept.text("/status"), "pending");
}

/// Runs all at the same time.
async fn futures<F: Future<Output = Answer>>(all: impl Iterator<Item = F>) -> Vec<Answer> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut answers = Vec::new();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_key_it_is_made_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let key = [("idempotency-key", "k-1")];
    let first = kim.post_with(FOCUS, writing(), &key).await.assert_status(201);
    go(&kim, &format!("{FOCUS}/{}", first.text("/id")), "started").await.assert_status(200);
    let again = kim.post_with(FOCUS, writing(), &key).await.assert_status(201);
    assert_eq!(again.json, first.json);
    assert_eq!(kim.get(ALL).await.header("x-total-count"), "1");
    let other = json!({ "subject": "다른 것", "duration": 25 });
    kim.post_with(FOCUS, other, &key).await.assert_problem(422, "idempotency_key_reused");
    assert_eq!(kim.get("/session/current").await.text("/status"), "started");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_is_gone_and_says_so_in_the_language_of_the_request() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let_pass(&stage, 60).await;
    go(&kim, &path, "paused").await.assert_status(200);
    let deleted = kim.delete(&path).await.assert_status(200);
    assert_eq!(deleted.json, json!({ "message": "세션이 삭제되었습니다." }));
    kim.get("/session/current").await.assert_problem(404, "no_current_session");
    kim.get(&path).await.assert_problem(404, "session_not_found");
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM focus_intervals").await, 0);
    let path = make_focus(&kim).await;
    let request = kim.request(reqwest::Method::DELETE, &path).header("accept-language", "en");
    assert_eq!(kim.send(request).await.text("/message"), "session deleted successfully");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_of_local_days_newest_first_and_page_by_page() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for _ in 0..5 {
        make_focus(&kim).await;
    }
    // The last instant of a day in Seoul, and the first of the next.
    execute(
        &stage,
        "UPDATE focus_sessions SET created_at = CASE WHEN ordinal = 1 THEN '2026-03-01T14:59:59.999Z'::timestamptz \
         ELSE '2026-03-01T15:00:00Z' END",
    )
    .await;
    let on = |date: &str| format!("/session/list?tz=Asia/Seoul&start_date={date}&end_date={date}");
    assert_eq!(kim.get(&on("2026-03-01")).await.json.as_array().unwrap().len(), 1);
    let day = kim.get(&on("2026-03-02")).await;
    assert_eq!((day.json.as_array().unwrap().len(), day.header("x-total-count")), (4, "4"));
    let mut next = Some(format!("{}&limit=3", on("2026-03-02")));
    let mut seen = Vec::new();
    while let Some(path) = next {
        let page = kim.get(&path).await.assert_status(200);
        seen.extend(page.json.as_array().unwrap().clone());
        let link = page.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
        next = Some(link).filter(|link| !link.is_empty());
    }
    assert_eq!(Value::Array(seen), day.json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hands_on_one_session_agree_in_the_end() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let answers = futures((0..8).map(|n| {
        let (kim, path) = (kim.clone(), path.clone());
        async move { go(&kim, &path, if n % 2 == 0 { "paused" } else { "started" }).await }
    }))
    .await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 503)), "{answers:?}");
    let kept = kim.get(&path).await;
    eventually(Duration::from_secs(2), || async {
        kim.get("/session/current").await.json["status"] == kept.json["status"]
    })
    .await;
    assert_eq!(number(&stage, "SELECT count(*) - count(DISTINCT started_at) AS number FROM focus_intervals").await, 0);
}
