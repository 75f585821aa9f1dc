//! People who wait for an event, and a look into the line.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use chassis::redis::{Redis, RedisConfig};
use deadpool_redis::redis::{self, FromRedisValue};
use domain::{
    ids::{EventId, LoginId, UserId},
    principal::{Principal, Role},
};
use serde_json::{Value, json};
use testkit::{Answer, TestApp, TestClient};
use ticketing::{
    config::TicketingConfig,
    notice::{FIELD, Notice, STREAM},
};

use crate::house::{House, ON_SALE, insistently};

/// How long something may take that happens within a second where nothing else runs; a busy machine gets some more.
pub(crate) const SECOND: Duration = Duration::from_secs(4);
/// How long something may take that merely must happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Makes an event whose waiting room is run in this way, as `column = value` pairs.
pub(crate) async fn waited_for(house: &House, mode: &str, threshold: i32) -> EventId {
    let event = house.event("달빛 재즈", ON_SALE).await;
    house
        .sql(&format!(
            "INSERT INTO waiting_rooms (event_id, mode, threshold) VALUES ('{event}', '{mode}', {threshold})"
        ))
        .await;
    event
}

/// Makes a person.
pub(crate) fn somebody(house: &House) -> Principal {
    let clock = &house.stage.clock;
    Principal { user_id: clock.id::<UserId>(), login_id: clock.id::<LoginId>(), role: Role::User }
}

/// Calls as the organizer of every event of a house: events are their own organizers there.
pub(crate) fn organizer(app: &TestApp, event: EventId) -> TestClient {
    let principal = Principal { user_id: UserId(event.0), login_id: LoginId(event.0), role: Role::Organizer };
    app.as_principal(principal)
}

pub(crate) fn path(step: &str, event: EventId) -> String {
    format!("/api/v1/queue/{step}/{event}")
}

pub(crate) async fn check(client: &TestClient, event: EventId) -> Answer {
    client.post(&path("check", event), json!({})).await
}

pub(crate) async fn check_with(client: &TestClient, event: EventId, ticket: &str) -> Answer {
    client.post_with(&path("check", event), json!({}), &[("x-queue-ticket", ticket)]).await
}

pub(crate) async fn status(client: &TestClient, event: EventId) -> Value {
    client.get(&path("status", event)).await.assert_status(200).json
}

pub(crate) async fn leave(client: &TestClient, event: EventId) -> Answer {
    client.post(&path("leave", event), json!({})).await
}

/// Asks until there is an answer, which must be a good one.
pub(crate) async fn in_the_end(ask: impl AsyncFn() -> Answer) -> Value {
    insistently(ask).await.assert_status(200).json
}

pub(crate) async fn run(client: &TestClient, event: EventId, settings: Value) -> Answer {
    client.put(&path("admin", event), settings).await
}

/// Waits until somebody is let in.
pub(crate) async fn comes_in(client: &TestClient, event: EventId, limit: Duration) {
    testkit::eventually(limit, || async { status(client, event).await["status"] == "active" }).await;
}

/// Reads something out of an event's line.
pub(crate) async fn ask<T: FromRedisValue>(redis: &Redis, command: &str, event: EventId, key: &str) -> T {
    redis.run(redis::cmd(command).arg(redis.key(format!("queue:{{{event}}}:{key}")))).await.unwrap()
}

/// Reads who was told what.
pub(crate) async fn notices(redis: &Redis) -> Vec<Notice> {
    let mut command = redis::cmd("XRANGE");
    command.arg(redis.key(STREAM)).arg("-").arg("+");
    let entries: Vec<(String, Vec<String>)> = redis.run(&command).await.unwrap();
    let text = |fields: &[String]| fields.iter().skip_while(|field| *field != FIELD).nth(1).cloned().unwrap();
    entries.iter().map(|(_, fields)| serde_json::from_str(&text(fields)).unwrap()).collect()
}

/// A Redis of one test's own, which may be emptied and killed.
pub(crate) struct OwnRedis {
    directory: PathBuf,
    server: Option<Child>,
}

impl OwnRedis {
    pub(crate) fn start(house_id: uuid::Uuid) -> Self {
        let directory = std::env::temp_dir().join(format!("maru-redis-{}", house_id.simple()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut redis = Self { directory, server: None };
        redis.restart();
        redis
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("s")
    }

    /// Starts it again, with nothing in it.
    pub(crate) fn restart(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(self.socket());
        command.current_dir(&self.directory).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(command.spawn().unwrap());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Has a service use this one.
    pub(crate) fn serve(&self, config: &mut TicketingConfig) {
        config.base.redis.redis_url = format!("unix://{}", self.socket().display()).into();
    }

    pub(crate) fn client(&self) -> Redis {
        let redis_url = format!("unix://{}", self.socket().display()).into();
        let (redis_prefix, patience) = ("own".to_owned(), testkit::stage::PATIENCE);
        Redis::new(&RedisConfig { redis_url, redis_prefix, redis_pool_size: 2, patience }).unwrap()
    }

    pub(crate) async fn answers(&self) {
        let client = self.client();
        testkit::eventually(SOON, || async { client.answers().await }).await;
    }

    pub(crate) async fn lose_everything(&self) {
        self.client().run::<()>(&redis::cmd("FLUSHALL")).await.unwrap();
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.kill();
        _ = std::fs::remove_dir_all(&self.directory);
    }
}
