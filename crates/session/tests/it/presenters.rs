//! The presenter's name, as the auth service knows it.

use std::time::{Duration, Instant};

use domain::{ids::UserId, principal::Service};
use serde_json::{Value, json};
use testkit::{Stage, TestApp};

use crate::{
    SESSIONS, config, join, open,
    scripted::{Script, Scripted},
};

async fn start_with(script: Script) -> (Stage, TestApp, Scripted) {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let auth = Scripted::start(script);
    let mut config = config(&stage);
    config.services.auth_urls = auth.urls();
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    (stage, app, auth)
}

/// A session that four asked for in one moment: three who look, and one who joins.
struct AskedAtOnce {
    stage: Stage,
    app: TestApp,
    auth: Scripted,
    presenter: UserId,
    look: String,
    /// The presenter's name as each was told.
    names: [Value; 4],
}

async fn ask_at_once() -> AskedAtOnce {
    let (stage, app, auth) = start_with(Script::Says(200, json!({ "name": "김발표" }))).await;
    let (kim, nobody) = (app.as_user(), app.anonymous());
    let (_path, code) = open(&kim).await;
    let look = format!("{SESSIONS}/code/{code}");
    let (a, b, c, joined) =
        tokio::join!(nobody.get(&look), nobody.get(&look), nobody.get(&look), join(&nobody, &code, "이주최"));
    let [a, b, c] = [a, b, c].map(|seen| seen.assert_status(200).json["presenter_name"].clone());
    let names = [a, b, c, joined.assert_status(201).json["session"]["presenter_name"].clone()];
    AskedAtOnce { stage, app, auth, presenter: kim.user_id, look, names }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_asked_for_once_and_a_new_one_is_seen_within_a_minute() {
    let mut asked = ask_at_once().await;
    // Nobody waits for a name for longer than a moment, which a busy machine may take away.
    for _ in 0..4 {
        if asked.names.iter().any(Value::is_null) {
            asked = ask_at_once().await;
        }
    }
    let AskedAtOnce { stage, app, auth, presenter, look, names } = asked;
    assert_eq!(names, ["김발표"; 4]);
    assert_eq!(auth.asked(), [format!("GET /internal/users/{presenter}/card")]);
    let nobody = app.anonymous();

    auth.now(Script::Says(200, json!({ "name": "김새이름" })));
    assert_eq!(nobody.get(&look).await.text("/presenter_name"), "김발표");
    stage.clock.advance(Duration::from_mins(1));
    assert_eq!(nobody.get(&look).await.text("/presenter_name"), "김새이름");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_says_no_name_comes_in_under_their_own() {
    let (_stage, app, auth) = start_with(Script::Says(200, json!({ "name": "이주최" }))).await;
    let (_path, code) = open(&app.as_user()).await;
    let path = format!("{SESSIONS}/code/{code}/join");
    let lee = app.as_user().post(&path, json!({})).await.assert_status(201);
    assert_eq!(lee.text("/participant/display_name"), "이주최");
    auth.now(Script::Says(200, json!({ "name": "가".repeat(80) })));
    let long = app.as_user().post(&path, json!({})).await.assert_status(201);
    assert_eq!(long.text("/participant/display_name"), "참가자");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_auth_service_there_is_no_name_and_people_come_in() {
    for script in [
        Script::Says(404, json!({})),
        Script::Says(500, json!({})),
        Script::Says(200, json!({ "nickname": "x" })),
        Script::Sleeps,
    ] {
        let (_stage, app, _auth) = start_with(script.clone()).await;
        let (_path, code) = open(&app.as_user()).await;
        let begun = Instant::now();
        let joined = app.as_user().post(&format!("{SESSIONS}/code/{code}/join"), json!({})).await.assert_status(201);
        assert_eq!(
            (&joined.json["session"]["presenter_name"], joined.text("/participant/display_name")),
            (&json!(null), "참가자"),
            "{script:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(10), "{script:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owners_ticket_is_one_of_the_auth_services() {
    let (_stage, app, auth) = start_with(Script::Says(200, json!({ "ticket": "abc", "expires_in": 30 }))).await;
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let path = format!("{path}/stream-ticket");
    let given = kim.post(&path, json!({})).await.assert_status(200);
    assert_eq!(given.json, json!({ "ticket": "abc", "expires_in": 30 }));
    assert_eq!(auth.asked(), ["POST /auth/ws-ticket"]);
    let lee = app.as_user();
    lee.post(&path, json!({})).await.assert_problem(404, "session_not_found");
    join(&lee, &code, "이주최").await.assert_status(201);
    assert_eq!(lee.post(&path, json!({})).await.assert_status(200).text("/ticket"), "abc");
    app.anonymous().post(&path, json!({})).await.assert_problem(401, "unauthenticated");
    auth.now(Script::Says(500, json!({})));
    kim.post(&path, json!({})).await.assert_problem(503, "unavailable");
}
