//! The house on Redis in cluster mode: what replicas share is shared although its keys live on three servers, and a server
//! that dies takes nothing along but what it held.

use std::time::Duration;

use chassis::{clock::Clock, token::Signer};
use domain::principal::{Principal, Role, Service};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Socket, SocketIo, eventually};

use crate::{
    attacks::things::claims,
    person::Person,
    stack::{CLUSTER, RECOVERY, Stack},
};

/// Longest until a replica has heard what happened at another, on a machine that is busy.
const SOON: Duration = Duration::from_secs(10);
/// A reply of two seconds, token by token.
const SLOW: &str = "ttft=50,itl=20,n=100";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_replicas_share_is_shared_over_three_servers_of_redis_and_outlives_one() {
    let arguments = [CLUSTER, "--scripted-llm", "--replicas=gateway=2,auth=2,ticketing=2,emotion=2"];
    let stack = Stack::up_as(&arguments, &[("OPENAI_MODEL", SLOW)]);
    assert!(stack.status["redis_url"].as_str().unwrap().starts_with("redis+cluster://"), "{}", stack.status);
    let [kim, lee, park] = ["kim", "lee", "park"].map(|name| format!("{name}@example.com"));
    let kim = Person::register(stack.gateway(), &kim).await;
    let lee = Person::register(stack.gateway(), &lee).await;
    let park = Person::register(stack.gateway(), &park).await;

    for event in [event(&stack).await, event(&stack).await] {
        line_up(&stack, &event, [&kim, &lee, &park]).await;
        look_on(&stack, &event, &kim, &lee).await;
    }
    hear_a_reply_to_its_end_elsewhere(&stack, &kim).await;
    leave_everywhere(&stack, &kim).await;

    let [node, ..] = stack.pids("redis_nodes")[..] else { panic!("three of them") };
    Stack::kill(node);
    eventually(RECOVERY, || async {
        let nodes = stack.pids("redis_nodes");
        nodes.len() == 3 && !nodes.contains(&node) && stack.is_well().await
    })
    .await;
    let event = event(&stack).await;
    line_up(&stack, &event, [&lee, &park, &Person::register(stack.gateway(), "choi@example.com").await]).await;
    look_on(&stack, &event, &lee, &park).await;
    leave_everywhere(&stack, &lee).await;
}

/// Puts an event on to which people are let in one at a time.
async fn event(stack: &Stack) -> String {
    let organizer = stack.demo_person("organizer").await;
    let event = json!({
        "title": "세 서버의 마루", "venue": "마루홀", "eventDate": "2090-12-25T18:00",
        "saleStartDate": "2020-01-01T00:00", "saleEndDate": "2090-12-25T17:00",
        "ticketTypes": [{ "name": "스탠딩", "price": 30_000, "totalQuantity": 100 }],
    });
    let event = organizer.post("/api/v1/admin/events", event).await.ok(201).text("/event/id");
    let settings = json!({ "mode": "auto", "threshold": 1 });
    organizer.try_send(Method::PUT, &queue("admin", &event), Some(settings)).await.unwrap().ok(200);
    event
}

fn queue(step: &str, event: &str) -> String {
    format!("/api/v1/queue/{step}/{event}")
}

/// Shows somebody to each replica of a service, as the gateway does.
fn at_replicas(stack: &Stack, service: Service, person: &Person) -> Vec<Person> {
    let token = person.token.as_deref().unwrap();
    let id = |name: &str| claims(token)[name].as_str().unwrap().to_owned();
    let principal =
        Principal { user_id: id("sub").parse().unwrap(), login_id: id("sid").parse().unwrap(), role: Role::User };
    let key = stack.secrets()["signing_keys"]["gateway"].as_str().unwrap().to_owned();
    let signer = Signer::new(Service::Gateway, "gateway.1", &key.into()).unwrap();
    let token = signer.mint(service, Some(principal), Clock::system().now()).unwrap();
    let urls = stack.status["services"][service.name()].as_array().unwrap().iter();
    urls.map(|url| person.at(url.as_str().unwrap().trim_end_matches('/')).with_token(&token)).collect()
}

/// Lines up at two replicas: there is one order, and who leaves makes room for the next.
async fn line_up(stack: &Stack, event: &str, people: [&Person; 3]) {
    let [first, second, third] = people.map(|person| at_replicas(stack, Service::Ticketing, person));
    let (check, status) = (queue("check", event), queue("status", event));
    assert_eq!(first[0].post(&check, json!({})).await.ok(200).text("/status"), "active");
    assert_eq!(second[1].post(&check, json!({})).await.ok(200).json["position"], 1);
    assert_eq!(third[0].post(&check, json!({})).await.ok(200).json["position"], 2);
    // Asked for again elsewhere it is the same place.
    assert_eq!(second[0].post(&check, json!({})).await.ok(200).json["position"], 1);
    first[1].post(&queue("leave", event), json!({})).await.ok(200);
    eventually(SOON, || async { second[0].get(&status).await.json["status"] == "active" }).await;
    eventually(SOON, || async { third[1].get(&status).await.json["position"] == 1 }).await;
}

/// Looks on at two replicas: everybody is counted, and sees everybody.
async fn look_on(stack: &Stack, event: &str, kim: &Person, lee: &Person) {
    let [kim, lee] = [kim, lee].map(|person| at_replicas(stack, Service::Ticketing, person));
    let (mut here, mut there) = (enter(&kim[0], event).await, enter(&lee[1], event).await);
    for socket in [&mut here, &mut there] {
        socket.hear_where("room-info", |info| info["userCount"] == 2).await;
    }
    drop(there);
    here.hear_where("room-info", |info| info["userCount"] == 1).await;
}

async fn enter(person: &Person, event: &str) -> SocketIo {
    let mut socket = SocketIo::connect(person.addr(), person.token.as_deref(), None).await.unwrap();
    let answer = socket.ask("join-event", &json!({ "eventId": event })).await;
    assert_eq!(answer["ok"], true, "{answer}");
    socket
}

/// Loses the connection in the middle of a reply, and hears the rest at the other replica.
async fn hear_a_reply_to_its_end_elsewhere(stack: &Stack, kim: &Person) {
    let replicas = at_replicas(stack, Service::Emotion, kim);
    let (mut here, conversation) = open(&replicas[0], "").await;
    here.send_json(&json!({ "user_input": "길게 말해 줘" })).await;
    let mut text = String::new();
    let (mut read, mut step) = (0, Value::Null);
    while read < 10 {
        let frame = here.next_json().await;
        text.push_str(frame["token"].as_str().unwrap_or_else(|| panic!("no token: {frame}")));
        (read, step) = (frame["seq"].as_u64().unwrap(), frame["step_id"].clone());
    }
    drop(here);
    let (mut there, _) = open(&replicas[1], &format!("&session_id={conversation}")).await;
    there.send_json(&json!({ "type": "resume", "step_id": step, "after": read })).await;
    let done = loop {
        let frame = there.next_json().await;
        match frame["token"].as_str() {
            Some(token) => text.push_str(token),
            None => break frame,
        }
    };
    assert_eq!((&done["done"], &done["step_id"]), (&json!(true), &step), "{done}");
    let kept = kim.get(&format!("/emotion/steps/{conversation}")).await.ok(200);
    assert_eq!(kept.text("/0/gpt_response"), text);
}

async fn open(person: &Person, more: &str) -> (Socket, String) {
    let mut socket = person.socket(&format!("/ws/emotion?user_id={}{more}", person.id)).await;
    let opened = socket.next_json().await;
    (socket, opened["session_id"].as_str().unwrap_or_else(|| panic!("{opened}")).to_owned())
}

/// Leaves at one gateway, and is gone at each before anybody asks the auth service again.
async fn leave_everywhere(stack: &Stack, person: &Person) {
    for gateway in stack.gateways() {
        person.at(gateway).get("/api/v1/sessions").await.ok(200);
    }
    person.post("/auth/logout", json!({})).await.ok(200);
    for gateway in stack.gateways() {
        let person = person.at(gateway);
        eventually(SOON, || async { person.get("/api/v1/sessions").await.status == 401 }).await;
    }
}
