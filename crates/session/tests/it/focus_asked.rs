//! What other services ask about focus sessions: on behalf of a person, and about all that is kept of one.

use chassis::client::{CallError, Peer};
use domain::{
    contract::{FocusByDay, FocusOfDay, FocusSession},
    focus::Status,
    principal::{Principal, Role, Service},
};
use serde_json::json;
use testkit::{Stage, TestApp, TestClient};

use crate::{
    focus::{go, let_pass, make_focus, number},
    start,
};

/// Returns the service as the memo service calls it.
fn asked_by_memo(stage: &Stage, app: &TestApp) -> Peer {
    let url = format!("http://{}", app.addr()).parse().unwrap();
    Peer::new(Service::Session, vec![url], Some(stage.keys().signer(Service::Memo)), stage.clock.clone()).unwrap()
}

fn principal(client: &TestClient) -> Principal {
    Principal { user_id: client.user_id, login_id: client.login_id, role: Role::User }
}

fn code<T>(answer: Result<T, CallError>) -> String {
    match answer {
        Err(CallError::Refused(view)) => format!("{} {}", view.status, view.code),
        _ => "no refusal".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_service_sees_a_persons_session_and_day_on_their_behalf() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let path = make_focus(&kim).await;
    let id = path.rsplit('/').next().unwrap();
    let memo = asked_by_memo(&stage, &app);
    let seen: FocusSession = memo.get(Some(principal(&kim)), &["internal", "focus", id]).await.unwrap();
    assert_eq!(json!(seen), kim.get(&path).await.json);
    assert_eq!((seen.status, seen.user_id), (Status::Pending, kim.user_id));
    let of_others = memo.get::<FocusSession>(Some(principal(&lee)), &["internal", "focus", id]).await;
    assert_eq!(code(of_others), "404 session_not_found");
    let nobody = memo.get::<FocusSession>(None, &["internal", "focus", id]).await;
    assert_eq!(code(nobody), "404 not_found");
    for client in [&kim, &app.as_role(Role::Admin), &app.anonymous()] {
        client.get(&format!("/internal/focus/{id}")).await.assert_problem(404, "not_found");
        client.get("/internal/focus/by-day?date=2026-01-01&tz=UTC").await.assert_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_of_a_person_is_shown_and_erased() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let first = make_focus(&kim).await;
    go(&kim, &first, "started").await.assert_status(200);
    let_pass(&stage, 60).await;
    go(&kim, &first, "completed").await.assert_status(200);
    make_focus(&kim).await;
    make_focus(&lee).await;
    let auth = app.as_service(Service::Auth);
    let shown = auth.get(&format!("/internal/users/{}/export", kim.user_id)).await.assert_status(200);
    let sessions = shown.json["data"]["focus_sessions"].as_array().unwrap();
    let completed = sessions.iter().find(|one| one["status"] == "completed").unwrap();
    assert_eq!((sessions.len(), &completed["subject"], &completed["goal"]), (2, &json!("글쓰기"), &json!("서론")));
    assert_eq!(completed["intervals"].as_array().unwrap().len(), 1);

    let erased = auth.delete(&format!("/internal/users/{}", kim.user_id)).await.assert_status(200);
    assert_eq!(erased.json["is_finished"], true);
    assert_eq!(erased.json["erased"], json!({ "focus_sessions": 2, "focus_intervals": 1 }));
    kim.get("/session/current").await.assert_problem(404, "no_current_session");
    let left = format!("SELECT count(*) AS number FROM focus_sessions WHERE user_id = '{}'", kim.user_id);
    assert_eq!(number(&stage, &left).await, 0);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM focus_intervals").await, 0);
    assert_eq!(lee.get("/session/current").await.assert_status(200).text("/status"), "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_the_persons_own() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    make_focus(&kim).await;
    make_focus(&app.as_user()).await;
    crate::focus::execute(&stage, "UPDATE focus_sessions SET created_at = '2026-03-01T15:00:00Z'").await;
    let memo = asked_by_memo(&stage, &app);
    let ask = |date: Option<&str>, tz: Option<&str>| {
        let query = FocusByDay { date: date.map(str::to_owned), tz: tz.map(str::to_owned) };
        let (memo, person) = (&memo, principal(&kim));
        async move { memo.get_with::<_, FocusOfDay>(Some(person), &["internal", "focus", "by-day"], &query).await }
    };
    for (date, count) in [("2026-03-01", 0), ("2026-03-02", 1)] {
        let day = ask(Some(date), Some("Asia/Seoul")).await.unwrap();
        assert_eq!((day.sessions.len(), day.is_truncated), (count, false), "{date}");
    }
    for (date, tz) in [
        (Some("2026-02-30"), Some("UTC")),
        (Some("2026-03-01"), Some("Mars/Base")),
        (None, Some("UTC")),
        (Some("2026-03-01"), None),
    ] {
        assert_eq!(code(ask(date, tz).await), "422 invalid", "{date:?} {tz:?}");
    }
}
