//! All that is known about a person, to take along.

use std::time::Duration;

use domain::principal::Service;
use serde_json::json;
use testkit::eventually;

use crate::{
    outside::count,
    register,
    rooms::{Reply, Rooms},
    start_with,
};

const EXPORT: &str = "/user/me/export";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_every_services_part_and_no_secret() {
    let rooms = Rooms::open();
    let (stage, app) = start_with(|config| rooms.point(config)).await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    eventually(Duration::from_secs(20), || async { count(&stage, "audit_log").await == 1 }).await;
    let export = kim.get(EXPORT).await.assert_status(200);
    assert_eq!(export.text("/user_id"), made.text("/id"));
    assert_eq!(export.text("/exported_at"), domain::time::rfc3339(stage.clock.now()));
    assert!(export.header("content-disposition").contains("attachment"));
    for service in ["session", "ticketing", "emotion", "memo"] {
        assert_eq!(export.json["services"][service], json!({ "things": [service] }));
    }
    let own = &export.json["services"]["auth"];
    assert_eq!((&own["account"]["email"], &own["account"]["name"]), (&json!("kim@example.com"), &json!("김마루")));
    assert_eq!(own["logins"][0]["id"], json!(kim.login_id));
    assert_eq!(own["events"][0]["action"], "registered");
    let text = String::from_utf8(export.body).unwrap();
    for secret in ["$argon2id$", "salt", "hash", made.text("/access_token"), made.text("/refresh_token")] {
        assert!(!text.contains(secret), "{secret}");
    }
    for room in &rooms.all {
        let calls = room.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].path, format!("/internal/users/{}/export", kim.user_id));
        assert!(calls[0].has_token);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_would_be_incomplete_is_none() {
    let rooms = Rooms::open();
    let (stage, app) = start_with(|config| rooms.point(config)).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    // A call is tried again once.
    rooms.of(Service::Emotion).will([Reply::Away, Reply::Away]);
    let answer = kim.get(EXPORT).await.assert_problem(503, "export_incomplete");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(answer.text("/service"), "emotion");
    // Healed by itself.
    kim.get(EXPORT).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_for_its_person_alone() {
    let rooms = Rooms::open();
    let (stage, app) = start_with(|config| rooms.point(config)).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    app.anonymous().get(EXPORT).await.assert_problem(401, "unauthenticated");
    // A person nobody knows here, and somebody who has logged out.
    app.as_user().get(EXPORT).await.assert_problem(401, "invalid_token");
    kim.post("/auth/logout", json!({})).await.assert_status(200);
    kim.get(EXPORT).await.assert_problem(401, "invalid_token");
    assert!(rooms.all.iter().all(|room| room.calls().is_empty()), "nobody was asked for them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_the_account_does_not_outlive_leaves_no_trace() {
    let rooms = Rooms::open();
    let (stage, app) = start_with(|config| rooms.point(config)).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    rooms.of(Service::Memo).will([Reply::Slow(Duration::from_secs(5))]);
    let leaving = async {
        eventually(Duration::from_secs(20), || async { !rooms.of(Service::Memo).calls().is_empty() }).await;
        let body = json!({ "password": crate::PASSWORD });
        kim.send(kim.request(reqwest::Method::DELETE, "/user/me").json(&body)).await
    };
    let asking = kim.request(reqwest::Method::GET, EXPORT).header("x-client-ip", "192.0.2.7");
    let (export, left) = tokio::join!(kim.send(asking), leaving);
    left.assert_status(202);
    export.assert_problem(401, "invalid_token");
    for table in ["audit_pending", "audit_log"] {
        let rows = crate::outside::dump(&stage, table).await.concat();
        assert!(!rows.contains("192.0.2.7") && !rows.contains("exported"), "{rows}");
    }
}
