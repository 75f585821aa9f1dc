//! What the gateway asks the auth service, and what the auth service makes of the others' answers.

use std::time::Duration;

use chassis::client::CallError;
use domain::{
    contract::{
        LoginSeen, LoginsNoted, LoginsSeen, Revocations, RevocationsSince, StreamTicket, TicketRedemption,
        TokenVerification, UserCard, VerifiedToken,
    },
    ids::UserId,
    principal::{Principal, Service},
};
use serde_json::{Value, json};
use testkit::{Answer, eventually};

use crate::rooms::{House, PASSWORD, Room};

/// Registers somebody, and reads who that is as the gateway does.
async fn register(auth: &Room, email: &str) -> (Principal, Answer) {
    let body = json!({ "name": "김마루", "email": email, "password": PASSWORD });
    let made = auth.as_nobody().post("/register", body).await.assert_status(201);
    (auth.principal(&made), made)
}

async fn revocations(auth: &Room, since: RevocationsSince) -> Revocations {
    auth.as_seen_by(Service::Gateway).get_with(None, &["internal", "revocations"], &since).await.unwrap()
}

fn is_not_found<T>(answer: &Result<T, CallError>) -> bool {
    matches!(answer, Err(CallError::Refused(view)) if view.status == 404 && view.code == "not_found")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_hears_which_logins_have_ended_since_it_asked() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let all = revocations(&auth, RevocationsSince::default()).await;
    assert!(all.revoked.is_empty());
    let (kim, _) = register(&auth, "kim@example.com").await;
    auth.as_principal(kim).post("/auth/logout", json!({})).await.assert_status(200);
    let news = revocations(&auth, RevocationsSince { since: all.as_of }).await;
    assert_eq!(news.revoked.iter().map(|ended| ended.login_id).collect::<Vec<_>>(), [kim.login_id]);
    // What is being committed while one asks may bear an earlier time, so it is told again for a while, and then not.
    house.clock().advance(Duration::from_mins(1));
    let later = revocations(&auth, RevocationsSince { since: news.as_of }).await;
    let as_of = revocations(&auth, RevocationsSince { since: later.as_of }).await;
    assert!(as_of.revoked.is_empty());
    assert_eq!(revocations(&auth, RevocationsSince::default()).await.revoked.len(), 1);
    house.clock().advance(Duration::from_hours(24));
    assert!(revocations(&auth, RevocationsSince::default()).await.revoked.is_empty(), "its tokens have ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_says_which_logins_it_sees_and_redeems_their_tickets() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let (kim, made) = register(&auth, "kim@example.com").await;
    let gateway = auth.as_seen_by(Service::Gateway);
    house.clock().advance(Duration::from_secs(90));
    let at = house.clock().now().into();
    let seen = LoginsSeen {
        seen: vec![
            LoginSeen { login_id: kim.login_id, refresh_counter: 0, at },
            LoginSeen { login_id: house.clock().id(), refresh_counter: 3, at },
        ],
    };
    let noted: LoginsNoted = gateway.post(None, &["internal", "logins", "seen"], &seen).await.unwrap();
    assert_eq!(noted.noted, 1);
    let list = auth.as_principal(kim).get("/auth/sessions").await.assert_status(200);
    assert_eq!(list.json[0]["last_seen_at"], json!(domain::time::rfc3339(house.clock().now())));

    let given = auth.as_principal(kim).post("/auth/ws-ticket", json!({})).await.assert_status(200);
    let ticket = TicketRedemption { ticket: given.text("/ticket").to_owned() };
    let path = ["internal", "ws-tickets", "redeem"];
    let holder: Principal = gateway.post(None, &path, &ticket).await.unwrap();
    assert_eq!(holder, kim);
    let again: Result<Principal, CallError> = gateway.post(None, &path, &ticket).await;
    assert!(matches!(again, Err(CallError::Refused(view)) if view.status == 401 && view.code == "invalid_ticket"));
    assert!(!made.text("/access_token").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_the_gateway_is_for_nobody_else() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let (kim, _) = register(&auth, "kim@example.com").await;
    let given = auth.as_principal(kim).post("/auth/ws-ticket", json!({})).await.assert_status(200);
    let ticket = TicketRedemption { ticket: given.text("/ticket").to_owned() };
    let path = ["internal", "ws-tickets", "redeem"];
    for caller in [Service::Session, Service::Ticketing, Service::Emotion, Service::Memo, Service::Auth] {
        let peer = auth.as_seen_by(caller);
        // These two have sockets of their own to close.
        if !matches!(caller, Service::Ticketing | Service::Emotion) {
            let revocations: Result<Revocations, _> = peer.get(None, &["internal", "revocations"]).await;
            assert!(is_not_found(&revocations), "{caller}");
        }
        let seen: Result<LoginsNoted, _> =
            peer.post(None, &["internal", "logins", "seen"], &LoginsSeen::default()).await;
        assert!(is_not_found(&seen), "{caller}");
        let holder: Result<Principal, _> = peer.post(None, &path, &ticket).await;
        assert!(is_not_found(&holder), "{caller}");
    }
    for path in ["/internal/ws-tickets/redeem", "/internal/logins/seen"] {
        auth.as_principal(kim).post(path, json!({ "ticket": ticket.ticket, "seen": [] })).await.assert_status(404);
    }
    // Nobody has used it up.
    let holder: Principal = auth.as_seen_by(Service::Gateway).post(None, &path, &ticket).await.unwrap();
    assert_eq!(holder, kim);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ticketing_service_learns_whose_a_token_is_and_that_its_login_has_ended() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let (kim, made) = register(&auth, "kim@example.com").await;
    let ticketing = auth.as_seen_by(Service::Ticketing);
    let path = ["internal", "tokens", "verify"];
    let token = TokenVerification { token: made.text("/access_token").to_owned() };
    let verified: VerifiedToken = ticketing.post(None, &path, &token).await.unwrap();
    assert_eq!(verified.principal, kim);
    let unknown: Result<VerifiedToken, _> =
        ticketing.post(None, &path, &TokenVerification { token: "made-up".to_owned() }).await;
    assert!(matches!(unknown, Err(CallError::Refused(view)) if view.status == 401 && view.code == "invalid_token"));
    auth.as_principal(kim).post("/auth/logout", json!({})).await.assert_status(200);
    let revocations: Revocations = ticketing.get(None, &["internal", "revocations"]).await.unwrap();
    assert!(revocations.revoked.iter().any(|revoked| revoked.login_id == kim.login_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_brings_what_every_service_has_of_a_person() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let (kim, _) = register(&auth, "kim@example.com").await;
    house.settle_in(kim).await;
    house.settle_in(house.somebody()).await;
    let export = auth.as_principal(kim).get("/user/me/export").await.assert_status(200);
    let services = export.json["services"].as_object().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["auth", "emotion", "memo", "session", "ticketing"]);
    assert_eq!(services["auth"]["account"]["email"], "kim@example.com");
    for (service, made) in [("session", 1), ("emotion", 1), ("memo", 1), ("ticketing", 0)] {
        assert_eq!(rows(&services[service]), made, "{service}: {}", services[service]);
    }
    let text = String::from_utf8(export.body).unwrap();
    assert_eq!(text.matches("가을 하늘").count(), 1, "one's own, and nobody else's");
}

/// Counts the things of a person in one service's part.
fn rows(data: &Value) -> usize {
    let parts = data.as_object().unwrap().values();
    parts.filter_map(Value::as_array).map(Vec::len).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_ends_when_every_service_has_nothing_left() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let (kim, _) = register(&auth, "kim@example.com").await;
    let other = house.somebody();
    house.settle_in(kim).await;
    house.settle_in(other).await;
    let nobody = auth.as_nobody();
    let leaving = auth.as_principal(kim);
    let body = json!({ "password": PASSWORD });
    let left = leaving.send(leaving.request(reqwest::Method::DELETE, "/user/me").json(&body)).await.assert_status(202);
    let path = format!("/auth/erasures/{}", left.text("/receipt_id"));
    eventually(Duration::from_secs(10), || async {
        // They are given some seconds to settle; a test does not wait for them.
        auth.execute("UPDATE outbox SET due_at = clock_timestamp() WHERE topic = 'erasure'").await;
        nobody.get(&path).await.json["finished_at"].is_string()
    })
    .await;
    let receipt = nobody.get(&path).await.assert_status(200);
    let parts = receipt.json["services"].as_array().unwrap();
    assert_eq!(parts.len(), 5);
    for part in parts {
        assert_eq!(part["status"], "finished", "{part}");
        let erased: u64 = part["erased"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        let made = match part["service"].as_str().unwrap() {
            "auth" | "emotion" => 2,
            "ticketing" => 0,
            _ => 1,
        };
        assert_eq!(erased, made, "{part}");
    }
    for room in house.rooms() {
        let about = async |person: Principal| {
            let id = person.user_id.to_string();
            let path = ["internal", "users", id.as_str(), "export"];
            let shown: domain::contract::UserExport = room.as_seen_by(Service::Auth).get(None, &path).await.unwrap();
            rows(&shown.data)
        };
        assert_eq!(about(kim).await, 0, "{}", room.service);
        assert_eq!(about(other).await, usize::from(room.service != Service::Ticketing), "{}", room.service);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_service_learns_a_persons_name_and_nobody_else_does() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let (kim, _) = register(&auth, "kim@example.com").await;
    let id = kim.user_id.to_string();
    let path = ["internal", "users", id.as_str(), "card"];
    let card: UserCard = auth.as_seen_by(Service::Session).get(None, &path).await.unwrap();
    assert!(!card.name.is_empty() && !card.name.contains('@'), "{card:?}");
    for caller in [Service::Gateway, Service::Ticketing, Service::Emotion, Service::Memo, Service::Auth] {
        let told: Result<UserCard, _> = auth.as_seen_by(caller).get(None, &path).await;
        assert!(is_not_found(&told), "{caller}");
    }
    auth.as_principal(kim).get(&format!("/internal/users/{id}/card")).await.assert_problem(404, "not_found");
    let nobody = house.clock().id::<UserId>().to_string();
    let told: Result<UserCard, _> =
        auth.as_seen_by(Service::Session).get(None, &["internal", "users", &nobody, "card"]).await;
    assert!(is_not_found(&told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_service_gets_a_stream_ticket_for_the_person_behind_it() {
    let house = House::open().await;
    let auth = house.open_auth().await;
    let (kim, _) = register(&auth, "kim@example.com").await;
    let session = auth.as_seen_by(Service::Session);
    let given: StreamTicket = session.post(Some(kim), &["auth", "ws-ticket"], &()).await.unwrap();
    assert_eq!(given.expires_in, 30);
    let shown = TicketRedemption { ticket: given.ticket };
    let path = ["internal", "ws-tickets", "redeem"];
    let holder: Principal = auth.as_seen_by(Service::Gateway).post(None, &path, &shown).await.unwrap();
    assert_eq!(holder, kim);
    let nobodys: Result<StreamTicket, CallError> = session.post(None, &["auth", "ws-ticket"], &()).await;
    assert!(matches!(nobodys, Err(CallError::Refused(view)) if view.status == 401));
}
