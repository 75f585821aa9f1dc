//! What is somebody else's.

use std::{collections::BTreeSet, time::Duration};

use chassis::{access::AccessTokens, clock::Clock};
use domain::principal::{Principal, Role};
use reqwest::RequestBuilder;
use serde_json::Value;
use testkit::Socket;

use super::{
    House,
    operations::{ELSEWHERE, Entry, Reach, entries},
    things::{claims, method},
};
use crate::{
    person::{Answer, Person},
    stack::Stack,
};

/// Nobody but its owner gets at an object, and nobody learns whether it is there: for others it is what one that never
/// was is. Every operation of the document is in the table, and every one that needs somebody refuses nobody and
/// whoever was somebody.
pub(super) async fn attack_23_what_is_somebody_elses_is_not_there(house: &House) {
    every_operation_is_in_the_table(house);
    let expired = house.kim.with_token(&expired_token(&house.stack, &house.kim));
    let never_there = entries(&house.kims.unknown());
    for (entry, missing) in entries(&house.kims).iter().zip(&never_there) {
        let Entry { name, works, .. } = entry;
        if let Reach::Public(_) | Reach::Socket = entry.reach {
            continue;
        }
        if *name != "POST /auth/logout" {
            assert_eq!(call(&house.kim.signed_out(), entry).await.status, 401, "{name}: nobody");
        }
        call(&expired, entry).await.problem(401, "invalid_token");
        match entry.reach {
            Reach::Object { others } => {
                let there = refused(&house.lee, entry, others).await;
                assert_eq!(refused(&house.admin, entry, others).await, there, "{name}");
                assert_eq!(refused(&house.organizer, entry, others).await, there, "{name}");
                assert_eq!(
                    refused(&house.lee, missing, others).await,
                    there,
                    "{name}: what is there is told from what is not"
                );
                let own = call(&house.kim, entry).await;
                assert_eq!(own.status, *works, "{name}: its owner, {}", own.json);
            }
            Reach::Organizer { others } => organizers_have_their_own(house, entry, missing, others).await,
            Reach::Stream => {
                let there = refused(&house.lee, entry, 404).await;
                assert_eq!(refused(&house.lee, missing, 404).await, there, "{name}");
            }
            _ if entry.method() == "GET" => nothing_of_others(house, entry).await,
            _ => {}
        }
    }
}

/// What only organizers may do is for no person, and with an event of one's own for no other organizer.
async fn organizers_have_their_own(house: &House, entry: &Entry, missing: &Entry, others: Option<u16>) {
    for person in [&house.kim, &house.lee] {
        assert_eq!(refused(person, entry, 403).await.1, "forbidden", "{}", entry.name);
    }
    if let Some(status) = others {
        let there = refused(&house.other_organizer, entry, status).await;
        for organizer in [&house.other_organizer, &house.organizer, &house.admin] {
            assert_eq!(refused(organizer, missing, status).await, there, "{}: unknown ids", entry.name);
        }
    } else if entry.method() == "GET" {
        let seen = call(&house.other_organizer, entry).await.ok(entry.works);
        let text = String::from_utf8_lossy(&seen.body);
        for trace in house.kims.traces() {
            assert!(!text.contains(trace), "{} shows {trace} to another organizer: {text}", entry.name);
        }
    }
    let own = call(&house.organizer, entry).await;
    assert_eq!(own.status, entry.works, "{}: its organizer, {}", entry.name, own.json);
}

fn every_operation_is_in_the_table(house: &House) {
    let documented: BTreeSet<String> = house.api.operations().into_iter().map(|operation| operation.name).collect();
    let entries_here = entries(&house.kims);
    let here = entries_here.iter().map(|entry| entry.name);
    let table: BTreeSet<String> = here.chain(ELSEWHERE).map(str::to_owned).collect();
    let unknown: Vec<_> = documented.difference(&table).collect();
    assert!(unknown.is_empty(), "say in attacks/operations.rs whose things these touch: {unknown:?}");
    let gone: Vec<_> = table.difference(&documented).collect();
    assert!(gone.is_empty(), "no longer documented, or not let through by the gateway: {gone:?}");
    for entry in entries(&house.kims) {
        let operations = house.api.operations();
        let operation = operations.iter().find(|operation| operation.name == entry.name).expect("it is documented");
        match entry.reach {
            Reach::Public(why) => {
                assert!(!why.is_empty() && !operation.needs_somebody(), "{}: documented to need somebody", entry.name);
            }
            _ => assert!(operation.needs_somebody(), "{}: documented for everybody", entry.name),
        }
    }
}

async fn refused(person: &Person, entry: &Entry, status: u16) -> (u16, Value) {
    let answer = call(person, entry).await;
    assert_eq!(answer.status, status, "{}: {}", entry.name, answer.json);
    answer.sound(entry.name);
    (answer.status, answer.json["code"].clone())
}

/// A list is its reader's own, whoever else has something.
async fn nothing_of_others(house: &House, entry: &Entry) {
    for (person, others) in [(&house.kim, &house.lees), (&house.lee, &house.kims), (&house.admin, &house.kims)] {
        let answer = call(person, entry).await;
        let works = if entry.may_be_missing && answer.status == 404 { 404 } else { entry.works };
        let answer = answer.ok(works);
        let text = String::from_utf8_lossy(&answer.body);
        for trace in others.traces() {
            assert!(!text.contains(trace), "{} shows {trace}, which is somebody else's: {text}", entry.name);
        }
    }
}

/// Calls an operation as its table has it.
pub(super) async fn call(person: &Person, entry: &Entry) -> Answer {
    person.send(request(person, entry)).await
}

/// Begins the call of an operation.
pub(super) fn request(person: &Person, entry: &Entry) -> RequestBuilder {
    let request = person.request(method(entry.method()), &entry.target);
    match &entry.body {
        Some(body) => request.json(body),
        None => request,
    }
}

/// Makes a token that was somebody's, and that has run out a minute ago; all else about it is right.
pub(super) fn expired_token(stack: &Stack, person: &Person) -> String {
    let secrets = stack.secrets();
    let tokens = AccessTokens::new(&secrets["jwt_secret"].as_str().expect("a secret").to_owned().into());
    let claims = claims(person.token.as_deref().expect("signed in"));
    let id = |name: &str| claims[name].as_str().expect("an id").to_owned();
    let principal = Principal {
        user_id: id("sub").parse().expect("an id"),
        login_id: id("sid").parse().expect("an id"),
        role: Role::User,
    };
    let life = Duration::from_mins(10);
    let issued_at = Clock::system().now() - life - Duration::from_mins(1);
    tokens.issue(principal, 0, issued_at, life).expect("a token")
}

/// A conversation's socket opens for its owner, under the owner's own id.
pub(super) async fn attack_23_a_socket_is_its_owners(house: &House) {
    let House { kim, lee, kims, .. } = house;
    let addr = house.stack.gateway().trim_start_matches("http://").parse().expect("an address");
    let own = format!("/ws/emotion?user_id={}", kim.id);
    let talk = format!("{own}&session_id={}", kims.conversation);
    let borrowed = format!("/ws/emotion?user_id={}&session_id={}", lee.id, kims.conversation);
    let refused = [(lee, &own, 4403), (lee, &talk, 4403), (lee, &borrowed, 4404), (&house.admin, &talk, 4403)];
    for (person, path, code) in refused {
        assert_eq!(person.socket(path).await.closed().await, Some(code), "{path}");
    }
    assert_eq!(Socket::open(addr, &talk, None, &[]).await.closed().await, Some(4401));
    let expired = kim.with_token(&expired_token(&house.stack, kim));
    let upgrade = expired.request(method("GET"), &talk).header("connection", "upgrade").header("upgrade", "websocket");
    expired.send(upgrade).await.problem(401, "invalid_token");
    assert_eq!(kim.socket(&talk).await.next_json().await["session_id"], kims.conversation.as_str());
    let cursor = format!("/emotion/sessions/user/{}?cursor={}", lee.id, kims.conversation);
    lee.get(&cursor).await.problem(422, "invalid");
}
