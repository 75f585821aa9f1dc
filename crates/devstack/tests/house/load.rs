//! People who ask without a pause while processes come and go.
//!
//! Nobody stands in front of the gateways of one machine, so each app does here what a Service does in a cluster: it asks
//! a gateway that says it is ready, and goes to another one when its connection is refused, which is before anything was
//! sent. Nothing else is forgiven, but to a machine that stood still meanwhile: limits of a second are broken by that, and
//! not by a process that was replaced.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;
use testkit::eventually;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    attacks::say,
    person::{Answer, Person},
};

/// How often a gateway is asked whether it is ready: some times in the time that it still answers everything.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// Longest for a process to stop, another one to start, and everybody to go on, on a slow machine under load.
pub(crate) const LONG: Duration = Duration::from_secs(90);
/// How often it is looked whether the machine stands still, and when it is said to.
const BLINK: Duration = Duration::from_millis(50);
const STOOD_STILL: Duration = Duration::from_millis(350);
/// How long what was begun before can still suffer from it.
const SHAKEN: Duration = Duration::from_secs(5);
/// How often everybody must have asked for everything until work is said to go on.
const ROUNDS: usize = 2;

/// The gateways, and which of them are ready.
pub(crate) struct Doors {
    all: Vec<Door>,
    turn: AtomicUsize,
    answered: AtomicUsize,
    stood_still: Mutex<Option<Instant>>,
}

struct Door {
    gateway: String,
    probe: Person,
    is_ready: AtomicBool,
}

impl Doors {
    /// Takes the addresses of gateways and, in the same order, of their probes.
    pub(crate) fn new(gateways: &[impl AsRef<str>], probes: &[impl AsRef<str>]) -> Arc<Self> {
        let pairs = gateways.iter().zip(probes);
        let doors = pairs.map(|(gateway, probe)| Door {
            gateway: gateway.as_ref().to_owned(),
            probe: Person::stranger(probe.as_ref()),
            is_ready: AtomicBool::new(true),
        });
        let (turn, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { all: doors.collect(), turn, answered, stood_still: Mutex::default() })
    }

    /// Returns a gateway that is ready.
    pub(crate) fn ready(&self) -> &str {
        self.in_turn()[0]
    }

    /// Asks, and takes nothing but a success for an answer.
    pub(crate) async fn ask(
        &self,
        person: &Person,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, String> {
        let answer = self.ask_once(person, method.clone(), path, body.clone()).await;
        let Err(lost) = &answer else { return answer };
        // Whoever looks at the clock was held up as well, and is to be heard first.
        sleep(STOOD_STILL).await;
        if !self.is_shaken() {
            return answer;
        }
        say(&format!("the machine stood still, and is asked again after {lost}"));
        self.ask_once(person, method, path, body).await
    }

    async fn ask_once(
        &self,
        person: &Person,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, String> {
        let mut refused = None;
        for gateway in self.in_turn() {
            match person.at(gateway).try_send(method.clone(), path, body.clone()).await {
                Ok(answer) if answer.status < 300 => {
                    self.answered.fetch_add(1, Relaxed);
                    return Ok(answer);
                }
                Ok(answer) => return Err(format!("{method} {path}: {} {}", answer.status, answer.json)),
                Err(error) if error.is_connect() => refused = Some(error),
                Err(error) => return Err(format!("{method} {path}: {error:?}")),
            }
        }
        Err(format!("{method} {path}: refused everywhere, {refused:?}"))
    }

    /// Returns the gateways in the order in which they are asked: by turns, and those that are ready first.
    fn in_turn(&self) -> Vec<&str> {
        let (turn, count) = (self.turn.fetch_add(1, Relaxed), self.all.len());
        let mut doors: Vec<_> = (0..count).map(|nth| &self.all[(turn + nth) % count]).collect();
        doors.sort_by_key(|door| !door.is_ready.load(Relaxed));
        doors.into_iter().map(|door| door.gateway.as_str()).collect()
    }

    fn is_shaken(&self) -> bool {
        let at = *self.stood_still.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() < SHAKEN)
    }

    /// Notes when nothing here has run for a while that should have.
    async fn witness(&self) {
        loop {
            let before = Instant::now();
            sleep(BLINK).await;
            if before.elapsed() > STOOD_STILL {
                *self.stood_still.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
        }
    }

    async fn watch(&self) {
        loop {
            for door in &self.all {
                let answer = door.probe.try_send(Method::GET, "/readyz", None).await;
                door.is_ready.store(answer.is_ok_and(|answer| answer.status == 200), Relaxed);
            }
            sleep(PROBE_EVERY).await;
        }
    }
}

/// Somebody who asks for the same things again and again.
pub(crate) trait Asks: Send + 'static {
    /// Asks for everything once; says what was not answered as it should be.
    fn round(&mut self, doors: &Doors) -> impl Future<Output = Result<(), String>> + Send;
}

/// People who ask until they are told to stop.
pub(crate) struct Load {
    doors: Arc<Doors>,
    crowd: Arc<Crowd>,
    people: JoinSet<()>,
    _watch: JoinSet<()>,
}

/// What is known of them.
struct Crowd {
    is_over: AtomicBool,
    /// Of each, how often they have asked for everything.
    rounds: Vec<AtomicUsize>,
    lost: Mutex<Vec<String>>,
}

impl Load {
    /// Has people ask.
    pub(crate) fn start<P: Asks>(doors: &Arc<Doors>, people: Vec<P>) -> Self {
        let rounds = people.iter().map(|_| AtomicUsize::new(0)).collect();
        let crowd = Arc::new(Crowd { is_over: AtomicBool::new(false), rounds, lost: Mutex::default() });
        let mut asking = JoinSet::new();
        for (place, mut person) in people.into_iter().enumerate() {
            let (doors, crowd) = (Arc::clone(doors), Arc::clone(&crowd));
            asking.spawn(async move {
                while !crowd.is_over.load(Relaxed) {
                    if let Err(lost) = person.round(&doors).await {
                        crowd.lost.lock().unwrap_or_else(PoisonError::into_inner).push(lost);
                    }
                    crowd.rounds[place].fetch_add(1, Relaxed);
                }
            });
        }
        let mut watch = JoinSet::new();
        let watched = Arc::clone(doors);
        watch.spawn(async move { tokio::join!(watched.watch(), watched.witness()).0 });
        Self { doors: Arc::clone(doors), crowd, people: asking, _watch: watch }
    }

    /// Waits until everybody has asked for everything once more from beginning to end.
    pub(crate) async fn goes_on(&self, after: &str) {
        let counts = || self.crowd.rounds.iter().map(|rounds| rounds.load(Relaxed)).collect::<Vec<_>>();
        let before = counts();
        eventually(LONG, || async {
            self.nothing_is_lost(after);
            counts().iter().zip(&before).all(|(now, before)| *now >= before + ROUNDS)
        })
        .await;
    }

    /// Has everybody finish; returns how many requests were answered.
    pub(crate) async fn finish(mut self) -> usize {
        self.crowd.is_over.store(true, Relaxed);
        let ended = async {
            while let Some(person) = self.people.join_next().await {
                person.expect("who asks does so to the end");
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("everybody gets an answer");
        self.nothing_is_lost("the end");
        self.doors.answered.load(Relaxed)
    }

    fn nothing_is_lost(&self, after: &str) {
        let lost = self.crowd.lost.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(lost.is_empty(), "lost after {after}: {lost:#?}");
    }
}
