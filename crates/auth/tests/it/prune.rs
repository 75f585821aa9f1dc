//! What has run out goes; what has not stays.

use std::time::Duration;

use auth::prune::prune;
use chrono::{DateTime, Utc};

use crate::{
    outside::{count, execute},
    register, start,
};

/// Writes a row of each kind that ends at a time.
async fn write(stage: &testkit::Stage, user: &str, at: DateTime<Utc>, purpose: &str) {
    let at = at.to_rfc3339();
    let hash = "sha256(gen_random_uuid()::text::bytea)";
    execute(
        stage,
        &format!(
            "INSERT INTO revoked_logins VALUES (gen_random_uuid(), now(), '{at}'); \
             INSERT INTO action_codes VALUES ('{user}', '{purpose}', gen_random_uuid(), 'kim@example.com', 0, '{at}'); \
             INSERT INTO oauth_states VALUES ({hash}, {hash}, 'https://maru.example.com', '{at}'); \
             INSERT INTO used_proofs VALUES ({hash}, '{at}')"
        ),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_run_out_is_deleted_and_nothing_else() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let now = stage.clock.now();
    write(&stage, made.text("/id"), now - Duration::from_secs(1), "verify_email").await;
    write(&stage, made.text("/id"), now + Duration::from_secs(1), "reset_password").await;
    prune(&stage.pg(), now).await.unwrap();
    for table in ["revoked_logins", "action_codes", "oauth_states", "used_proofs"] {
        assert_eq!(count(&stage, table).await, 1, "{table}");
    }
    assert_eq!(count(&stage, "action_codes WHERE purpose = 'reset_password'").await, 1);
    kim.get("/user/me").await.assert_status(200);
    prune(&stage.pg(), now + Duration::from_secs(2)).await.unwrap();
    for table in ["revoked_logins", "action_codes", "oauth_states", "used_proofs"] {
        assert_eq!(count(&stage, table).await, 0, "{table}");
    }
    assert_eq!((count(&stage, "users").await, count(&stage, "logins").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_kept_for_a_month_after_it_could_last_be_used() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    // A refresh token that is not used ends after 30 days; the access token has ended long before.
    let ends = stage.clock.now() + Duration::from_hours(30 * 24);
    let month = Duration::from_hours(30 * 24);
    prune(&stage.pg(), ends + month).await.unwrap();
    assert_eq!(count(&stage, "logins").await, 1);
    prune(&stage.pg(), ends + month + Duration::from_secs(1)).await.unwrap();
    assert_eq!((count(&stage, "logins").await, count(&stage, "users").await), (0, 1));
    kim.get("/user/me").await.assert_problem(401, "invalid_token");
}
