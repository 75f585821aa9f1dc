//! What the auth service asks every other service about a person: to show and to erase them.

use chassis::client::CallError;
use domain::{
    contract::{UserErasure, UserExport},
    ids::UserId,
    principal::{Principal, Role, Service},
};
use serde_json::json;

use crate::rooms::{House, Room};

async fn export(room: &Room, caller: Service, person: UserId) -> Result<UserExport, CallError> {
    room.as_seen_by(caller).get(None, &["internal", "users", &person.to_string(), "export"]).await
}

async fn erase(room: &Room, caller: Service, person: UserId) -> Result<UserErasure, CallError> {
    room.as_seen_by(caller).delete(None, &["internal", "users", &person.to_string()]).await
}

fn is_not_found<T>(answer: &Result<T, CallError>) -> bool {
    matches!(answer, Err(CallError::Refused(view)) if view.status == 404 && view.code == "not_found")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_shows_and_erases_a_person_at_the_auth_services_word() {
    let house = House::open().await;
    let person = house.somebody();
    house.settle_in(person).await;
    for room in house.rooms() {
        let shown = export(room, Service::Auth, person.user_id).await.unwrap();
        assert_eq!((shown.service, shown.data.get("truncated")), (room.service, Some(&json!(false))));
        let made = usize::from(room.service != Service::Ticketing);
        let rows = |data: &serde_json::Value| {
            let parts = data.as_object().unwrap().values();
            parts.filter_map(serde_json::Value::as_array).map(Vec::len).sum::<usize>()
        };
        assert_eq!(rows(&shown.data), made, "{}", room.service);

        let erased = erase(room, Service::Auth, person.user_id).await.unwrap();
        // The key of what somebody wrote is a thing of its own to be erased.
        let keys = usize::from(room.service == Service::Emotion);
        assert_eq!((erased.service, erased.is_finished, erased.erased.len()), (room.service, true, made + keys));
        let again = erase(room, Service::Auth, person.user_id).await.unwrap();
        assert_eq!((again.is_finished, again.erased.len()), (true, 0), "{}", room.service);
        assert_eq!(rows(&export(room, Service::Auth, person.user_id).await.unwrap().data), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_services_key_opens_neither() {
    let house = House::open().await;
    let person = house.somebody();
    house.settle_in(person).await;
    let others = [Service::Gateway, Service::Session, Service::Ticketing, Service::Emotion, Service::Memo];
    for room in house.rooms() {
        for caller in others {
            assert!(is_not_found(&export(room, caller, person.user_id).await), "{caller} to {}", room.service);
            assert!(is_not_found(&erase(room, caller, person.user_id).await), "{caller} to {}", room.service);
        }
    }
    for (room, made) in [(&house.session, 1), (&house.emotion, 2), (&house.memo, 1)] {
        assert_eq!(erase(room, Service::Auth, person.user_id).await.unwrap().erased.len(), made, "{}", room.service);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_person_opens_either_whoever_they_are() {
    let house = House::open().await;
    let person = house.somebody();
    // The gateway passes a person on; however important they are, this is none of their routes.
    let admin = Principal { role: Role::Admin, ..person };
    for room in house.rooms() {
        let path = format!("/internal/users/{}", person.user_id);
        room.as_principal(admin).delete(&path).await.assert_problem(404, "not_found");
        room.as_principal(admin).get(&format!("{path}/export")).await.assert_problem(404, "not_found");
    }
}
