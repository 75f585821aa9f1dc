//! Ten thousand sessions that are over within one second, three replicas, and everything that can break breaking: each
//! is completed once, at its due time, and heard of once.

use std::time::Duration;

use chassis::pg::Pg;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::principal::Service;
use secrecy::ExposeSecret;
use testkit::{
    Child, Stage,
    database::TestDatabase,
    eventually,
    fault_proxy::FaultProxy,
    storm::{FOCUS_SESSIONS as SESSIONS, FOCUS_STORM},
};

use crate::{config, focus_current::flush_redis};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

async fn number(pg: &Pg, query: &str) -> i64 {
    let mut conn = pg.conn().await.unwrap();
    sql_query(format!("SELECT ({query})::bigint AS number")).get_result::<Number>(&mut conn).await.unwrap().number
}

async fn completed(pg: &Pg) -> i64 {
    number(pg, "SELECT count(*) FROM focus_sessions WHERE status = 'completed'").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_are_completed_once_each_whatever_dies_meanwhile() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let url = stage.database().url_through(proxy.addr());
    let secret = config(&stage).participants.participant_secret;
    let settings = [("PARTICIPANT_SECRET", secret.expose_secret())];
    let serve = || Child::serve(env!("CARGO_BIN_EXE_maru-session"), &stage, &url, &settings);
    let (first, _second, _third) = (serve().await, serve().await, serve().await);
    let pg = stage.pg();
    pg.conn().await.unwrap().batch_execute(FOCUS_STORM).await.unwrap();
    // They were made behind the agenda's back: it is built again from the database.
    flush_redis(&stage).await;

    // One stays behind until everything has been cut, so that there is a middle on any machine.
    let mut last = pg.conn().await.unwrap();
    let keep = "SET idle_in_transaction_session_timeout = 0; BEGIN; \
                SELECT FROM focus_sessions WHERE status = 'started' LIMIT 1 FOR UPDATE";
    last.batch_execute(keep).await.unwrap();
    eventually(Duration::from_mins(1), || async { completed(&pg).await > 500 }).await;
    first.kill();
    flush_redis(&stage).await;
    proxy.reset();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'maru-session'";
    pg.conn().await.unwrap().batch_execute(cut).await.unwrap();
    let before = completed(&pg).await;
    assert!((500..SESSIONS).contains(&before), "the middle was missed: {before}");
    last.batch_execute("COMMIT").await.unwrap();
    drop(last);
    proxy.heal();
    eventually(Duration::from_mins(1), || async { completed(&pg).await > before }).await;
    // And once more, when they have just come back.
    flush_redis(&stage).await;
    pg.conn().await.unwrap().batch_execute(cut).await.unwrap();
    eventually(Duration::from_mins(1), || async { completed(&pg).await == SESSIONS }).await;

    let once = "SELECT count(*) FROM focus_sessions JOIN fired ON fired.session_id = id WHERE version = 2 \
                AND ended_at = fired.due_at AND accumulated_ms = 60000";
    for (what, query, expected) in [
        ("completions", "SELECT count(*) FROM fired", SESSIONS),
        ("each of another session", "SELECT count(DISTINCT session_id) FROM fired", SESSIONS),
        ("by one version, at their due time", once, SESSIONS),
        ("early ones", "SELECT count(*) FROM fired WHERE at < due_at", 0),
        ("news", "SELECT count(*) FROM written", SESSIONS),
        ("news of each", "SELECT count(DISTINCT session_id) FROM written", SESSIONS),
        ("spans", "SELECT count(*) FROM focus_intervals WHERE ended_at - started_at = interval '1 minute'", SESSIONS),
    ] {
        assert_eq!(number(&pg, query).await, expected, "{what}");
    }
    let latest = number(&pg, "SELECT extract(epoch FROM max(at - due_at)) * 1000 FROM fired").await;
    assert!(latest < 60_000, "the last was {latest} ms late");
    eventually(Duration::from_mins(1), || async { number(&pg, "SELECT count(*) FROM outbox").await == 0 }).await;
}
