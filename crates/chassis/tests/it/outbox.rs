//! Messages that must not be lost, and one that cannot be delivered.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chassis::{
    lifecycle::Lifecycle,
    outbox::{Deliver, DeliverTogether, Lane, Message, Outbox, QUICK},
    problem::{Outcome, Problem},
};
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use domain::principal::Service;
use testkit::{Stage, eventually};

const MIGRATIONS: diesel_migrations::EmbeddedMigrations = diesel_migrations::embed_migrations!("../../migrations/auth");

/// The lane of all topics here.
const LANE: Lane =
    Lane { name: "outbox", topics: &["panics", "hangs", "fails once", "good", "true", "never true"], patience: QUICK };

/// Delivers into a list; some topics go wrong, each in its own way.
#[derive(Default)]
struct Recipient {
    received: Mutex<Vec<String>>,
    failures: Mutex<u32>,
}

#[async_trait]
impl Deliver for Recipient {
    async fn deliver(&self, message: &Message) -> Outcome<()> {
        match message.topic.as_str() {
            "panics" => panic!("a recipient's fault"),
            "hangs" => std::future::pending().await,
            "fails once" if *self.failures.lock().unwrap() == 0 => {
                *self.failures.lock().unwrap() += 1;
                Err(Problem::unavailable("away"))
            }
            topic => {
                self.received.lock().unwrap().push(topic.to_owned());
                Ok(())
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_that_cannot_be_delivered_does_not_keep_the_others_waiting() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let outbox = Outbox::new(stage.clock.clone());
    let (pg, lifecycle, recipient) = (stage.pg(), Lifecycle::new(), Arc::new(Recipient::default()));
    let mut conn = pg.conn().await.unwrap();
    for topic in ["panics", "hangs", "fails once", "good"] {
        outbox.put(&mut conn, topic, &()).await.unwrap();
    }
    drop(conn);
    outbox.relay(&lifecycle, pg.clone(), LANE, recipient.clone());
    eventually(Duration::from_secs(20), || async {
        let mut received = recipient.received.lock().unwrap().clone();
        received.sort();
        received == ["fails once", "good"]
    })
    .await;
    lifecycle.stop();
    assert!(lifecycle.finished(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_transaction_that_fails_was_never_written() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let outbox = Outbox::new(stage.clock.clone());
    let (pg, lifecycle, recipient) = (stage.pg(), Lifecycle::new(), Arc::new(Recipient::default()));
    let mut conn = pg.conn().await.unwrap();
    let failed: Outcome<()> = conn
        .transaction(async |conn| {
            outbox.put(conn, "never true", &()).await?;
            Err(domain::fault::common::FORBIDDEN.into())
        })
        .await;
    assert!(failed.is_err());
    outbox.put(&mut conn, "true", &()).await.unwrap();
    drop(conn);
    outbox.relay(&lifecycle, pg, LANE, recipient.clone());
    eventually(Duration::from_secs(5), || async { !recipient.received.lock().unwrap().is_empty() }).await;
    assert_eq!(*recipient.received.lock().unwrap(), ["true"]);
    lifecycle.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_hangs_does_not_keep_another_waiting_and_later_is_not_now() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let outbox = Outbox::new(stage.clock.clone());
    let (pg, lifecycle, recipient) = (stage.pg(), Lifecycle::new(), Arc::new(Recipient::default()));
    let slow = Lane { name: "slow", topics: &["hangs"], patience: Duration::from_mins(1) };
    outbox.relay(&lifecycle, pg.clone(), slow, recipient.clone());
    outbox.relay(&lifecycle, pg.clone(), LANE, recipient.clone());
    let mut conn = pg.conn().await.unwrap();
    outbox.put(&mut conn, "hangs", &()).await.unwrap();
    outbox.put_later(&mut conn, "true", &(), Duration::from_hours(1)).await.unwrap();
    outbox.put(&mut conn, "good", &()).await.unwrap();
    drop(conn);
    outbox.wake();
    eventually(Duration::from_secs(5), || async { !recipient.received.lock().unwrap().is_empty() }).await;
    assert_eq!(*recipient.received.lock().unwrap(), ["good"]);
    lifecycle.stop();
}

/// Takes a burst in few pieces; the first piece fails after it has arrived.
#[derive(Default)]
struct Hall {
    pieces: Mutex<Vec<Vec<uuid::Uuid>>>,
}

#[async_trait]
impl DeliverTogether for Hall {
    async fn deliver(&self, messages: &[Message]) -> Outcome<()> {
        let mut pieces = self.pieces.lock().unwrap();
        pieces.push(messages.iter().map(|message| message.id).collect());
        if pieces.len() == 1 { Err(Problem::unavailable("away")) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_delivered_together_and_a_piece_that_fails_comes_again() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let outbox = Outbox::new(stage.clock.clone());
    let (pg, lifecycle, hall) = (stage.pg(), Lifecycle::new(), Arc::new(Hall::default()));
    let burst =
        "INSERT INTO outbox (id, topic, payload) SELECT gen_random_uuid(), 'good', '{}' FROM generate_series(1, 1234)";
    pg.conn().await.unwrap().batch_execute(burst).await.unwrap();
    outbox.relay_together(&lifecycle, pg.clone(), LANE, hall.clone());
    let distinct = |from: usize| {
        let pieces = hall.pieces.lock().unwrap();
        pieces.iter().skip(from).flatten().copied().collect::<std::collections::BTreeSet<_>>().len()
    };
    eventually(Duration::from_secs(10), || async { distinct(1) == 1234 }).await;
    {
        let pieces = hall.pieces.lock().unwrap();
        assert!(pieces.len() <= 5, "{} pieces", pieces.len());
        assert_eq!(pieces.iter().map(Vec::len).sum::<usize>(), 1234 + pieces[0].len());
    }
    lifecycle.stop();
    assert!(lifecycle.finished(Duration::from_secs(10)).await);
    eventually(Duration::from_secs(5), || async {
        #[derive(diesel::QueryableByName)]
        struct Left {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            left: i64,
        }
        let mut conn = pg.conn().await.unwrap();
        let count = diesel::sql_query("SELECT count(*) AS left FROM outbox");
        diesel_async::RunQueryDsl::get_result::<Left>(count, &mut *conn).await.unwrap().left == 0
    })
    .await;
}
