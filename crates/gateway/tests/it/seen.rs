//! The auth service hears which logins are at work.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::HttpResponse;
use chassis::{access::AccessTokens, clock::Clock};
use domain::{
    contract::{LoginSeen, LoginsSeen},
    principal::{Principal, Service},
};
use secrecy::SecretString;

use crate::{
    Caller, Stage,
    scripted::{of_its_own, serve},
    stage::Setting,
    tickets::person,
};

/// What an auth service heard, and whether it answers.
#[derive(Clone, Default)]
struct Heard {
    seen: Arc<Mutex<Vec<LoginSeen>>>,
    is_away: Arc<AtomicBool>,
}

impl Heard {
    fn serve(&self) -> SocketAddr {
        let heard = self.clone();
        serve(move |request, body| {
            if request.path() != "/internal/logins/seen" {
                return of_its_own(request).unwrap();
            }
            if heard.is_away.load(Ordering::SeqCst) {
                return HttpResponse::ServiceUnavailable().finish();
            }
            let told: LoginsSeen = serde_json::from_slice(body).unwrap();
            let noted = told.seen.len();
            heard.seen.lock().unwrap().extend(told.seen);
            HttpResponse::Ok().json(serde_json::json!({ "noted": noted }))
        })
    }

    fn counters_of(&self, principal: Principal) -> Vec<u32> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.login_id == principal.login_id).map(|seen| seen.refresh_counter).collect()
    }

    async fn eventually(&self, principal: Principal, counters: &[u32]) {
        testkit::eventually(Duration::from_secs(5), || async { self.counters_of(principal) == counters }).await;
    }
}

fn with_counter(stage: &Stage, principal: Principal, refresh_counter: u32) -> Caller {
    let tokens = AccessTokens::new(&SecretString::from("0123456789abcdef0123456789abcdef"));
    let token = tokens.issue(principal, refresh_counter, Clock::system().now(), Duration::from_mins(5)).unwrap();
    Caller { token: Some(token), ..stage.anonymous() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_told_within_a_second_and_not_for_every_request() {
    let (heard, principal) = (Heard::default(), person());
    let stage = Setting::default().with(Service::Auth, &[heard.serve()]).start().await;
    let first = with_counter(&stage, principal, 0);
    let started = Instant::now();
    for _ in 0..20 {
        first.get("/memo/list").await.assert_status(200);
    }
    heard.eventually(principal, &[0]).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let second = with_counter(&stage, principal, 1);
    for caller in [&second, &first, &second] {
        caller.get("/memo/list").await.assert_status(200);
    }
    heard.eventually(principal, &[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_of_who_did_not_come_in() {
    let (heard, principal) = (Heard::default(), person());
    let stage = Setting::default().with(Service::Auth, &[heard.serve()]).start().await;
    let forged = Caller { token: Some("forged".to_owned()), ..stage.anonymous() };
    forged.get("/memo/list").await.assert_status(401);
    with_counter(&stage, principal, 7).get("/memo/list").await.assert_status(200);
    heard.eventually(principal, &[7]).await;
    assert_eq!(heard.seen.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_heard_is_told_again() {
    let (heard, principal) = (Heard::default(), person());
    heard.is_away.store(true, Ordering::SeqCst);
    let stage = Setting::default().with(Service::Auth, &[heard.serve()]).start().await;
    with_counter(&stage, principal, 3).get("/memo/list").await.assert_status(200);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(heard.counters_of(principal).is_empty());
    heard.is_away.store(false, Ordering::SeqCst);
    heard.eventually(principal, &[3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_tells_what_it_knows() {
    let (heard, principal) = (Heard::default(), person());
    let stage = Setting::default().with(Service::Auth, &[heard.serve()]).start().await;
    with_counter(&stage, principal, 5).get("/memo/list").await.assert_status(200);
    stage.lifecycle.stop();
    assert!(stage.lifecycle.finished(Duration::from_secs(5)).await);
    assert_eq!(heard.counters_of(principal), [5]);
}
