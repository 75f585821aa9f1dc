//! Which account a Google identity is, when the address is known already.

use serde_json::{Value, json};
use testkit::{Answer, TestClient, oidc::Identity};

use super::Scene;
use crate::{
    PASSWORD,
    mail::code_in,
    outside::{count, dump},
    principal, register,
};

/// Registers an address and proves it.
async fn register_proved(scene: &Scene, email: &str) -> (TestClient, Answer) {
    let (person, made) = register(&scene.stage, &scene.app, email).await;
    let code = code_in(&scene.mail.wait_for(email).await);
    person.post("/auth/verify-email", json!({ "code": code })).await.assert_status(200);
    (person, made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_both_sides_have_proved_is_linked_with_a_notice() {
    for (sub, email, hd) in
        [("sub-1", "kim@gmail.com", None), ("sub-2", "lee@maru.example.com", Some("maru.example.com"))]
    {
        let scene = Scene::new().await;
        let (person, made) = register_proved(&scene, email).await;
        scene.provider.log_in(Identity { hd: hd.map(str::to_owned), ..Identity::new(sub, &email.to_uppercase()) });
        let entered = scene.enter().await.assert_status(200);
        assert_eq!(entered.text("/user/id"), made.text("/id"));
        assert_eq!(scene.mail.wait_for(email).await.subject(), "[Maru] Google 로그인이 연결되었습니다");

        // Nothing of the owner's is touched: the login, the password, the name.
        let me = person.get("/user/me").await.assert_status(200);
        assert_eq!((me.text("/name"), me.text("/email"), me.text("/provider")), ("김마루", email, "password"));
        let login = json!({ "email": email, "password": PASSWORD });
        scene.app.anonymous().post("/login", login).await.assert_status(200);
        assert_eq!(scene.enter().await.assert_status(200).text("/user/id"), made.text("/id"));
        assert_eq!((count(&scene.stage, "users").await, count(&scene.stage, "identities").await), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_google_does_not_give_out_is_not_linked() {
    let scene = Scene::new().await;
    let (_, made) = register_proved(&scene, "kim@elsewhere.example").await;
    let before = (dump(&scene.stage, "users").await, dump(&scene.stage, "logins").await);
    scene.provider.log_in(Identity::new("sub-9", "kim@elsewhere.example"));
    scene.enter().await.assert_problem(409, "link_required");
    // An address that only looks like one of Google's.
    for email in ["kim@elsewhere.example", "KIM@elsewhere.example"] {
        let token = scene.provider.id_token(json!({ "email": email, "jti": email }));
        scene.show(&token, None).await.assert_problem(409, "link_required");
    }
    assert_eq!((dump(&scene.stage, "users").await, dump(&scene.stage, "logins").await), before);
    assert_eq!(count(&scene.stage, "identities").await, 0);
    assert_eq!(made.text("/email"), "kim@elsewhere.example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_google_account_with_the_same_address_is_not_let_in() {
    let scene = Scene::new().await;
    register_proved(&scene, "kim@gmail.com").await;
    scene.enter().await.assert_status(200);
    // An address that was given to somebody else since: the subject is who somebody is.
    scene.provider.log_in(Identity::new("sub-2", "kim@gmail.com"));
    let refused = scene.enter().await;
    assert_eq!(refused.status, 409, "{}", refused.json);
    assert_eq!((count(&scene.stage, "identities").await, count(&scene.stage, "logins").await), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_is_known_whatever_its_address_has_become() {
    let scene = Scene::new().await;
    let first = scene.enter().await.assert_status(200);
    register_proved(&scene, "lee@gmail.com").await;
    for changes in [
        json!({ "email": "new@gmail.com", "jti": "1" }),
        // Not even the address of somebody else here.
        json!({ "email": "lee@gmail.com", "jti": "2" }),
        json!({ "email": null, "email_verified": null, "jti": "3" }),
    ] {
        let entered = scene.show(&scene.provider.id_token(changes), None).await.assert_status(200);
        assert_eq!(entered.text("/user/id"), first.text("/user/id"));
        assert_eq!(entered.text("/user/email"), "kim@gmail.com");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_a_newcomer_with_many_tabs_gets_one_account() {
    let scene = Scene::new().await;
    for round in 0..3 {
        scene.provider.log_in(Identity::new(&format!("sub-{round}"), &format!("kim{round}@gmail.com")));
        let tokens: Vec<_> = (0..6).map(|tab| scene.provider.id_token(json!({ "jti": tab.to_string() }))).collect();
        let shown = futures_util::future::join_all(tokens.iter().map(|token| scene.show(token, None))).await;
        let ids: Vec<_> =
            shown.iter().map(|answer| answer.clone().assert_status(200).text("/user/id").to_owned()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
    assert_eq!((count(&scene.stage, "users").await, count(&scene.stage, "identities").await), (3, 3));
    assert_eq!(count(&scene.stage, "logins").await, 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_registering_and_coming_with_google_at_once_is_one_account() {
    for _ in 0..4 {
        let scene = Scene::new().await;
        let token = scene.provider.id_token(json!({}));
        let registering = scene.app.anonymous();
        let registering = registering.post("/register", crate::registration("kim@gmail.com"));
        let (google, password) = tokio::join!(scene.show(&token, None), registering);
        google.clone().assert_status(200);
        assert!([201, 409].contains(&password.status), "{}", password.json);
        assert_eq!(count(&scene.stage, "users").await, 1);
        // Whoever came first: what was registered without proof counts no more.
        assert_eq!(count(&scene.stage, "logins WHERE revoked_at IS NULL").await, 1);
        assert_eq!(count(&scene.stage, "users WHERE password_hash IS NOT NULL").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_google_sets_a_password_by_mail_and_keeps_both_ways_in() {
    let scene = Scene::new().await;
    let entered = scene.enter().await.assert_status(200);
    let kim = scene.app.as_principal(principal(&scene.stage, &entered));
    let change = json!({ "current_password": "", "new_password": PASSWORD });
    kim.post("/change-password", change).await.assert_problem(409, "no_password");
    let guess = json!({ "email": "kim@gmail.com", "password": "" });
    scene.app.anonymous().post("/login", guess).await.assert_problem(401, "wrong_credentials");

    let nobody = scene.app.anonymous();
    nobody.post("/auth/password-reset", json!({ "email": "kim@gmail.com" })).await.assert_status(202);
    let code = code_in(&scene.mail.wait_for("kim@gmail.com").await);
    let confirm: Value = json!({ "email": "kim@gmail.com", "code": code, "new_password": PASSWORD });
    nobody.post("/auth/password-reset/confirm", confirm).await.assert_status(200);
    let login = nobody.post("/login", json!({ "email": "kim@gmail.com", "password": PASSWORD })).await;
    assert_eq!(login.assert_status(200).text("/user/id"), entered.text("/user/id"));
    assert_eq!(scene.enter().await.assert_status(200).text("/user/id"), entered.text("/user/id"));
}
