//! What the emotion service writes into the memo service on behalf of a person: by its own client, and from a summary
//! card's button to the memo that its owner finds.

use chassis::client::CallError;
use domain::{
    contract::{MemoToWrite, MemoWritten},
    ids::MemoId,
    principal::{Principal, Service},
};
use serde_json::json;

use crate::rooms::House;

async fn write(
    house: &House,
    caller: Service,
    person: Option<Principal>,
    id: MemoId,
) -> Result<MemoWritten, CallError> {
    let memo = MemoToWrite {
        id,
        content: "# 나눈 이야기".to_owned(),
        tags: vec!["감정".to_owned()],
        category: Some("emotion".to_owned()),
        metadata: json!({ "source": "emotion" }),
    };
    house.memo.as_seen_by(caller).post(person, &["internal", "memos"], &memo).await
}

fn refused<T>(answer: Result<T, CallError>) -> (u16, String) {
    match answer {
        Err(CallError::Refused(view)) => (view.status, view.code),
        _ => (0, "no refusal".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emotion_services_client_writes_a_memo_once_for_its_person() {
    let house = House::open().await;
    let (kim, lee) = (house.somebody(), house.somebody());
    let id = MemoId(house.clock().uuid());
    let first = write(&house, Service::Emotion, Some(kim), id).await.unwrap();
    assert_eq!((first.id, first.is_new, first.created_at.0), (id, true, house.clock().now()));
    let again = write(&house, Service::Emotion, Some(kim), id).await.unwrap();
    assert_eq!(again, MemoWritten { is_new: false, ..first });
    assert_eq!(refused(write(&house, Service::Emotion, Some(lee), id).await), (409, "conflict".to_owned()));
    for (caller, person) in [(Service::Session, Some(kim)), (Service::Gateway, Some(kim)), (Service::Emotion, None)] {
        let other = MemoId(house.clock().uuid());
        assert_eq!(refused(write(&house, caller, person, other).await), (404, "not_found".to_owned()), "{caller}");
    }
    let path = format!("/memo/{id}");
    house.memo.as_principal(kim).get(&path).await.assert_status(200);
    house.memo.as_principal(lee).get(&path).await.assert_problem(404, "memo_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_card_becomes_one_memo_that_its_owner_finds() {
    let house = House::open().await;
    let kim = house.somebody();
    let emotion = house.emotion.as_principal(kim);
    let made = emotion.post("/emotion/sessions", json!({})).await.assert_status(201);
    let said = json!({ "session_id": made.text("/session_id"), "user_input": "내일 발표가 있어서 너무 불안해요" });
    emotion.post("/emotion/steps/generate", said).await.assert_status(200);
    let path = format!("/emotion/sessions/{}/summary", made.text("/session_id"));
    let card = emotion.get(&path).await.assert_status(200);
    let saved = emotion.post(&format!("{path}/memo"), json!({})).await.assert_status(201);
    let again = emotion.post(&format!("{path}/memo"), json!({})).await.assert_status(200);
    assert_eq!(saved.json, again.json);
    let memo = house.memo.as_principal(kim).get(&format!("/memo/{}", saved.text("/memo_id"))).await.assert_status(200);
    assert!(memo.text("/content").contains(card.text("/title")));
    assert_eq!((memo.text("/tags/0"), memo.text("/category")), ("감정", "emotion"));
    assert_eq!(memo.text("/metadata/emotion_session_id"), made.text("/session_id"));
    house.emotion.as_principal(house.somebody()).post(&format!("{path}/memo"), json!({})).await.assert_status(404);
}
