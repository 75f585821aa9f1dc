//! Two things that happen to one account in the same moment have one outcome. Numbers are those of the threat list in
//! docs/security.md.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use testkit::{Answer, Stage, TestApp, TestClient};

use crate::{
    PASSWORD,
    behind::{access, number, replica, somebody_waits},
    principal, register, registration, start, start_with,
};

async fn login(app: &TestApp) -> Answer {
    app.anonymous().post("/login", json!({ "email": "kim@example.com", "password": PASSWORD })).await
}

async fn erase(client: &TestClient) -> Answer {
    client.send(client.request(Method::DELETE, "/user/me").json(&json!({ "password": PASSWORD }))).await
}

/// Logs in while a change of the account has been written, and commits it once the login waits for it.
async fn login_during(stage: &Stage, app: &TestApp, change: &str) -> Answer {
    let mut changing = stage.pg().conn().await.unwrap();
    changing.batch_execute(&format!("BEGIN; {change}")).await.unwrap();
    let commits = async {
        somebody_waits(stage, "WITH account").await;
        changing.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(login(app), commits).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_a_password_that_is_changed_during_a_login_lets_nobody_in() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    let change = "UPDATE users SET password_hash = '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA'";
    login_during(&stage, &app, change).await.assert_problem(401, "wrong_credentials");
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM logins").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_a_role_that_is_taken_during_a_login_is_not_in_its_token() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    crate::behind::sql(&stage, "UPDATE users SET role = 'admin'").await;
    let answer = login_during(&stage, &app, "UPDATE users SET role = 'user'").await.assert_status(200);
    assert_eq!((answer.text("/user/role"), access(&stage, &answer).principal.role.name()), ("user", "user"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_an_account_that_is_deleted_during_a_login_is_nobodys() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    login_during(&stage, &app, "DELETE FROM users").await.assert_problem(401, "wrong_credentials");
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM logins").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_logins_while_the_account_is_erased_get_in_or_do_not() {
    let (stage, app) = start_with(|config| config.password_hashes_at_once = 8).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let logins = join_all((0..12).map(|_| login(&app)));
    let (logins, erased) = tokio::join!(logins, erase(&kim));
    erased.assert_status(202);
    for login in logins {
        if login.status == 200 {
            let client = app.as_principal(principal(&stage, &login));
            client.get("/user/me").await.assert_problem(401, "invalid_token");
        } else {
            login.assert_problem(401, "wrong_credentials");
        }
    }
    for table in ["users", "logins"] {
        assert_eq!(number(&stage, &format!("SELECT count(*) AS number FROM {table}")).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_erasing_twice_at_once_is_once() {
    let (stage, app) = start_with(|config| config.password_hashes_at_once = 8).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let mut statuses: Vec<_> =
        join_all((0..6).map(|_| erase(&kim))).await.into_iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 401, 401, 401, 401, 401]);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM erasures").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_erasing_and_changing_the_password_wait_for_each_other_and_not_in_a_circle() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let phone = principal(&stage, &login(&app).await);
    // A login that both will want to end is held, so that each gets as far as it can.
    let mut holding = stage.pg().conn().await.unwrap();
    let hold = format!("BEGIN; SELECT 1 FROM logins WHERE id = '{}' FOR UPDATE", phone.login_id);
    holding.batch_execute(&hold).await.unwrap();
    let change = async {
        somebody_waits(&stage, "UPDATE").await;
        let body = json!({ "current_password": PASSWORD, "new_password": "마루 아래에서 잔다 8" });
        kim.post("/change-password", body).await
    };
    let release = async {
        let waiting = "SELECT count(*) AS number FROM pg_stat_activity \
                       WHERE datname = current_database() AND pg_blocking_pids(pid) <> '{}'";
        testkit::eventually(Duration::from_secs(5), || async { number(&stage, waiting).await == 2 }).await;
        holding.batch_execute("COMMIT").await.unwrap();
    };
    let (erased, changed, ()) = tokio::join!(erase(&kim), change, release);
    erased.assert_status(202);
    assert!(matches!(changed.status, 401 | 409), "{} {}", changed.status, changed.text("/code"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_not_erased_by_a_login_that_was_ended_meanwhile() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let mut ending = stage.pg().conn().await.unwrap();
    let end = "BEGIN; SELECT 1 FROM users FOR UPDATE; UPDATE logins SET revoked_at = now()";
    ending.batch_execute(end).await.unwrap();
    let commits = async {
        somebody_waits(&stage, "SELECT").await;
        ending.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(erase(&kim), commits).0.assert_problem(401, "invalid_token");
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM users").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_moved_into_the_audit_chain_forgets_an_erased_person_too() {
    let (stage, app) = start().await;
    // The chain's next place is taken by somebody who does not commit, so that moving stops half-way.
    let mut blocking = stage.pg().conn().await.unwrap();
    let block = "BEGIN; INSERT INTO audit_log (seq, at, action, meta, personal_digest, prev_hash, hash) \
                 SELECT 1, now(), 'x', '{}', zero, zero, zero FROM (SELECT decode(repeat('00', 32), 'hex') AS zero) z";
    blocking.batch_execute(block).await.unwrap();
    let headers = [("x-client-ip", "192.0.2.7")];
    let made = app.anonymous().post_with("/register", registration("kim@example.com"), &headers).await;
    let kim = app.as_principal(principal(&stage, &made.assert_status(201)));
    somebody_waits(&stage, "INSERT INTO audit_log").await;

    let goes_on = async {
        somebody_waits(&stage, "SELECT \"audit_pending\"").await;
        blocking.batch_execute("ROLLBACK").await.unwrap();
    };
    tokio::join!(erase(&kim), goes_on).0.assert_status(202);
    let left = "SELECT count(*) AS number FROM audit_pending";
    testkit::eventually(Duration::from_secs(5), || async { number(&stage, left).await == 0 }).await;
    let personal = "SELECT count(*) AS number FROM audit_log WHERE personal::text LIKE '%192.0.2.7%'";
    assert_eq!(number(&stage, personal).await, 0);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM audit_log WHERE user_id IS NOT NULL").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_an_address_registered_twice_at_once_in_two_processes_has_one_account() {
    let (stage, app) = start_with(|config| config.password_hashes_at_once = 8).await;
    let twin = replica(&stage);
    let asked = (0..10).map(|n| {
        let nobody = if n % 2 == 0 { app.anonymous() } else { twin.anonymous() };
        async move { nobody.post("/register", registration("kim@example.com")).await }
    });
    let answers = join_all(asked).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.assert_problem(409, "email_taken");
    }
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM logins").await, 1);
}
