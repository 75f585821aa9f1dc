//! Memos that the emotion service writes on somebody's behalf.

use domain::{
    contract::{MemoToWrite, MemoWritten},
    ids::MemoId,
    principal::{Principal, Role, Service},
};
use serde_json::{Value, json};
use testkit::{Answer, Stage, TestApp};

use crate::start;

const PATH: &str = "/internal/memos";

fn card(id: MemoId) -> Value {
    let memo = MemoToWrite {
        id,
        content: "발표를 앞둔 밤".to_owned(),
        tags: vec!["감정".to_owned()],
        category: Some("emotion".to_owned()),
        metadata: json!({ "source": "emotion" }),
    };
    serde_json::to_value(memo).unwrap()
}

fn somebody(stage: &Stage) -> Principal {
    Principal { user_id: stage.clock.id(), login_id: stage.clock.id(), role: Role::User }
}

async fn write(app: &TestApp, stage: &Stage, by: Service, of: Option<Principal>, body: &Value) -> Answer {
    let token = stage.keys().signer(by).mint_call(Service::Memo, of, stage.clock.now()).unwrap();
    let client = app.without_token();
    client.send(client.request(reqwest::Method::POST, PATH).bearer_auth(token).json(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memo_under_the_same_id_is_written_once_and_stays_as_its_owner_made_it() {
    let (stage, app) = start().await;
    let kim = somebody(&stage);
    let body = card(stage.clock.id());
    let first = write(&app, &stage, Service::Emotion, Some(kim), &body).await.assert_status(200);
    let first: MemoWritten = serde_json::from_value(first.json).unwrap();
    assert!(first.is_new);
    let path = format!("/memo/{}", first.id);
    let shown = app.as_principal(kim).get(&path).await.assert_status(200);
    assert_eq!((shown.text("/content"), shown.text("/tags/0")), ("발표를 앞둔 밤", "감정"));
    assert_eq!((shown.text("/category"), shown.text("/metadata/source")), ("emotion", "emotion"));

    stage.clock.advance(std::time::Duration::from_mins(1));
    let mut other = body.clone();
    other["content"] = json!("다른 글");
    let again = write(&app, &stage, Service::Emotion, Some(kim), &other).await.assert_status(200);
    let again: MemoWritten = serde_json::from_value(again.json).unwrap();
    assert_eq!(again, MemoWritten { is_new: false, ..first });
    assert_eq!(app.as_principal(kim).get(&path).await.text("/content"), "발표를 앞둔 밤");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memo_in_the_trash_comes_back_and_anothers_is_not_touched() {
    let (stage, app) = start().await;
    let (kim, lee) = (somebody(&stage), somebody(&stage));
    let body = card(stage.clock.id());
    let made = write(&app, &stage, Service::Emotion, Some(kim), &body).await.assert_status(200);
    let path = format!("/memo/{}", made.text("/id"));
    let mut conn = stage.pg().conn().await.unwrap();
    let discard = diesel::sql_query("UPDATE memos SET deleted_at = now()");
    diesel_async::RunQueryDsl::execute(discard, &mut conn).await.unwrap();
    app.as_principal(kim).get(&path).await.assert_problem(404, "memo_not_found");

    write(&app, &stage, Service::Emotion, Some(lee), &body).await.assert_problem(409, "conflict");
    app.as_principal(kim).get(&path).await.assert_problem(404, "memo_not_found");
    app.as_principal(lee).get(&path).await.assert_problem(404, "memo_not_found");
    write(&app, &stage, Service::Emotion, Some(kim), &body).await.assert_status(200);
    app.as_principal(kim).get(&path).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_emotion_service_writes_and_only_for_a_person() {
    let (stage, app) = start().await;
    let kim = somebody(&stage);
    let body = card(stage.clock.id());
    for by in [Service::Gateway, Service::Auth, Service::Session, Service::Ticketing, Service::Memo] {
        write(&app, &stage, by, Some(kim), &body).await.assert_problem(404, "not_found");
    }
    write(&app, &stage, Service::Emotion, None, &body).await.assert_problem(404, "not_found");
    for caller in [app.as_principal(kim), app.as_role(Role::Admin), app.anonymous()] {
        caller.post(PATH, body.clone()).await.assert_problem(404, "not_found");
    }
    app.without_token().post(PATH, body).await.assert_problem(401, "unauthenticated");
    let document = app.without_token().get("/openapi.json").await.assert_status(200);
    assert!(!String::from_utf8(document.body).unwrap().contains("/internal/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_of_every_memo_hold() {
    let (stage, app) = start().await;
    let kim = somebody(&stage);
    let mut body = card(stage.clock.id());
    body["content"] = json!("a\u{0}b");
    body["tags"] = json!(["가".repeat(51)]);
    let refused = write(&app, &stage, Service::Emotion, Some(kim), &body).await.assert_problem(422, "invalid");
    assert_eq!((refused.text("/errors/0/pointer"), refused.text("/errors/1/pointer")), ("/content", "/tags/0"));
    body["more"] = json!(1);
    write(&app, &stage, Service::Emotion, Some(kim), &body).await.assert_problem(400, "malformed");
}
