//! The demo sessions of a development machine.

use chassis::config::Environment;
use domain::{
    demo,
    ids::{LoginId, UserId},
    principal::{Principal, Role},
};
use serde_json::json;
use session::{
    app::App,
    development::{self, Command},
};

use crate::{SESSIONS, config, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_twice_is_once_and_gives_the_demo_person_a_timer_to_start() {
    let (stage, app) = start().await;
    for _ in 0..2 {
        let seeding = App::new(config(&stage), stage.clock.clone()).unwrap();
        development::run(seeding, Command::Seed).await.unwrap();
    }
    let login_id: LoginId = stage.clock.id();
    let demo = app.as_principal(Principal { user_id: UserId(demo::USER.id), login_id, role: Role::User });
    let list = demo.get(SESSIONS).await.assert_status(200);
    assert_eq!(list.header("x-total-count"), "2");
    for session in list.json.as_array().unwrap() {
        let start = format!("{SESSIONS}/{}/timer/start", session["id"].as_str().unwrap());
        demo.post(&start, json!({})).await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_seeded_outside_development() {
    let (stage, app) = start().await;
    let mut config = config(&stage);
    config.base.common.environment = Environment::Production;
    let seeding = App::new(config, stage.clock.clone()).unwrap();
    assert!(development::run(seeding, Command::Seed).await.is_err());
    assert_eq!(app.as_user().get(SESSIONS).await.header("x-total-count"), "0");
}
