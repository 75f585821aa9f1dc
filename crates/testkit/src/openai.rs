//! An OpenAI-compatible server whose replies follow a script, to be slow, broken or silent on command.
//!
//! It speaks real HTTP on loopback: `POST /v1/chat/completions`, streamed and not, and `GET /v1/models`; `PUT /script` sets
//! what streamed replies follow from then on. What it writes is
//! decided by a seed, so that a test can compare what arrived with what was sent. It keeps every request, what was sent of
//! its reply, and when the client hung up: that shows whether a stop reached it. It runs on a thread of its own, so that
//! a busy test does not slow it, and as the program `maru-scripted-llm` for a whole stack. Nothing here shares code with
//! what it tests.

mod reply;
mod script;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::Instant,
};

pub use self::script::{Finish, Script, words};

/// How the reply to a request ended, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is being sent.
    Open,
    /// All that the script says was sent.
    Sent,
    /// The client hung up before, then.
    Dropped(Instant),
}

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The body.
    pub body: Value,
    /// The `Authorization` header.
    pub authorization: String,
    /// When it came.
    pub at: Instant,
    /// The text of the reply that was sent so far.
    pub sent: String,
    /// How it ended.
    pub ending: Ending,
}

impl Recorded {
    /// Returns the texts of the messages of a role, in their order.
    pub fn messages(&self, role: &str) -> Vec<String> {
        let all = self.body.get("messages").and_then(Value::as_array).into_iter().flatten();
        let theirs = all.filter(|message| message.get("role").and_then(Value::as_str) == Some(role));
        theirs.filter_map(|message| message.get("content")?.as_str().map(ToOwned::to_owned)).collect()
    }

    /// Returns whether a streamed reply was asked for.
    pub fn is_streamed(&self) -> bool {
        self.body.get("stream").and_then(Value::as_bool).unwrap_or_default()
    }
}

/// What the server and its handle share.
#[derive(Default)]
struct State {
    scripts: Mutex<Scripts>,
    requests: Mutex<Vec<Recorded>>,
    /// Whether requests are kept: a load test has too many.
    keeps: bool,
    live: AtomicUsize,
    asked: AtomicUsize,
    chunks: AtomicUsize,
}

#[derive(Default)]
struct Scripts {
    next: VecDeque<Script>,
    always: Script,
    next_answer: VecDeque<Script>,
    always_answer: Script,
}

impl State {
    fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the script of a request: its own, the next one that waits, or the usual one.
    fn script_for(&self, own: Option<Script>, is_streamed: bool) -> Script {
        let mut scripts = self.scripts();
        own.unwrap_or_else(|| {
            if is_streamed {
                scripts.next.pop_front().unwrap_or_else(|| scripts.always.clone())
            } else {
                scripts.next_answer.pop_front().unwrap_or_else(|| scripts.always_answer.clone())
            }
        })
    }

    fn stats(&self) -> Value {
        json!({
            "requests": self.asked.load(Ordering::Relaxed),
            "live": self.live.load(Ordering::Relaxed),
            "chunks": self.chunks.load(Ordering::Relaxed),
        })
    }
}

/// A running server; it stops, and its connections close, when this is dropped.
pub struct OpenAiServer {
    addr: SocketAddr,
    state: Arc<State>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OpenAiServer {
    /// Starts a server on a free port that keeps every request.
    pub fn start() -> Self {
        Self::start_at(0, true)
    }

    /// Starts a server on a port, which may keep the requests it gets.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn start_at(port: u16, keeps: bool) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a free port of loopback");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let addr = listener.local_addr().expect("the address that was just bound");
        let state = Arc::new(State { keeps, ..State::default() });
        let (stop, stopped) = watch::channel(());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("scripted-llm".to_owned())
            .spawn(move || runtime.block_on(accept(listener, shared, stopped)))
            .expect("a thread");
        Self { addr, state, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns its base address, as `OPENAI_BASE_URL` has it.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Has the next streamed reply follow a script; several wait for one request each.
    pub fn next(&self, script: impl Into<Script>) {
        self.state.scripts().next.push_back(script.into());
    }

    /// Has every streamed reply follow a script for which none of [`next`](Self::next) waits.
    pub fn always(&self, script: impl Into<Script>) {
        self.state.scripts().always = script.into();
    }

    /// Has the next answer that is not streamed follow a script.
    pub fn next_answer(&self, script: impl Into<Script>) {
        self.state.scripts().next_answer.push_back(script.into());
    }

    /// Has every answer that is not streamed follow a script for which none of [`next_answer`](Self::next_answer) waits.
    pub fn always_answer(&self, script: impl Into<Script>) {
        self.state.scripts().always_answer = script.into();
    }

    /// Returns every request so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.requests().clone()
    }

    /// Returns the requests of replies that are streamed.
    pub fn streamed(&self) -> Vec<Recorded> {
        self.requests().into_iter().filter(Recorded::is_streamed).collect()
    }

    /// Returns how many replies are being sent.
    pub fn live(&self) -> usize {
        self.state.live.load(Ordering::Acquire)
    }
}

impl Drop for OpenAiServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Whatever it ended with, the test is over.
            _ = thread.join();
        }
    }
}

/// Accepts until it is stopped. Connections belong to this future and end with it.
async fn accept(listener: std::net::TcpListener, state: Arc<State>, mut stopped: watch::Receiver<()>) {
    let listener = TcpListener::from_std(listener).expect("a listener of this runtime");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(converse(stream, Arc::clone(&state)));
            },
            Some(_ended) = connections.join_next() => {}
            _ = stopped.changed() => return,
        }
    }
}

async fn converse(stream: TcpStream, state: Arc<State>) {
    _ = stream.set_nodelay(true);
    let answer = service_fn(|request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(reply::serve(state, request).await) }
    });
    // Half of a connection that is closed ends it here: a client that hangs up is noticed while nothing is sent.
    _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
