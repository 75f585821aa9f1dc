//! Connections that come back in a state nobody wants them in.

use std::{collections::BTreeSet, time::Duration};

use chassis::{
    pg::{Pg, PgConfig, only_row},
    prepared::Prepare,
    problem::Outcome,
    redis::{Redis, RedisConfig},
};
use deadpool_redis::redis::{cmd, pipe};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::principal::Service;
use futures_util::future::join_all;
use secrecy::SecretString;
use testkit::{Stage, database::TestDatabase, eventually, fault_proxy::FaultProxy};
use tokio::time::timeout;

const MIGRATIONS: diesel_migrations::EmbeddedMigrations = diesel_migrations::embed_migrations!("../../migrations/auth");

async fn lock_table(pg: &Pg, then: impl Future<Output = ()> + Send) -> Outcome<()> {
    let mut conn = pg.conn().await?;
    conn.transaction(async move |conn| {
        diesel::sql_query("LOCK TABLE users IN ACCESS EXCLUSIVE MODE").execute(conn).await?;
        then.await;
        Outcome::Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_dropped_in_its_transaction_holds_no_lock() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let pg = stage.pg();
    let dropped = timeout(Duration::from_millis(200), lock_table(&pg, std::future::pending())).await;
    assert!(dropped.is_err(), "the transaction was cut off at its deadline");
    let next = timeout(Duration::from_secs(3), lock_table(&pg, std::future::ready(()))).await;
    next.expect("the lock is free").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_all_in_use_is_busy_and_not_away() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let mut config = stage.base_config().pg;
    config.database_pool_size = 1;
    let pg = Pg::new(&config, "test").unwrap();
    let in_use = pg.conn().await.unwrap();
    assert!(pg.answers().await);
    let refused = pg.conn().await.err().unwrap();
    assert_eq!((refused.status().as_u16(), refused.code()), (503, "unavailable"));
    drop(in_use);
    pg.conn().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_a_server_that_went_away_are_replaced() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let pg = stage.pg();
    for _ in 0..3 {
        let mut victim = pg.conn().await.unwrap();
        let ended = diesel::sql_query("SELECT pg_terminate_backend(pg_backend_pid())").execute(&mut victim).await;
        assert!(ended.is_err());
        drop(victim);
        eventually(Duration::from_secs(5), || async { pg.answers().await }).await;
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_prepared_stays_so_on_its_connection() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let mut conn = stage.pg().conn().await.unwrap();
    for name in ["a", "b", "c"] {
        let update = sql_query("UPDATE users SET name = $1").bind::<Text, _>(name);
        update.prepared().execute(&mut conn).await.unwrap();
    }
    let kept = "SELECT count(*) AS number FROM pg_prepared_statements \
                WHERE statement LIKE 'UPDATE users%' AND generic_plans + custom_plans = 3";
    assert_eq!(sql_query(kept).get_result::<Number>(&mut conn).await.unwrap().number, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_not_taken_for_the_end_of_its_statement() {
    /// How many bytes say that a statement is done and committed (`ReadyForQuery`).
    const END: usize = 6;
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let config = PgConfig { database_url: stage.database().url_through(proxy.addr()), database_pool_size: 1 };
    let asked = || sql_query("SELECT 1::bigint AS number").prepared();
    // Of a value of eight bytes: `BindComplete`, `DataRow` and `CommandComplete`.
    let row = 5 + (7 + 4 + 8) + (5 + "SELECT 1\0".len());
    let mut answers = Vec::new();
    for bytes in [row, row + END] {
        proxy.heal();
        let mut conn = Pg::new(&config, "test").unwrap().conn().await.unwrap();
        assert_eq!(only_row(asked().load::<Number>(&mut conn)).await.unwrap().number, 1);
        proxy.cut_after(bytes);
        answers.push(only_row(asked().load::<Number>(&mut conn)).await.map(|number| number.number).ok());
    }
    assert_eq!(answers, [None, Some(1)]);
}

async fn reading_backend(pg: &Pg) -> i64 {
    let ask = async |mut conn: &AsyncPgConnection| {
        let backend = sql_query("SELECT pg_backend_pid()::bigint AS number");
        Ok(backend.get_result::<Number>(&mut conn).await?.number)
    };
    pg.read(ask).await.unwrap()
}

#[tokio::test]
async fn short_reads_of_a_thread_share_a_connection_and_outlive_it() {
    let stage = Stage::new(Service::Auth, MIGRATIONS).await;
    let pg = stage.pg();
    let mut known = BTreeSet::new();
    for _ in 0..2 {
        let backends: BTreeSet<i64> = join_all((0..40).map(|_| reading_backend(&pg))).await.into_iter().collect();
        let [backend] = Vec::from_iter(backends)[..] else { panic!("several connections") };
        assert!(known.insert(backend));
        let end = sql_query("SELECT pg_terminate_backend($1::int)").bind::<BigInt, _>(backend);
        end.execute(&mut pg.conn().await.unwrap()).await.unwrap();
    }
    assert!(known.insert(reading_backend(&pg).await));
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(reading_backend(&pg))
    });
    assert!(known.insert(elsewhere.join().unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_connection_that_failed_is_not_used_again() {
    let (redis, proxy) = reset_at_will();
    let ping = async || redis.run::<String>(&cmd("PING")).await;
    for _ in 0..3 {
        ping().await.unwrap();
    }
    assert_eq!(proxy.connections(), 1);
    proxy.reset();
    eventually(Duration::from_secs(5), || async { proxy.open_connections() == 0 }).await;
    proxy.heal();
    // Nobody knows yet that it is gone, unless it has been idle for so long that it is looked at first.
    if let Err(problem) = ping().await {
        assert_eq!(problem.status().as_u16(), 503);
        ping().await.unwrap();
    }
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn short_questions_to_redis_share_a_connection_and_outlive_it() {
    let (redis, proxy) = reset_at_will();
    let ping = async || redis.share(async |conn| cmd("PING").query_async::<String>(conn).await).await;
    for answer in join_all((0..40).map(|_| ping())).await {
        assert_eq!(answer.unwrap(), "PONG");
    }
    assert_eq!(proxy.connections(), 1);
    proxy.reset();
    eventually(Duration::from_secs(5), || async { proxy.open_connections() == 0 }).await;
    assert_eq!(ping().await.unwrap_err().status().as_u16(), 503);
    proxy.heal();
    // Whoever is the first to notice asks again.
    assert!(join_all((0..40).map(|_| ping())).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_refusal_is_no_reason_to_connect_again() {
    let (redis, proxy) = reset_at_will();
    for _ in 0..3 {
        assert!(redis.share(async |conn| cmd("NO-SUCH-COMMAND").query_async::<String>(conn).await).await.is_err());
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order_wherever_its_keys_live() {
    let redis_url = SecretString::from(testkit::settings::required("MARU_TEST_REDIS_URL"));
    let redis_prefix = format!("test:{}", std::process::id());
    let redis =
        Redis::new(&RedisConfig { redis_url, redis_prefix, redis_pool_size: 1, patience: Duration::ZERO }).unwrap();
    let mut commands = pipe();
    for number in 0..50 {
        commands.cmd("SET").arg(redis.key(number)).arg(number).arg("EX").arg(60).ignore();
        commands.cmd("INCR").arg(redis.key(number));
    }
    let expected: Vec<i64> = (1..=50).collect();
    assert_eq!(commands.query_async::<Vec<i64>>(&mut redis.conn().await.unwrap()).await.unwrap(), expected);
    let shared = redis.share(async |conn| commands.query_async::<Vec<i64>>(conn).await).await;
    assert_eq!(shared.unwrap(), expected);
    // One that is refused refuses the whole, but not what is asked next.
    let mut refused = commands.clone();
    refused.cmd("LPUSH").arg(redis.key(0)).arg("a number is no list");
    let mut conn = redis.conn().await.unwrap();
    assert!(refused.query_async::<Vec<i64>>(&mut conn).await.is_err());
    assert_eq!(commands.query_async::<Vec<i64>>(&mut conn).await.unwrap(), expected);
    let keys: Vec<_> = (0..50).map(|number| redis.key(number)).collect();
    assert_eq!(cmd("DEL").arg(keys).query_async::<i64>(&mut conn).await.unwrap(), 50);
    drop(conn);
    assert!(redis.answers().await);
}

/// Returns Redis behind something that can cut its connections; the pool has one.
pub(crate) fn reset_at_will() -> (Redis, FaultProxy) {
    let url = url::Url::parse(&testkit::settings::single_redis_url()).unwrap();
    let upstream = url.socket_addrs(|| None).unwrap();
    let proxy = FaultProxy::start(upstream[0]).unwrap();
    let redis_url = SecretString::from(format!("redis://{}", proxy.addr()));
    let (redis_prefix, patience) = ("test".to_owned(), Duration::ZERO);
    let config = RedisConfig { redis_url, redis_prefix, redis_pool_size: 1, patience };
    (Redis::new(&config).unwrap(), proxy)
}
