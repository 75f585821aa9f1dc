//! Toss Payments, as far as a shop speaks with it, doing as the test says.
//!
//! It speaks real HTTP on a free port of loopback: confirm, cancel and look up, Basic authentication, idempotency keys
//! under which it repeats its first answer, errors included, and the error codes of the real one. What moves money
//! can be delayed, lost on the way back, declined or broken, one call at a time or until told otherwise. It keeps its own
//! books, so that a test can compare them with the shop's. Nothing here shares code with what it tests.

mod books;
mod reply;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::books::{Books, Entry};

/// The shop's secret key.
pub const SECRET_KEY: &str = "test_sk_maru";
/// The shop's client key.
pub const CLIENT_KEY: &str = "test_ck_maru";

/// What a provider can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `POST /v1/payments/confirm`.
    Confirm,
    /// `POST /v1/payments/{paymentKey}/cancel`.
    Cancel,
    /// `GET /v1/payments/{paymentKey}` and `GET /v1/payments/orders/{orderId}`.
    LookUp,
}

/// What happens to a call instead of what should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done; answers this status and code.
    Error(u16, &'static str),
    /// It is done; answers this status and code.
    DoneButError(u16, &'static str),
    /// It is done and answered this much later.
    Slow(Duration),
    /// It is done at once, and answered this much later.
    Late(Duration),
    /// It is done at once, and answered when [`let_go`](TossServer::let_go) says so.
    Held,
    /// It is done, and the answer breaks off in the middle.
    Cut,
    /// It is done, and answered with a page.
    Page,
    /// The buyer gets an account to pay into some day.
    Deposit,
}

/// Where a payment stands in the provider's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The purchase.
    pub order_id: String,
    /// `IN_PROGRESS`, `DONE`, `CANCELED`, `EXPIRED`, `WAITING_FOR_DEPOSIT`.
    pub status: &'static str,
    /// KRW that were taken, whether or not they went back.
    pub taken: i64,
    /// KRW that went back.
    pub returned: i64,
}

/// What the server and its handle share.
struct State {
    books: Mutex<Books>,
    script: Mutex<Script>,
    let_go: Notify,
}

#[derive(Default)]
struct Script {
    next: BTreeMap<Endpoint, VecDeque<Fault>>,
    always: BTreeMap<Endpoint, Fault>,
    calls: BTreeMap<Endpoint, usize>,
}

impl State {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running provider; it stops when this is dropped.
pub struct TossServer {
    addr: SocketAddr,
    state: Arc<State>,
    handle: ServerHandle,
}

impl TossServer {
    /// Starts a provider that nobody has consented to anything at.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port of loopback");
        let addr = listener.local_addr().expect("the address that was just bound");
        let state = Arc::new(State { books: Mutex::default(), script: Mutex::default(), let_go: Notify::new() });
        let shared = web::Data::from(Arc::clone(&state));
        let server =
            HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(reply::serve)))
                .workers(1)
                .disable_signals()
                .listen(listener)
                .expect("listen")
                .run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(server);
        Self { addr, state, handle }
    }

    /// Returns its base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Has a buyer consent to a purchase in the provider's window; returns the payment key that their page gets.
    pub fn consent(&self, order_id: &str, amount: i64) -> String {
        self.state.books().open(order_id, amount)
    }

    /// Has the provider's own desk give the money of a payment back.
    ///
    /// # Panics
    /// When there is no such payment.
    pub fn cancel_at_desk(&self, payment_key: &str) {
        self.state.books().entry(payment_key).expect("a payment").give_back();
    }

    /// Lets the time pass in which a consent can be confirmed.
    ///
    /// # Panics
    /// When there is no such payment.
    pub fn expire(&self, payment_key: &str) {
        let mut books = self.state.books();
        books.entry(payment_key).expect("a payment").status = Entry::EXPIRED;
    }

    /// Returns what the books say of a payment.
    ///
    /// # Panics
    /// When there is no such payment.
    pub fn booked(&self, payment_key: &str) -> Booked {
        self.state.books().entry(payment_key).expect("a payment").booked()
    }

    /// Returns what the books say of every payment.
    pub fn all_booked(&self) -> Vec<Booked> {
        self.state.books().all()
    }

    /// Writes the event that the provider sends about a payment, as it stands.
    ///
    /// # Panics
    /// When there is no such payment.
    pub fn event(&self, payment_key: &str) -> Value {
        let mut books = self.state.books();
        let payment = books.entry(payment_key).expect("a payment").body(payment_key);
        json!({ "eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-11-28T10:00:00.000000", "data": payment })
    }

    /// Has the next call meet a fault; several wait for one call each.
    pub fn next(&self, endpoint: Endpoint, fault: Fault) {
        self.state.script().next.entry(endpoint).or_default().push_back(fault);
    }

    /// Has every call meet a fault that meets none of [`next`](Self::next).
    pub fn always(&self, endpoint: Endpoint, fault: Fault) {
        self.state.script().always.insert(endpoint, fault);
    }

    /// Has a call be answered that is held, or the next one that will be.
    pub fn let_go(&self) {
        self.state.let_go.notify_one();
    }

    /// Has everything go well again.
    pub fn behave(&self) {
        let mut script = self.state.script();
        script.next.clear();
        script.always.clear();
    }

    /// Returns how often something was asked, whatever came of it.
    pub fn calls(&self, endpoint: Endpoint) -> usize {
        self.state.script().calls.get(&endpoint).copied().unwrap_or_default()
    }
}

impl Drop for TossServer {
    fn drop(&mut self) {
        let handle = self.handle.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { handle.stop(false).await });
        }
    }
}
