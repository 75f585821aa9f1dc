//! Every process is asked to stop while people use it, one after the other: nobody's request is lost, and who looks on by
//! a socket is told to come back.

use std::time::Instant;

use reqwest::Method;
use serde_json::json;
use testkit::eventually;

use crate::{
    attacks::say,
    load::{Asks, Doors, LONG, Load},
    onlookers::{Channel, Onlookers},
    person::Person,
    stack::{GATEWAY, PARTS, SEVERAL_OF_EACH, Stack},
};

/// People who ask without a pause.
const PEOPLE: usize = 6;
/// How long a process still answers everything after it was asked to stop. A cluster has three seconds and more for word
/// of it to get around; here the gateways' probes are asked ten times a second.
const DRAIN_DELAY: &str = "2000";

/// Reads and writes in every room.
struct Everywhere {
    person: Person,
    event: String,
}

impl Asks for Everywhere {
    async fn round(&mut self, doors: &Doors) -> Result<(), String> {
        let check = format!("/api/v1/queue/check/{}", self.event);
        for (method, path, body) in [
            (Method::GET, "/user/me", None),
            (Method::GET, "/api/v1/events", None),
            (Method::POST, check.as_str(), None),
            (Method::POST, "/memo", Some(json!({ "content": "under load" }))),
            (Method::POST, "/api/v1/sessions", Some(json!({ "title": "under load" }))),
            (Method::GET, "/emotion/sessions", None),
        ] {
            doors.ask(&self.person, method, path, body).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_process_is_replaced_under_load_and_no_request_is_lost() {
    let stack = Stack::up_with(SEVERAL_OF_EACH, &[("DRAIN_DELAY_MS", DRAIN_DELAY)]);
    let gateways = stack.gateways();
    let doors = Doors::new(&gateways, &stack.probes());
    let kim = Person::register(gateways[0], "kim@example.com").await;
    let event = kim.get("/api/v1/events?status=on_sale").await.ok(200).text("/events/0/id");
    let channels = Channel::all(&stack, &kim).await;
    let people = (0..PEOPLE).map(|_| Everywhere { person: kim.clone(), event: event.clone() });
    let load = Load::start(&doors, people.collect());
    load.goes_on("the start").await;

    let begun = Instant::now();
    let mut replaced = 0;
    for part in PARTS {
        let (watched, mut told) = (Channel::of(&channels, part), 0);
        for (place, process) in stack.pids(part).into_iter().enumerate() {
            let onlookers = Onlookers::at(&gateways, &watched).await;
            Stack::signal(process, "-TERM");
            onlookers.wait();
            is_replaced(&stack, part, place, process).await;
            load.goes_on(&format!("the end of {part} {process}")).await;
            told += if part == GATEWAY {
                onlookers.all_of(place, &doors).await
            } else {
                onlookers.those_who_were_told(&doors).await
            };
            replaced += 1;
        }
        assert_eq!(told == 0, watched.is_empty(), "who looked on at {part} was not told");
        say(&format!("{part} is replaced after {:.1?}; {told} sockets ended and came back", begun.elapsed()));
    }
    let answered = load.finish().await;
    say(&format!("{replaced} processes replaced in {:.1?}: {answered} requests answered, none lost", begun.elapsed()));
}

/// Waits until another process stands in the place of `process`, which was asked to stop, and is ready.
async fn is_replaced(stack: &Stack, part: &str, place: usize, process: i32) {
    let probe = Person::stranger(stack.probes_of(part)[place]);
    eventually(LONG, || async {
        let now = Stack::pids_in(&stack.state(), part);
        now.len() == stack.probes_of(part).len() && !now.contains(&process)
    })
    .await;
    eventually(LONG, || async {
        let answer = probe.try_send(Method::GET, "/readyz", None).await;
        answer.is_ok_and(|answer| answer.status == 200)
    })
    .await;
}
