//! Looking, and reaching, behind the service's back: its tables, its Redis, its cookies.

use std::time::Duration;

use auth::login::refresh_token::RefreshToken;
use chassis::access::{Access, AccessConfig, AccessTokens};
use deadpool_redis::redis::cmd;
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::{
    contract::{LoginSeen, LoginsSeen},
    ids::LoginId,
};
use reqwest::{Method, RequestBuilder};
use secrecy::SecretString;
use serde_json::json;
use testkit::{Answer, Stage, TestApp, TestClient, eventually};

use crate::SECRET;

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    words: String,
}

/// Serves another process's worth of the service on the same database and Redis.
pub(crate) fn replica(stage: &Stage) -> TestApp {
    stage.serve(auth::build(crate::config(stage), stage.clock.clone()).unwrap())
}

/// Changes the database.
pub(crate) async fn sql(stage: &Stage, statements: &str) {
    stage.pg().conn().await.unwrap().batch_execute(statements).await.unwrap();
}

/// Reads one number, `SELECT ... AS number`.
pub(crate) async fn number(stage: &Stage, query: &str) -> i64 {
    let mut conn = stage.pg().conn().await.unwrap();
    sql_query(query).get_result::<Number>(&mut conn).await.unwrap().number
}

/// Reads a whole table as text, to see whether anything in it changed.
pub(crate) async fn everything_in(stage: &Stage, table: &str) -> String {
    let query = format!("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') AS words FROM {table} t");
    let mut conn = stage.pg().conn().await.unwrap();
    sql_query(query).get_result::<Words>(&mut conn).await.unwrap().words
}

/// Counts the audit entries of an action, chained or not.
pub(crate) async fn audited(stage: &Stage, action: &str) -> i64 {
    let both = "(SELECT action FROM audit_pending UNION ALL SELECT action FROM audit_log) AS entries";
    number(stage, &format!("SELECT count(*) AS number FROM {both} WHERE action = '{action}'")).await
}

/// Waits until a request is stopped in the database by somebody else's lock, with a statement that begins like this.
pub(crate) async fn somebody_waits(stage: &Stage, statement: &str) {
    let query = format!(
        "SELECT count(*) AS number FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '{statement}%'"
    );
    eventually(Duration::from_secs(5), || async { number(stage, &query).await > 0 }).await;
}

/// Lists this test's keys in Redis.
pub(crate) async fn redis_keys(stage: &Stage) -> Vec<String> {
    let redis = stage.redis();
    redis.run(cmd("KEYS").arg(redis.key('*'))).await.unwrap()
}

/// Takes everything out of this test's Redis, as a restart without a disk does.
pub(crate) async fn flush_redis(stage: &Stage) {
    let keys = redis_keys(stage).await;
    if !keys.is_empty() {
        stage.redis().run::<()>(cmd("DEL").arg(keys)).await.unwrap();
    }
}

/// Exchanges a refresh token.
pub(crate) async fn refresh(app: &TestApp, token: &str) -> Answer {
    app.anonymous().post("/auth/refresh", json!({ "refresh_token": token })).await
}

/// Exchanges a refresh token that must be good; returns the one it gives.
pub(crate) async fn refreshed(app: &TestApp, token: &str) -> String {
    refresh(app, token).await.assert_status(200).text("/refresh_token").to_owned()
}

/// Tells the service, as a gateway does, that a login's tokens were seen at work now.
pub(crate) async fn seen(stage: &Stage, app: &TestApp, login_id: LoginId, refresh_counter: u32) {
    let seen = LoginsSeen { seen: vec![LoginSeen { login_id, refresh_counter, at: stage.clock.now().into() }] };
    let noted = app.as_peer().post("/internal/logins/seen", json!(seen)).await.assert_status(200);
    assert_eq!(noted.json, json!({ "noted": 1 }));
}

/// Writes a refresh token with the service's own key.
pub(crate) fn written(login_id: LoginId, counter: u32, secret: &str) -> String {
    let access = AccessConfig { jwt_secret: SecretString::from(secret), jwt_secret_previous: None };
    RefreshToken { login_id, counter }.write(&access.mac("refresh token"))
}

/// Reads an answer's access token the way the gateway does, whatever the role.
pub(crate) fn access(stage: &Stage, answer: &Answer) -> Access {
    AccessTokens::new(&SecretString::from(SECRET)).verify(answer.text("/access_token"), stage.clock.now()).unwrap()
}

/// Begins a `POST` without a body.
pub(crate) fn bare_post(client: &TestClient, path: &str) -> RequestBuilder {
    client.request(Method::POST, path)
}

/// Returns the value an answer sets a cookie to, if it sets it.
pub(crate) fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let all = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    all.filter_map(|text| text.split(';').next()?.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
}
