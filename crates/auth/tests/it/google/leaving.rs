//! The end of an account that has no password.

use std::time::Duration;

use serde_json::json;

use super::Scene;
use crate::{outside::count, principal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_with_google_of_the_last_fifteen_minutes_is_proof_enough() {
    let scene = Scene::new().await;
    let first = scene.enter().await.assert_status(200);
    let kim = scene.app.as_principal(principal(&scene.stage, &first));
    scene.stage.clock.advance(Duration::from_secs(15 * 60 + 1));
    kim.delete("/user/me").await.assert_problem(403, "proof_needed");
    let guess = kim.request(reqwest::Method::DELETE, "/user/me").json(&json!({ "password": "" }));
    kim.send(guess).await.assert_problem(409, "no_password");

    let again = scene.app.as_principal(principal(&scene.stage, &scene.enter().await.assert_status(200)));
    // The old one is not made younger by that.
    kim.delete("/user/me").await.assert_problem(403, "proof_needed");
    scene.stage.clock.advance(Duration::from_mins(15));
    again.delete("/user/me").await.assert_status(202);
    assert_eq!(scene.mail.wait_for("kim@gmail.com").await.subject(), "[Maru] 계정을 삭제합니다");
    assert_eq!((count(&scene.stage, "users").await, count(&scene.stage, "identities").await), (0, 0));

    // Whoever comes back is a newcomer.
    let back = scene.enter().await.assert_status(200);
    assert_ne!(back.text("/user/id"), first.text("/user/id"));
}
