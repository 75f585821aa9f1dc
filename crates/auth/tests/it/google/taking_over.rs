//! Somebody registers another person's address and waits for them to come.

use reqwest::Method;
use serde_json::json;

use super::Scene;
use crate::{
    PASSWORD,
    mail::code_in,
    outside::{count, dump},
    principal, register,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_26_who_registered_somebody_elses_address_is_out_when_they_come() {
    let scene = Scene::new().await;
    let nobody = scene.app.anonymous();
    let (attacker, made) = register(&scene.stage, &scene.app, "Kim@Gmail.com").await;
    let login = json!({ "email": "kim@gmail.com", "password": PASSWORD });
    let second = nobody.post("/login", login.clone()).await.assert_status(200);
    let profile = json!({ "name": "나쁜 사람", "phone": "010-6666-6666", "picture": "https://evil.example/p.png" });
    let dressed = attacker.send(attacker.request(Method::PATCH, "/user/me").json(&profile)).await;
    dressed.assert_status(200);
    scene.mail.wait_for("kim@gmail.com").await;
    nobody.post("/auth/password-reset", json!({ "email": "kim@gmail.com" })).await.assert_status(202);
    let code = code_in(&scene.mail.wait_for("kim@gmail.com").await);

    let victim = scene.enter().await.assert_status(200);
    assert_eq!(victim.text("/user/id"), made.text("/id"), "the address has one account");

    let later = [&attacker, &scene.app.as_principal(principal(&scene.stage, &second))];
    for ended in later {
        ended.get("/user/me").await.assert_problem(401, "invalid_token");
        ended.post("/auth/ws-ticket", json!({})).await;
    }
    nobody.post("/login", login).await.assert_problem(401, "wrong_credentials");
    for answer in [&made, &second] {
        let refresh = json!({ "refresh_token": answer.text("/refresh_token") });
        nobody.post("/auth/refresh", refresh).await.assert_problem(401, "invalid_token");
    }
    let confirm = json!({ "email": "kim@gmail.com", "code": code, "new_password": "한밤의 마루 밑 고양이" });
    nobody.post("/auth/password-reset/confirm", confirm).await.assert_problem(422, "wrong_code");
    let revoked = scene.app.as_peer().get("/internal/revocations").await.assert_status(200);
    assert_eq!(revoked.json["revoked"].as_array().unwrap().len(), 2, "every gateway hears of both");

    let me = scene.app.as_principal(principal(&scene.stage, &victim)).get("/user/me").await.assert_status(200);
    assert_eq!((me.text("/name"), me.text("/provider")), ("김구글", "google"));
    assert_eq!((me.json.get("phone"), me.text("/picture")), (None, "https://pictures.example.com/1.png"));
    assert_eq!(me.json["email_verified"], true);
    let rows = dump(&scene.stage, "users").await.concat();
    assert!(!rows.contains("나쁜") && !rows.contains("6666") && !rows.contains("evil"), "{rows}");
    assert_eq!(count(&scene.stage, "logins WHERE revoked_at IS NULL").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_26_an_address_of_any_house_is_handed_over_while_nobody_has_proved_it() {
    let scene = Scene::new().await;
    let (_, made) = register(&scene.stage, &scene.app, "kim@elsewhere.example").await;
    scene.provider.log_in(testkit::oidc::Identity::new("sub-3", "kim@elsewhere.example"));
    assert_eq!(scene.enter().await.assert_status(200).text("/user/id"), made.text("/id"));
    // Google has not verified it: then it is nobody's proof, and nothing changes hands.
    let (_, made) = register(&scene.stage, &scene.app, "lee@gmail.com").await;
    let token = scene.provider.id_token(json!({ "sub": "sub-4", "email": "lee@gmail.com", "email_verified": false }));
    scene.show(&token, None).await.assert_problem(403, "email_not_verified");
    let login = json!({ "email": "lee@gmail.com", "password": PASSWORD });
    let still = scene.app.anonymous().post("/login", login).await.assert_status(200);
    assert_eq!(still.text("/user/id"), made.text("/id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_26_a_login_that_is_still_hashing_does_not_slip_in_afterwards() {
    for round in 0..6_u64 {
        let scene = Scene::new().await;
        register(&scene.stage, &scene.app, "kim@gmail.com").await;
        let token = scene.provider.id_token(json!({}));
        let login = json!({ "email": "kim@gmail.com", "password": PASSWORD });
        let nobody = scene.app.anonymous();
        let victim = async {
            // A hash takes some 20 ms: somewhere in it.
            tokio::time::sleep(std::time::Duration::from_millis(4 * round)).await;
            scene.show(&token, None).await
        };
        let (attacker, victim) = tokio::join!(nobody.post("/login", login), victim);
        victim.assert_status(200);
        assert!([200, 401].contains(&attacker.status), "{}", attacker.json);
        let alive = "logins WHERE revoked_at IS NULL";
        assert_eq!(count(&scene.stage, alive).await, 1, "round {round}: the attacker is in");
    }
}
