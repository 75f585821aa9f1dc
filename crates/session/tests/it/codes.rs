//! Session codes are unique by constraint, however many are drawn at once.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use domain::{principal::Service, session::SessionCode};
use session::{app::App, sessions::codes::Codes};
use testkit::{Stage, TestApp};

use crate::{SESSIONS, config, talk};

/// Serves `maru-session` with codes of the test's choice.
async fn start_with(draw: impl Fn() -> u8 + Send + Sync + 'static) -> (Stage, TestApp) {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let mut app = App::new(config(&stage), stage.clock.clone()).unwrap();
    app.codes = Codes::from_fn(move || Ok(SessionCode::draw([draw(); 6]).unwrap()));
    let served = stage.serve(app.listen().unwrap());
    (stage, served)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_draws_a_taken_code_draws_again() {
    let draws = Arc::new(AtomicU8::new(0));
    // Every code is drawn three times.
    let (_stage, app) = start_with(move || draws.fetch_add(1, Ordering::SeqCst) / 3).await;
    let kim = app.as_user();
    let post = || async {
        kim.post(SESSIONS, talk("마루 발표")).await.assert_status(201).text("/session_code").to_owned()
    };
    let (a, b, c, d) = tokio::join!(post(), post(), post(), post());
    let mut codes = [a, b, c, d];
    codes.sort_unstable();
    let mut distinct = codes.to_vec();
    distinct.dedup();
    assert_eq!(distinct, codes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_drawn_code_is_taken_it_says_503_and_makes_nothing() {
    let (_stage, app) = start_with(|| 0).await;
    let kim = app.as_user();
    let first = kim.post(SESSIONS, talk("마루 발표")).await.assert_status(201);
    assert_eq!(first.text("/session_code"), "222222");
    let second = kim.post(SESSIONS, talk("마루 발표")).await.assert_problem(503, "unavailable");
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(kim.get(SESSIONS).await.header("x-total-count"), "1");
}
