//! The chain of what happened to accounts, and what becomes visible when somebody changes it.

use std::{collections::BTreeSet, time::Duration};

use auth::audit::chain;
use diesel_async::AsyncConnection;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use testkit::{Stage, TestApp, eventually};

use crate::{
    PASSWORD,
    outside::{count, dump, execute, run, try_to},
    register, start,
};

const NEW: &str = "한밤의 마루 밑 고양이";

/// Moves everything that waits into the chain, whoever is at it.
async fn move_all(stage: &Stage) {
    let pg = stage.pg();
    eventually(Duration::from_secs(5), || async {
        chain::move_some(&pg).await.unwrap();
        count(stage, "audit_pending").await == 0
    })
    .await;
}

/// Registers some people, so that the chain has entries.
async fn chained(people: usize) -> (Stage, TestApp) {
    let (stage, app) = start().await;
    for index in 0..people {
        register(&stage, &app, &format!("kim{index}@example.com")).await;
    }
    move_all(&stage).await;
    (stage, app)
}

async fn verify(stage: &Stage) -> (bool, String) {
    run(stage, "production", &["audit", "verify"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_to_an_account_is_in_the_chain_within_a_second_or_two() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    kim.post("/change-password", json!({ "current_password": PASSWORD, "new_password": NEW })).await.assert_status(200);
    kim.send(kim.request(Method::PATCH, "/user/me").json(&json!({ "name": "김단풍" }))).await.assert_status(200);
    let login = json!({ "email": "kim@example.com", "password": NEW });
    app.anonymous().post("/login", login).await.assert_status(200);
    kim.delete("/auth/sessions").await.assert_status(200);
    kim.post("/auth/logout", json!({})).await.assert_status(200);
    eventually(Duration::from_secs(20), || async { count(&stage, "audit_log").await == 6 }).await;

    let mut conn = stage.pg().conn().await.unwrap();
    let links = chain::after(&mut conn, 0, 100).await.unwrap();
    // The clock of a test stands still, so what came in one moment has no order.
    let actions: BTreeSet<_> = links.iter().map(|link| link.action.as_str()).collect();
    let expected = ["registered", "password_changed", "profile_changed", "logged_in", "logins_revoked", "logged_out"];
    assert_eq!(actions, BTreeSet::from(expected));
    for link in &links {
        assert_eq!(link.user_id.unwrap().to_string(), made.text("/id"));
        assert_eq!(link.at, stage.clock.now());
    }
    let rows = dump(&stage, "audit_log").await.concat();
    for secret in [PASSWORD, NEW, "kim@example.com", "김단풍", made.text("/access_token"), made.text("/refresh_token")]
    {
        assert!(!rows.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_something_came_from_stands_apart_with_a_salt() {
    let (stage, app) = start().await;
    let from = [("x-client-ip", "192.0.2.7"), ("user-agent", "a phone")];
    app.anonymous().post_with("/register", crate::registration("kim@example.com"), &from).await.assert_status(201);
    move_all(&stage).await;
    let link = chain::after(&mut stage.pg().conn().await.unwrap(), 0, 1).await.unwrap().remove(0);
    let personal = link.personal.unwrap();
    assert_eq!((&personal["ip"], &personal["user_agent"]), (&json!("192.0.2.7"), &json!("a phone")));
    assert_eq!(personal["salt"].as_str().unwrap().len(), 32);
    assert!(!link.meta.to_string().contains("192.0.2.7"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_can_verify_the_chain() {
    let (stage, _app) = chained(3).await;
    let (well, said) = verify(&stage).await;
    assert!(well && said.contains("whole: 3 entries, head "), "{said}");
    let empty = Stage::new(domain::principal::Service::Auth, auth::app::MIGRATIONS).await;
    let (well, said) = verify(&empty).await;
    assert!(well && said.contains("0 entries"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_the_chain_is_found_and_named() {
    let changes = [
        ("UPDATE audit_log SET action = 'logged_in' WHERE seq = 2", "entry 2", "it was changed"),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE seq = 2", "entry 2", "it was changed"),
        ("UPDATE audit_log SET user_id = gen_random_uuid() WHERE seq = 3", "entry 3", "it was changed"),
        ("UPDATE audit_log SET user_id = NULL WHERE seq = 3", "entry 3", "it was changed"),
        ("UPDATE audit_log SET meta = '{\"to\": \"admin\"}' WHERE seq = 1", "entry 1", "it was changed"),
        ("UPDATE audit_log SET personal = '{\"ip\": \"1.2.3.4\"}' WHERE seq = 2", "entry 2", "personal part"),
        ("UPDATE audit_log SET personal_digest = sha256('x') WHERE seq = 2", "entry 2", "was changed"),
        ("UPDATE audit_log SET personal_digest = sha256('x'), personal = NULL WHERE seq = 2", "entry 2", "was changed"),
        ("UPDATE audit_log SET hash = sha256('x') WHERE seq = 2", "entry 2", "it was changed"),
        ("UPDATE audit_log SET prev_hash = sha256('x') WHERE seq = 2", "entry 2", "does not follow"),
        ("DELETE FROM audit_log WHERE seq = 1", "entry 2", "missing"),
        ("DELETE FROM audit_log WHERE seq = 3", "entry 4", "missing"),
        ("DELETE FROM audit_log WHERE seq < 4", "entry 4", "missing"),
        // Taken out, and the gap closed.
        ("DELETE FROM audit_log WHERE seq = 2; UPDATE audit_log SET seq = seq - 1 WHERE seq > 2", "entry 2", "follow"),
        // Put in between.
        (
            "UPDATE audit_log SET seq = 5 WHERE seq = 4; UPDATE audit_log SET seq = 4 WHERE seq = 3; \
             INSERT INTO audit_log SELECT 3, at, 'role_granted', user_id, meta, personal, personal_digest, hash, \
             sha256('x') FROM audit_log WHERE seq = 2",
            "entry 3",
            "it was changed",
        ),
        // Two exchanged.
        (
            "UPDATE audit_log SET seq = 9 WHERE seq = 2; UPDATE audit_log SET seq = 2 WHERE seq = 3; \
             UPDATE audit_log SET seq = 3 WHERE seq = 9",
            "entry 2",
            "does not follow",
        ),
    ];
    for (change, entry, fault) in changes {
        let (stage, app) = chained(4).await;
        app.stop().await;
        execute(&stage, "ALTER TABLE audit_log DISABLE TRIGGER ALL").await;
        execute(&stage, change).await;
        let (well, said) = verify(&stage).await;
        assert!(!well && said.contains(&format!("{entry}: ")) && said.contains(fault), "{change}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_refuses_to_be_changed() {
    let (stage, _app) = chained(2).await;
    let refused = [
        "UPDATE audit_log SET action = 'nothing'",
        "UPDATE audit_log SET personal = '{}'",
        "UPDATE audit_log SET personal = NULL, action = 'nothing'",
        "UPDATE audit_log SET personal = NULL, hash = sha256('x') WHERE seq = 1",
        "UPDATE audit_log SET seq = seq + 10",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE seq = 2",
        "TRUNCATE audit_log",
    ];
    for sql in refused {
        let error = try_to(&stage, sql).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    assert!(verify(&stage).await.0);
    // The one thing that may go.
    try_to(&stage, "UPDATE audit_log SET personal = NULL WHERE seq = 1").await.unwrap();
    assert!(verify(&stage).await.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_movers_at_once_keep_one_chain() {
    let (stage, app) = start().await;
    execute(
        &stage,
        "INSERT INTO audit_pending SELECT gen_random_uuid(), clock_timestamp(), 'logged_in', gen_random_uuid(), \
         jsonb_build_object('n', i, 'x', 1e2, 'a', null), '{\"salt\": \"00\"}' FROM generate_series(1, 1200) i",
    )
    .await;
    let pools = [stage.pg(), stage.pg(), stage.pg()];
    for _ in 0..20 {
        for moved in join_all(pools.iter().map(chain::move_some)).await {
            moved.unwrap();
        }
    }
    move_all(&stage).await;
    let (well, said) = verify(&stage).await;
    assert!(well && said.contains("1200 entries"), "{said}");
    drop(app);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_goes_is_taken_out_and_the_chain_still_holds() {
    let (stage, app) = start().await;
    let from = [("x-client-ip", "192.0.2.7"), ("user-agent", "a-phone-of-kim")];
    let made = app.anonymous().post_with("/register", crate::registration("kim@example.com"), &from).await;
    let (_, other) = register(&stage, &app, "lee@example.com").await;
    move_all(&stage).await;
    let kim = app.as_principal(crate::principal(&stage, &made));
    let with_headers = |request: reqwest::RequestBuilder| {
        from.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    // One entry that has been moved, and some that wait.
    kim.send(with_headers(kim.request(Method::PATCH, "/user/me").json(&json!({ "name": "x" })))).await;
    let body = json!({ "password": PASSWORD });
    kim.send(with_headers(kim.request(Method::DELETE, "/user/me").json(&body))).await.assert_status(202);
    move_all(&stage).await;
    let rows = dump(&stage, "audit_log").await;
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert!(!row.contains("192.0.2.7") && !row.contains("a-phone-of-kim"), "{row}");
    }
    let others = format!("audit_log WHERE user_id = '{}' AND personal ? 'salt'", other.text("/id"));
    assert_eq!(count(&stage, &others).await, 1, "somebody else's stays");
    let (well, said) = verify(&stage).await;
    assert!(well && said.contains("4 entries"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_moved_while_its_person_goes_is_taken_out_as_well() {
    let (stage, app) = start().await;
    // Its own loop would move them before anybody could meet it.
    app.stop().await;
    let (movers, leavers) = (stage.pg(), stage.pg());
    for round in 0..12 {
        let user = stage.clock.uuid();
        execute(
            &stage,
            &format!(
                "INSERT INTO audit_pending SELECT gen_random_uuid(), clock_timestamp(), 'logged_in', '{user}', '{{}}', \
                 '{{\"ip\": \"192.0.2.7\", \"salt\": \"00\"}}' FROM generate_series(1, 500)"
            ),
        )
        .await;
        let leave = async {
            tokio::time::sleep(Duration::from_millis(2 * round)).await;
            let mut conn = leavers.conn().await.unwrap();
            conn.transaction(async |conn| chain::forget_person(conn, user).await).await.unwrap();
        };
        let (moved, ()) = tokio::join!(chain::move_some(&movers), leave);
        moved.unwrap();
        move_all(&stage).await;
        let left = format!("audit_log WHERE user_id = '{user}' AND personal ? 'ip'");
        assert_eq!(count(&stage, &left).await, 0, "round {round}");
    }
    assert!(verify(&stage).await.0);
}
