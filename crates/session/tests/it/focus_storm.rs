//! Ten thousand sessions that are over within one second, three replicas, and everything that can break breaking: each
//! is completed once, at its due time, and heard of once.

use std::time::Duration;

use chassis::pg::Pg;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::principal::Service;
use testkit::{Stage, database::TestDatabase, eventually, fault_proxy::FaultProxy};

use crate::{child::ChildProcess, focus_current::flush_redis};

/// How many.
const SESSIONS: i64 = 10_000;

/// Writes down every completion and every piece of news, whatever becomes of it later, and makes the sessions: each of
/// another person, over between four and five seconds from now.
const SCENE: &str = "
    CREATE TABLE fired (session_id uuid NOT NULL, due_at timestamptz NOT NULL, at timestamptz NOT NULL);
    CREATE FUNCTION log_fired() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO fired VALUES (NEW.id, OLD.due_at, clock_timestamp()); RETURN NEW; END';
    CREATE TRIGGER log_fired AFTER UPDATE ON focus_sessions FOR EACH ROW
        WHEN (OLD.status = 'started' AND NEW.status = 'completed') EXECUTE FUNCTION log_fired();
    CREATE TABLE written (session_id uuid NOT NULL);
    CREATE FUNCTION log_written() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO written VALUES ((NEW.payload->>''session_id'')::uuid); RETURN NEW; END';
    CREATE TRIGGER log_written AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION log_written();
    INSERT INTO focus_sessions (id, user_id, subject, duration_minutes, break_minutes, status, anchor_at, due_at,
        created_at, updated_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'storm', 1, 0, 'started', due - interval '1 minute', due, now(), now()
    FROM (SELECT date_trunc('milliseconds', now()) + interval '4 seconds' + n % 1000 * interval '1 millisecond' AS due
          FROM generate_series(1, 10000) n) AS times;
";

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
    let first = ChildProcess::serve(&stage, &url).await;
    let _second = ChildProcess::serve(&stage, &url).await;
    let _third = ChildProcess::serve(&stage, &url).await;
    let pg = stage.pg();
    pg.conn().await.unwrap().batch_execute(SCENE).await.unwrap();
    // They were made behind the agenda's back: it is built again from the database.
    flush_redis(&stage).await;

    eventually(Duration::from_secs(15), || async { completed(&pg).await > 500 }).await;
    first.kill();
    flush_redis(&stage).await;
    proxy.reset();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'maru-session'";
    pg.conn().await.unwrap().batch_execute(cut).await.unwrap();
    let before = completed(&pg).await;
    assert!((500..SESSIONS).contains(&before), "the middle was missed: {before}");
    proxy.heal();
    eventually(Duration::from_secs(5), || async { completed(&pg).await > before }).await;
    // And once more, when they have just come back.
    flush_redis(&stage).await;
    pg.conn().await.unwrap().batch_execute(cut).await.unwrap();
    eventually(Duration::from_secs(30), || async { completed(&pg).await == SESSIONS }).await;

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
    assert!(latest < 20_000, "the last was {latest} ms late");
    eventually(Duration::from_mins(1), || async { number(&pg, "SELECT count(*) FROM outbox").await == 0 }).await;
}
