//! People who look on by a socket, and what they are told when it ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::SocketIo;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    attacks::say,
    load::Doors,
    person::Person,
    stack::{GATEWAY, Stack, text},
};

/// Sockets of a channel at each gateway: enough for one of them to be at the process that stops.
const SOCKETS: usize = 4;
/// Sockets of a sale at each gateway: so many that it takes a while to send them away.
const CROWD: usize = 60;
/// The close code of a service that stops: RFC 6455 calls it going away, and every client connects again.
const GOING_AWAY: u16 = 1001;
/// Longest for somebody to be let in, with everybody else, on a slow machine.
const IN_WITHIN: Duration = Duration::from_secs(30);
/// How long somebody waits for the end of their socket; less than it may be silent.
const PATIENCE: Duration = Duration::from_secs(9);

/// Something to look at.
#[derive(Clone)]
pub(crate) enum Channel {
    /// A session's stage.
    Stage(Person, String),
    /// A conversation with the companion.
    Companion(Person),
    /// A sale. So many people look at it because one may do so by 32 sockets only.
    Sale(Arc<[Person]>),
}

impl Channel {
    /// Returns one of each kind.
    pub(crate) async fn all(stack: &Stack, kim: &Person) -> Vec<Self> {
        let session = kim.post("/api/v1/sessions", json!({ "title": "watched" })).await.ok(201).text("/id");
        let tokens = text(&stack.dev(&["tokens", "--count", "10"]));
        let tokens = tokens.lines().filter_map(|line| line.split_once('\t'));
        let people = tokens.map(|(_, token)| kim.with_token(token)).collect();
        vec![Self::Stage(kim.clone(), session), Self::Companion(kim.clone()), Self::Sale(people)]
    }

    /// Returns those that end with a process of a part: all of them pass through the gateways.
    pub(crate) fn of(all: &[Self], part: &str) -> Vec<Self> {
        all.iter().filter(|channel| part == GATEWAY || channel.part() == part).cloned().collect()
    }

    /// Returns which service is behind it.
    const fn part(&self) -> &'static str {
        match self {
            Self::Stage(..) => "session",
            Self::Companion(_) => "emotion",
            Self::Sale(_) => "ticketing",
        }
    }

    /// Returns how many look at it, at each gateway.
    const fn crowd(&self) -> usize {
        match self {
            Self::Sale(_) => CROWD,
            Self::Stage(..) | Self::Companion(_) => SOCKETS,
        }
    }

    /// Opens it, for one of those who look at it, who has seen something of it then.
    async fn open(&self, gateway: &str, nth: usize) -> Open {
        match self {
            Self::Stage(person, session) => {
                let mut socket = person.at(gateway).socket(&format!("/ws/sessions/{session}")).await;
                assert_eq!(socket.next_json().await["type"], "snapshot");
                Open::Plain(socket)
            }
            Self::Companion(person) => {
                let mut socket = person.at(gateway).socket(&format!("/ws/emotion?user_id={}", person.id)).await;
                assert!(socket.next_json().await["session_id"].is_string());
                Open::Plain(socket)
            }
            Self::Sale(people) => {
                let person = &people[nth % people.len()];
                let addr = gateway.trim_start_matches("http://").parse().expect("an address");
                let token = person.token.as_deref();
                let auth = json!({ "token": token });
                Open::SocketIo(SocketIo::connect(addr, token, Some(&auth)).await.expect("let in"))
            }
        }
    }
}

/// An open socket.
enum Open {
    Plain(testkit::Socket),
    SocketIo(SocketIo),
}

impl Open {
    /// Waits for its end and returns the close code that came with it.
    async fn told(self) -> Option<u16> {
        match self {
            Self::Plain(socket) => socket.closed().await,
            // Its client does not look at the code: whatever ends the connection, it connects again.
            Self::SocketIo(mut socket) => {
                socket.closed().await;
                Some(GOING_AWAY)
            }
        }
    }
}

/// People who look on.
pub(crate) struct Onlookers {
    all: Vec<Onlooker>,
    something_happens: CancellationToken,
}

struct Onlooker {
    channel: Channel,
    nth: usize,
    gateway: usize,
    end: JoinHandle<Option<End>>,
}

/// The end of a socket.
struct End {
    told: Option<u16>,
    at: Instant,
}

impl Onlookers {
    /// Has some look on at each channel, through each gateway.
    pub(crate) async fn at(gateways: &[&str], channels: &[Channel]) -> Self {
        let (opened, mut all_opened) = mpsc::unbounded_channel();
        let something_happens = CancellationToken::new();
        let mut onlookers = Vec::new();
        for (gateway, url) in gateways.iter().enumerate() {
            let everybody = channels.iter().flat_map(|channel| (0..channel.crowd()).map(move |nth| (channel, nth)));
            for (channel, nth) in everybody {
                let (url, shown, opened) = ((*url).to_owned(), channel.clone(), opened.clone());
                let something_happens = something_happens.clone();
                #[expect(clippy::disallowed_methods, reason = "joined or aborted below")]
                let end = tokio::spawn(async move {
                    let socket = shown.open(&url, nth).await;
                    opened.send(()).expect("somebody counts");
                    something_happens.cancelled().await;
                    let told = timeout(PATIENCE, socket.told()).await.ok()?;
                    Some(End { told, at: Instant::now() })
                });
                onlookers.push(Onlooker { channel: channel.clone(), nth, gateway, end });
            }
        }
        for _ in &onlookers {
            timeout(IN_WITHIN, all_opened.recv()).await.expect("everybody is let in");
        }
        Self { all: onlookers, something_happens }
    }

    /// Has them wait for their ends from now on.
    pub(crate) fn wait(&self) {
        self.something_happens.cancel();
    }

    /// Of a service of which one process has stopped: those who looked on there were told so, and come back at once.
    /// Returns how many they were.
    pub(crate) async fn those_who_were_told(self, doors: &Doors) -> usize {
        let (told, left): (Vec<_>, Vec<_>) = self.all.into_iter().partition(|onlooker| onlooker.end.is_finished());
        leave(left);
        let ends = come_back(told, doors).await;
        assert!(ends.iter().all(|told| *told == Some(GOING_AWAY)), "{ends:?}");
        ends.len()
    }

    /// Of gateways of which one has stopped: everybody's socket there has ended, nobody's at the others, and they come
    /// back at once. Returns how many they were.
    pub(crate) async fn all_of(self, gateway: usize, doors: &Doors) -> usize {
        let (there, elsewhere): (Vec<_>, Vec<_>) =
            self.all.into_iter().partition(|onlooker| onlooker.gateway == gateway);
        for Onlooker { end, .. } in elsewhere {
            // Who still waits was not sent away, nor was who has waited in vain.
            let has_ended = end.is_finished() && end.await.expect("somebody who looks on").is_some();
            assert!(!has_ended, "a socket of the other gateway ended");
        }
        let before = there.len();
        let ends = come_back(there, doors).await;
        assert_eq!(ends.len(), before, "a socket outlived its gateway");
        assert!(ends.iter().all(|told| *told == Some(GOING_AWAY)), "{ends:?}");
        before
    }
}

fn leave(onlookers: Vec<Onlooker>) {
    for onlooker in onlookers {
        onlooker.end.abort();
    }
}

/// Returns what each was told at the end of their socket, and opens it again, all at once.
async fn come_back(ended: Vec<Onlooker>, doors: &Doors) -> Vec<Option<u16>> {
    let (mut all, mut when, mut back) = (Vec::new(), Vec::new(), JoinSet::new());
    for Onlooker { channel, nth, end, .. } in ended {
        let Some(End { told, at }) = end.await.expect("somebody who looks on") else { continue };
        all.push(told);
        when.push(at);
        let gateway = doors.ready().to_owned();
        back.spawn(async move { drop(channel.open(&gateway, nth).await) });
    }
    timeout(IN_WITHIN, back.join_all()).await.expect("everybody is let in again");
    // That nobody is sent away with all the others is shown where a clock can be held still: a busy machine sees them
    // together.
    if let (Some(first), Some(last)) = (when.iter().min(), when.iter().max()) {
        say(&format!("{} sockets ended within {:.1?}", all.len(), last.duration_since(*first)));
    }
    all
}
