//! A buyer's app as a good one is: it asks until it knows what has become of what it asked for, always with the same key.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::{clock::Clock, token::Signer};
use domain::principal::{Principal, Role, Service};
use reqwest::Method;
use serde_json::Value;

use super::tally::Tally;
use crate::{
    attacks::{hostile::Chance, things::claims},
    person::{Answer, Person},
    stack::Stack,
};

/// Longest until a request has its answer, whatever was killed meanwhile and however slow the machine is.
const PATIENCE: Duration = Duration::from_mins(2);
/// The first pause before a request is sent again; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
/// How often the pause is doubled at most, which makes it 1.3 s.
const DOUBLINGS: usize = 5;

/// Where the sale is reached.
pub(super) struct Doors {
    gateways: Vec<Person>,
    replicas: Vec<Person>,
    /// The gateways' own key, for whoever goes straight to a replica.
    signer: Signer,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    Gateway(usize),
    Replica(usize),
}

impl Doors {
    pub(super) fn new(stack: &Stack) -> Self {
        let urls = stack.status["services"]["ticketing"].as_array().expect("addresses").iter();
        let urls = urls.map(|url| url.as_str().expect("an address").trim_end_matches('/'));
        let key = stack.secrets()["signing_keys"]["gateway"].as_str().expect("a key").to_owned();
        Self {
            gateways: stack.gateways().into_iter().map(Person::stranger).collect(),
            replicas: urls.map(Person::stranger).collect(),
            signer: Signer::new(Service::Gateway, "gateway.1", &key.into()).expect("a signer"),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) body: Value,
    pub(super) key: String,
}

/// Somebody who buys, with an account of their own.
pub(super) struct Client {
    pub(super) number: usize,
    token: String,
    principal: Principal,
    doors: Arc<Doors>,
    event: String,
    tally: Arc<Tally>,
}

impl Client {
    pub(super) fn new(number: usize, token: &str, doors: Arc<Doors>, event: &str, tally: Arc<Tally>) -> Self {
        let claims = claims(token);
        let id = |name: &str| claims[name].as_str().expect("an id").to_owned();
        let principal = Principal {
            user_id: id("sub").parse().expect("an id"),
            login_id: id("sid").parse().expect("an id"),
            role: Role::User,
        };
        Self { number, token: token.to_owned(), principal, doors, event: event.to_owned(), tally }
    }

    pub(super) fn user(&self) -> String {
        self.principal.user_id.to_string()
    }

    /// Returns the door of this person: one of the gateways, but every eighth goes around them, to one replica and no
    /// other.
    pub(super) fn door(&self) -> Door {
        match (self.number % 8, self.number / 8) {
            (7, turn) => Door::Replica(turn % self.doors.replicas.len()),
            _ => Door::Gateway(self.number % self.doors.gateways.len()),
        }
    }

    /// Returns another way to the same sale.
    pub(super) fn other_door(&self) -> Door {
        match self.door() {
            Door::Gateway(number) => Door::Gateway((number + 1) % self.doors.gateways.len()),
            Door::Replica(number) => Door::Replica((number + 1) % self.doors.replicas.len()),
        }
    }

    /// Asks until it is known what has become of it.
    pub(super) async fn settle(&self, door: Door, ask: &Ask) -> Answer {
        self.settle_counting(door, ask).await.0
    }

    /// Asks until it is known what has become of it, and says how often it had to ask again. Who is not let in asks to be,
    /// and goes on.
    pub(super) async fn settle_counting(&self, door: Door, ask: &Ask) -> (Answer, usize) {
        let (begun, mut again) = (Instant::now(), 0);
        for attempt in 0.. {
            let (answer, retries) = self.persist(door, Method::POST, &ask.path, Some((&ask.body, &ask.key))).await;
            again += retries;
            if answer.json["code"] != "not_admitted" {
                return (answer, again + attempt);
            }
            self.tally.retried("not_admitted");
            assert!(begun.elapsed() < PATIENCE, "buyer {} is not let in", self.number);
            let check = format!("/api/v1/queue/check/{}", self.event);
            self.persist(door, Method::POST, &check, None).await.0.ok(200);
            pause(self.number, attempt).await;
        }
        unreachable!("numbers do not end")
    }

    /// Looks at something until it is shown or refused.
    pub(super) async fn look(&self, path: &str) -> Answer {
        self.persist(self.door(), Method::GET, path, None).await.0
    }

    /// Posts without a key, to what happens once in any case.
    pub(super) async fn post(&self, path: &str) -> Answer {
        self.persist(self.door(), Method::POST, path, None).await.0
    }

    async fn persist(&self, door: Door, method: Method, path: &str, sent: Option<(&Value, &str)>) -> (Answer, usize) {
        let begun = Instant::now();
        for attempt in 0.. {
            let told = match self.ask(door, method.clone(), path, sent).await {
                Ok(answer) if is_final(&answer) => return (answer, attempt),
                Ok(answer) => {
                    let code = answer.json["code"].as_str().unwrap_or("none").to_owned();
                    assert_ne!(answer.status, 500, "{path}: {}", answer.json);
                    format!("{} {code}", answer.status)
                }
                Err(error) if error.is_timeout() => "no answer in time".to_owned(),
                Err(_cut_or_refused) => "no connection".to_owned(),
            };
            assert!(begun.elapsed() < PATIENCE, "buyer {}: {path} ends in {told} at {door:?}", self.number);
            self.tally.retried(&told);
            pause(self.number, attempt).await;
        }
        unreachable!("numbers do not end")
    }

    async fn ask(
        &self,
        door: Door,
        method: Method,
        path: &str,
        sent: Option<(&Value, &str)>,
    ) -> Result<Answer, reqwest::Error> {
        let person = match door {
            Door::Gateway(number) => self.doors.gateways[number].with_token(&self.token),
            Door::Replica(number) => {
                // Good for a minute, so each request has its own, as the gateway does it.
                let now = Clock::system().now();
                let minted = self.doors.signer.mint(Service::Ticketing, Some(self.principal), now);
                self.doors.replicas[number].with_token(&minted.expect("a token"))
            }
        };
        let mut request = person.request(method, path);
        if let Some((body, key)) = sent {
            request = request.header("idempotency-key", key).json(body);
        }
        person.try_request(request).await
    }
}

/// Returns whether an answer says what has become of a request, so that there is nothing to ask again.
fn is_final(answer: &Answer) -> bool {
    let is_under_way = answer.status == 409
        && ["idempotency_in_progress", "payment_in_progress"].iter().any(|c| answer.json["code"] == *c);
    !is_under_way && !matches!(answer.status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Waits before the next try, a bit differently for everybody.
pub(super) async fn pause(number: usize, attempt: usize) {
    let seed = u64::try_from(number * 1_000 + attempt).expect("a small number");
    let doubled = FIRST_PAUSE * (1 << attempt.min(DOUBLINGS));
    let part = u32::try_from(Chance::new(seed).below(50)).expect("a small number");
    tokio::time::sleep(doubled * (75 + part) / 100).await;
}
