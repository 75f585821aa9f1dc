//! What an access token is worth, said to whoever has no secret to judge it by.

use std::time::Duration;

use domain::{contract::VerifiedToken, principal::Service};
use serde_json::json;

use crate::{principal, register, start};

const PATH: &str = "/internal/tokens/verify";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_judged_for_services_that_are_shown_it() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let body = json!({ "token": made.text("/access_token") });
    let answer = app.as_service(Service::Ticketing).post(PATH, body.clone()).await.assert_status(200);
    let verified: VerifiedToken = serde_json::from_value(answer.json).unwrap();
    assert_eq!(verified.principal, principal(&stage, &made));
    assert_eq!(verified.expires_at.0, stage.clock.now() + Duration::from_hours(24));
    app.as_service(Service::Emotion).post(PATH, body.clone()).await.assert_status(200);
    stage.clock.advance(Duration::from_hours(25));
    app.as_service(Service::Ticketing).post(PATH, body).await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_has_tokens_judged_and_other_tokens_are_worth_nothing() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let body = json!({ "token": made.text("/access_token") });
    for other in [Service::Session, Service::Memo, Service::Gateway] {
        app.as_service(other).post(PATH, body.clone()).await.assert_problem(404, "not_found");
    }
    kim.post(PATH, body.clone()).await.assert_problem(404, "not_found");
    app.anonymous().post(PATH, body).await.assert_problem(404, "not_found");
    let ticketing = app.as_service(Service::Ticketing);
    for token in [made.text("/refresh_token").to_owned(), "x".to_owned(), String::new(), kim.token().unwrap()] {
        ticketing.post(PATH, json!({ "token": token })).await.assert_problem(401, "invalid_token");
    }
    ticketing.post(PATH, json!({ "token": "x", "more": 1 })).await.assert_problem(400, "malformed");
    ticketing.get("/internal/revocations").await.assert_status(200);
    app.as_service(Service::Memo).get("/internal/revocations").await.assert_problem(404, "not_found");
}
