//! All keys of people's tokens, and the key that the gateways sign with, are changed while people use them.
//!
//! In three rolling restarts, as the handbook has it: everybody gets to know the new key, then it is used, then the old
//! one is forgotten. Nobody notices the first two, and the third only who still has something of the old key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use chassis::{
    clock::Clock,
    token::{KeyPair, Signer},
};
use domain::principal::Service;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    attacks::say,
    load::{Asks, Doors, Load},
    person::{PASSWORD, Person},
    stack::Stack,
    staff::Staff,
};

/// People who use their tokens without a pause, each with an account of their own.
const PEOPLE: usize = 6;
/// The services that are given other keys, those that are asked before those that ask.
const PARTS: [&str; 3] = ["auth", "session", "gateway"];
/// How long a process still answers everything after it was asked to stop, milliseconds.
const DRAIN_DELAY: &str = "2000";

/// What somebody has of the old keys.
struct Old {
    /// Signed in. The tokens of this login are not exchanged by its owner.
    person: Person,
    refresh_token: String,
    /// A session of theirs, and its code.
    session: String,
    code: String,
    /// Somebody with a place in it.
    guest: Person,
}

impl Old {
    async fn of(gateway: &str, email: &str) -> Self {
        let stranger = Person::stranger(gateway);
        let body = json!({ "name": "새 사람", "email": email, "password": PASSWORD });
        let made = stranger.post("/register", body).await.ok(201);
        let person = stranger.with_token(&made.text("/access_token"));
        let opened = person.post("/api/v1/sessions", json!({ "title": "open to guests" })).await.ok(201);
        let (session, code) = (opened.text("/id"), opened.text("/session_code"));
        person.post(&format!("/api/v1/sessions/{session}/activate"), json!({})).await.ok(200);
        let joined = stranger.post(&join_path(&code), json!({ "display_name": "손님" })).await.ok(201);
        let guest = stranger.with_token(&joined.text("/participant_token"));
        Self { person, refresh_token: made.text("/refresh_token"), session, code, guest }
    }

    /// Shows the access token, the participant's token and the refresh token, and returns the statuses of the answers.
    async fn show(&self, gateway: &str) -> [u16; 3] {
        let refresh = json!({ "refresh_token": self.refresh_token });
        [
            self.person.at(gateway).get("/user/me").await.status,
            self.guest.at(gateway).post(&ticket_path(&self.session), json!({})).await.status,
            self.person.signed_out().at(gateway).post("/auth/refresh", refresh).await.status,
        ]
    }
}

fn join_path(code: &str) -> String {
    format!("/api/v1/sessions/code/{code}/join")
}

fn ticket_path(session: &str) -> String {
    format!("/api/v1/sessions/{session}/stream-ticket")
}

/// Somebody who exchanges their tokens in every round, has a guest, and goes on with what they have of the old keys.
struct Somebody {
    old: Old,
    does_old_count: Arc<AtomicBool>,
    person: Person,
    refresh_token: String,
}

impl Somebody {
    async fn new(gateway: &str, email: &str, does_old_count: &Arc<AtomicBool>) -> Self {
        let old = Old::of(gateway, email).await;
        let login =
            old.person.signed_out().post("/login", json!({ "email": email, "password": PASSWORD })).await.ok(200);
        let person = old.person.with_token(&login.text("/access_token"));
        Self { old, does_old_count: Arc::clone(does_old_count), person, refresh_token: login.text("/refresh_token") }
    }
}

impl Asks for Somebody {
    async fn round(&mut self, doors: &Doors) -> Result<(), String> {
        let nobody = self.person.signed_out();
        let refresh = json!({ "refresh_token": self.refresh_token });
        let exchanged = doors.ask(&nobody, Method::POST, "/auth/refresh", Some(refresh)).await?;
        self.refresh_token = exchanged.text("/refresh_token");
        self.person = nobody.with_token(&exchanged.text("/access_token"));
        doors.ask(&self.person, Method::GET, "/user/me", None).await?;
        doors.ask(&self.person, Method::GET, "/api/v1/sessions", None).await?;

        let (session, ticket) = (&self.old.session, ticket_path(&self.old.session));
        let name = json!({ "display_name": "손님" });
        let joined = doors.ask(&nobody, Method::POST, &join_path(&self.old.code), Some(name)).await?;
        let guest = nobody.with_token(&joined.text("/participant_token"));
        doors.ask(&guest, Method::POST, &ticket, Some(json!({}))).await?;
        let place = format!("/api/v1/sessions/{session}/participants/{}", joined.text("/participant/id"));
        doors.ask(&guest, Method::DELETE, &place, None).await?;

        if self.does_old_count.load(Relaxed) {
            doors.ask(&self.old.person, Method::GET, "/user/me", None).await?;
            doors.ask(&self.old.guest, Method::POST, &ticket, Some(json!({}))).await?;
        }
        Ok(())
    }
}

/// A secret that is changed: its variable, and who is told it.
struct Secret {
    variable: &'static str,
    parts: &'static [&'static str],
    old: String,
    new: String,
}

impl Secret {
    fn new(staff: &Staff<'_>, variable: &'static str, parts: &'static [&'static str]) -> Self {
        let clock = Clock::system();
        let new = format!("{}{}", clock.uuid().simple(), clock.uuid().simple());
        Self { variable, parts, old: staff.told(parts[0], variable), new }
    }

    fn tell(&self, staff: &mut Staff<'_>, current: &str, previous: &str) {
        for part in self.parts {
            staff.tell(part, self.variable, current);
            staff.tell(part, &format!("{}_PREVIOUS", self.variable), previous);
        }
    }
}

/// The keys before and after.
struct Keys {
    secrets: [Secret; 2],
    /// The public keys of all processes, with the gateways' old key, both, and the new one.
    public: [String; 3],
    old: Signer,
    new: Signer,
    new_pem: String,
}

impl Keys {
    fn new(staff: &Staff<'_>) -> Self {
        let pair = KeyPair::generate("gateway.2").expect("a key pair");
        let before: Value = serde_json::from_str(&staff.told("auth", "INTERNAL_PUBLIC_KEYS")).expect("a key set");
        let added: Value = serde_json::from_str(&pair.public_jwks).expect("a key set");
        let [mut both, mut after] = [before.clone(), before.clone()];
        for set in [&mut both, &mut after] {
            set["keys"].as_array_mut().expect("keys").push(added["keys"][0].clone());
        }
        after["keys"].as_array_mut().expect("keys").retain(|key| key["kid"] != "gateway.1");
        let signer = |kid, pem: String| Signer::new(Service::Gateway, kid, &pem.into()).expect("a signer");
        let new_pem = pair.private_pem.expose_secret().to_owned();
        Self {
            secrets: [
                Secret::new(staff, "JWT_SECRET", &["auth", "gateway"]),
                Secret::new(staff, "PARTICIPANT_SECRET", &["session"]),
            ],
            public: [before, both, after].map(|set| set.to_string()),
            old: signer("gateway.1", staff.told("gateway", "INTERNAL_SIGNING_KEY")),
            new: signer("gateway.2", new_pem.clone()),
            new_pem,
        }
    }

    /// Everybody gets to know the new keys, and nothing is signed with them.
    fn make_known(&self, staff: &mut Staff<'_>) {
        for secret in &self.secrets {
            secret.tell(staff, &secret.old, &secret.new);
        }
        self.publish(staff, 1);
    }

    /// The new keys are used; what the old ones signed counts.
    fn take_into_use(&self, staff: &mut Staff<'_>) {
        for secret in &self.secrets {
            secret.tell(staff, &secret.new, &secret.old);
        }
        staff.tell("gateway", "INTERNAL_SIGNING_KEY", &self.new_pem);
        staff.tell("gateway", "INTERNAL_SIGNING_KID", "gateway.2");
    }

    fn forget_the_old(&self, staff: &mut Staff<'_>) {
        for secret in &self.secrets {
            secret.tell(staff, &secret.new, "");
        }
        self.publish(staff, 2);
    }

    fn publish(&self, staff: &mut Staff<'_>, at: usize) {
        for part in ["auth", "session"] {
            staff.tell(part, "INTERNAL_PUBLIC_KEYS", &self.public[at]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_are_changed_under_load_and_what_the_old_ones_signed_counts_until_they_are_forgotten() {
    let stack = Stack::up_with("", &[("DRAIN_DELAY_MS", DRAIN_DELAY)]);
    let mut staff = Staff::of(&stack, &PARTS, 2);
    let keys = Keys::new(&staff);
    staff.start().await;
    let (gateways, probes) = (staff.urls("gateway"), staff.probes("gateway"));
    let doors = Doors::new(&gateways, &probes);
    let [first, second] = [0, 1].map(|number| format!("old{number}@example.com"));
    let (old, also_old) = (Old::of(&gateways[0], &first).await, Old::of(&gateways[1], &second).await);
    let does_old_count = Arc::new(AtomicBool::new(true));
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(Somebody::new(doors.ready(), &format!("keys{number}@example.com"), &does_old_count).await);
    }
    let load = Load::start(&doors, people);
    load.goes_on("the start").await;
    count(&staff, &keys, [true, false]).await;
    let begun = Instant::now();

    keys.make_known(&mut staff);
    roll(&mut staff, &load, "knowing").await;
    count(&staff, &keys, [true, true]).await;
    keys.take_into_use(&mut staff);
    roll(&mut staff, &load, "using").await;
    count(&staff, &keys, [true, true]).await;
    assert_eq!(also_old.show(&gateways[0]).await, [200; 3], "what the old keys signed counts");

    // From here on everybody has tokens of the new keys.
    does_old_count.store(false, Relaxed);
    load.goes_on("the exchange of all tokens").await;
    keys.forget_the_old(&mut staff);
    roll(&mut staff, &load, "forgetting").await;
    count(&staff, &keys, [false, true]).await;
    for gateway in &gateways {
        assert_eq!(old.show(gateway).await, [401; 3], "what the old keys signed is worth nothing");
    }
    load.goes_on("the change").await;
    let answered = load.finish().await;
    say(&format!("three keys changed in {:.1?}: {answered} requests answered, none lost", begun.elapsed()));
}

/// Starts everybody anew, one after the other.
async fn roll(staff: &mut Staff<'_>, load: &Load, why: &str) {
    for part in PARTS {
        staff.roll(part, async || load.goes_on(&format!("{why} at {part}")).await).await;
    }
}

/// Goes around the gateways, with a token that is signed by their old key and one that is signed by the new one, and
/// compares which of them count.
async fn count(staff: &Staff<'_>, keys: &Keys, expected: [bool; 2]) {
    for (service, part) in [(Service::Auth, "auth"), (Service::Session, "session")] {
        for url in staff.urls(part) {
            let counts = async |signer: &Signer| {
                let token = signer.mint(service, None, Clock::system().now()).expect("a token");
                // A path that is nobody's, which only somebody who is known is told.
                Person::stranger(&url).with_token(&token).get("/nowhere").await.status == 404
            };
            assert_eq!([counts(&keys.old).await, counts(&keys.new).await], expected, "at {part}");
        }
    }
}
