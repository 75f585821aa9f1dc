//! What the memo service asks the session service about focus sessions, on behalf of a person.

use chassis::client::CallError;
use domain::{
    contract::{FocusByDay, FocusOfDay, FocusSession},
    focus::Status,
    ids::FocusId,
    principal::{Principal, Role, Service},
};
use serde_json::json;

use crate::rooms::{House, Room};

async fn find(room: &Room, person: Option<Principal>, id: FocusId) -> Result<FocusSession, CallError> {
    room.as_seen_by(Service::Memo).get(person, &["internal", "focus", &id.to_string()]).await
}

async fn day(room: &Room, person: Option<Principal>, date: &str, tz: &str) -> Result<FocusOfDay, CallError> {
    let query = FocusByDay { date: Some(date.to_owned()), tz: Some(tz.to_owned()) };
    room.as_seen_by(Service::Memo).get_with(person, &["internal", "focus", "by-day"], &query).await
}

fn refused<T>(answer: Result<T, CallError>) -> (u16, String) {
    match answer {
        Err(CallError::Refused(view)) => (view.status, view.code),
        _ => (0, "no refusal".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memo_service_learns_whose_focus_session_it_is_and_what_a_day_had() {
    let house = House::open().await;
    let (kim, lee) = (house.somebody(), house.somebody());
    let room = &house.session;
    let body = json!({ "subject": "글쓰기", "duration": 25, "break_duration": 5 });
    let made = room.as_principal(kim).post("/session", body).await.assert_status(201);
    let public: FocusSession = serde_json::from_value(made.json).unwrap();

    assert_eq!(find(room, Some(kim), public.id).await.unwrap(), public);
    assert_eq!(public.status, Status::Pending);
    assert_eq!(refused(find(room, Some(lee), public.id).await), (404, "session_not_found".to_owned()));
    let unknown = FocusId(house.clock().uuid());
    assert_eq!(refused(find(room, Some(kim), unknown).await), (404, "session_not_found".to_owned()));

    let today = house.clock().now().date_naive().to_string();
    assert_eq!(day(room, Some(kim), &today, "UTC").await.unwrap().sessions, [public]);
    assert_eq!(day(room, Some(lee), &today, "UTC").await.unwrap().sessions, []);
    assert_eq!(refused(day(room, Some(kim), "2026-02-30", "UTC").await), (422, "invalid".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_person_behind_the_call_or_from_outside_there_is_nothing() {
    let house = House::open().await;
    let kim = house.somebody();
    let room = &house.session;
    let id = FocusId(house.clock().uuid());
    assert_eq!(refused(find(room, None, id).await), (404, "not_found".to_owned()));
    assert_eq!(refused(day(room, None, "2026-11-21", "UTC").await), (404, "not_found".to_owned()));
    let admin = Principal { role: Role::Admin, ..kim };
    for path in [format!("/internal/focus/{id}"), "/internal/focus/by-day?date=2026-11-21&tz=UTC".to_owned()] {
        room.as_principal(admin).get(&path).await.assert_problem(404, "not_found");
        room.as_nobody().get(&path).await.assert_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memo_is_linked_to_its_owners_focus_session_and_shown_beside_it() {
    let house = House::open().await;
    let (kim, lee) = (house.somebody(), house.somebody());
    let body = json!({ "subject": "글쓰기", "duration": 25, "break_duration": 5 });
    let session = house.session.as_principal(kim).post("/session", body).await.assert_status(201);
    let memo = json!({ "content": "집중하며 쓴 메모", "session_id": session.text("/id") });
    let written = house.memo.as_principal(kim).post("/memo", memo.clone()).await.assert_status(201);
    assert_eq!(written.text("/session_id"), session.text("/id"));
    let refused = house.memo.as_principal(lee).post("/memo", memo).await.assert_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/session_id");

    let today = house.clock().now().date_naive();
    let day = format!("/memo/daily?date={today}&tz=UTC");
    let kims = house.memo.as_principal(kim).get(&day).await.assert_status(200);
    assert_eq!(kims.json.get("partial"), Some(&json!(false)), "{}", kims.json);
    assert_eq!((kims.text("/memos/0/id"), kims.text("/sessions/0/id")), (written.text("/id"), session.text("/id")));
    let lees = house.memo.as_principal(lee).get(&day).await.assert_status(200);
    assert_eq!((lees.json.get("memos"), lees.json.get("sessions")), (Some(&json!([])), Some(&json!([]))));
}
