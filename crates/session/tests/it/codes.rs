//! Session codes are unique by constraint, however many are drawn at once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use diesel_async::SimpleAsyncConnection;
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

/// Draws codes of two letters only: there are 64 of them.
fn two_letters(seed: &AtomicU64) -> SessionCode {
    // A step of a linear congruential generator; its upper bits are well mixed.
    let number = seed
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |number| {
            Some(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
        })
        .unwrap();
    SessionCode::draw((0..6).map(|place| u8::try_from(number >> (58 + place) & 1).unwrap())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_codes_each_is_given_out_once_however_many_ask_at_once() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let mut app = App::new(config(&stage), stage.clock.clone()).unwrap();
    let seed = AtomicU64::new(7);
    app.codes = Codes::from_fn(move || Ok(two_letters(&seed)));
    let app = stage.serve(app.listen().unwrap());
    let kim = app.as_user();
    let mut codes = BTreeSet::new();
    for round in 0.. {
        if codes.len() == 64 {
            break;
        }
        assert!(round < 50, "{} of 64 codes were given out", codes.len());
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let kim = kim.clone();
            asking.spawn(async move { kim.post(SESSIONS, talk("마루 발표")).await });
        }
        for answer in asking.join_all().await {
            if answer.status == 201 {
                assert!(codes.insert(answer.text("/session_code").to_owned()), "{}", answer.json);
            } else {
                answer.assert_problem(503, "unavailable");
            }
        }
    }
    kim.post(SESSIONS, talk("마루 발표")).await.assert_problem(503, "unavailable");
    assert_eq!(kim.get(SESSIONS).await.header("x-total-count"), "64");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_of_a_deleted_session_is_kept_back_for_a_week() {
    let (stage, app) = start_with(|| 0).await;
    let kim = app.as_user();
    let first = kim.post(SESSIONS, talk("마루 발표")).await.assert_status(201);
    let path = format!("{SESSIONS}/{}", first.text("/id"));
    kim.delete(&path).await.assert_status(204);
    kim.post(SESSIONS, talk("다른 발표")).await.assert_problem(503, "unavailable");
    let pass = |days: u8| {
        let pg = stage.pg();
        let text = format!("UPDATE session_codes SET released_at = released_at - interval '{days} days'");
        async move { pg.conn().await.unwrap().batch_execute(&text).await.unwrap() }
    };
    pass(6).await;
    let app = App::new(config(&stage), stage.clock.clone()).unwrap();
    assert_eq!(session::participants::prune::forget(&app).await.unwrap(), (0, 0));
    kim.post(SESSIONS, talk("다른 발표")).await.assert_problem(503, "unavailable");
    // Whether anybody has cleaned up is no matter.
    pass(2).await;
    let second = kim.post(SESSIONS, talk("다른 발표")).await.assert_status(201);
    assert_eq!(second.text("/session_code"), first.text("/session_code"));
    // It is in use again, and no cleaning gives it away.
    assert_eq!(session::participants::prune::forget(&app).await.unwrap(), (0, 0));
    kim.post(SESSIONS, talk("또 다른 발표")).await.assert_problem(503, "unavailable");
    kim.delete(&format!("{SESSIONS}/{}", second.text("/id"))).await.assert_status(204);
    pass(8).await;
    assert_eq!(session::participants::prune::forget(&app).await.unwrap(), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_is_being_given_up_is_not_given_out() {
    let (_stage, app) = start_with(|| 0).await;
    let kim = app.as_user();
    let first = kim.post(SESSIONS, talk("마루 발표")).await.assert_status(201);
    let path = format!("{SESSIONS}/{}", first.text("/id"));
    let make = || kim.post(SESSIONS, talk("다른 발표"));
    let (deleted, a, b, c) = tokio::join!(kim.delete(&path), make(), make(), make());
    deleted.assert_status(204);
    for answer in [a, b, c] {
        answer.assert_problem(503, "unavailable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_codes_of_an_erased_person_are_kept_back_too() {
    let (_stage, app) = start_with(|| 0).await;
    let kim = app.as_user();
    kim.post(SESSIONS, talk("마루 발표")).await.assert_status(201);
    app.as_service(Service::Auth).delete(&format!("/internal/users/{}", kim.user_id)).await.assert_status(200);
    app.as_user().post(SESSIONS, talk("다른 발표")).await.assert_problem(503, "unavailable");
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
