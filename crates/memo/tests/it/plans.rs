//! Which indexes answer what is asked most, in a table of many people's memos.

use std::time::Duration;

use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;
use domain::{
    ids::UserId,
    memo::search::Searchable,
    principal::{Principal, Role},
};
use serde_json::Value;
use testkit::{Stage, TestApp, TestClient, eventually};
use url::form_urlencoded::byte_serialize;

use crate::{forms::number, person::sql, start};

/// What rare memos are about.
const RARE: &str = "마루 위의 고양이";

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

/// Writes 20,000 memos of twenty people over a year, of which the first one has 6,000; a few of those are about
/// [`RARE`], long ago.
async fn fill(stage: &Stage, app: &TestApp) -> TestClient {
    let kim = app.as_user();
    let keys = |text: &str| Searchable::of::<&str>(text, &[]).keys(kim.user_id);
    let list = |keys: Vec<i32>| keys.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let (common, rare) = ("오늘의 짧은 생각", RARE);
    let kims = kim.user_id;
    let insert = format!(
        "SET statement_timeout = 0; INSERT INTO memos (id, user_id, content, created_at, updated_at, search_keys) \
         SELECT gen_random_uuid(), CASE WHEN n % 10 < 3 THEN '{kims}' \
           ELSE ('00000000-0000-4000-8000-0000000000' || lpad((n % 19)::text, 2, '0')) END::uuid, \
         '{common}', now() - n * interval '26 minutes', now(), '{{{}}}' FROM generate_series(1, 20000) n",
        list(keys(common)),
    );
    // By index: what is counted below is what the service reads.
    let change = format!(
        "SET statement_timeout = 0; SET enable_seqscan = off; UPDATE memos SET content = '{rare}', search_keys = '{{{}}}' \
         WHERE id IN (SELECT id FROM memos WHERE user_id = '{kims}' AND deleted_at IS NULL ORDER BY created_at LIMIT 5)",
        list(keys(rare)),
    );
    for statement in [&insert, &change, "VACUUM ANALYZE memos"] {
        sql(stage, statement).await;
    }
    kim
}

/// How often an index was used, and how many memos were read without any.
async fn used(stage: &Stage, index: &str) -> (i64, i64) {
    let index = format!("SELECT idx_scan AS number FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
    let whole = "SELECT seq_tup_read AS number FROM pg_stat_user_tables WHERE relname = 'memos'";
    (number(stage, &index).await, number(stage, whole).await)
}

/// Asks until the database has counted an index's use, which it does once a second; nothing may read the whole table
/// meanwhile.
async fn answers_by(stage: &Stage, of: &TestClient, path: &str, index: &str) {
    let (before, whole) = used(stage, index).await;
    let is_used = || async {
        of.get(path).await.assert_status(200);
        used(stage, index).await.0 > before
    };
    eventually(Duration::from_secs(20), is_used).await;
    assert_eq!(used(stage, index).await.1, whole, "{path} read the whole table");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_a_search_read_what_their_indexes_name_and_nothing_else() {
    let (stage, app) = start().await;
    let kim = fill(&stage, &app).await;
    let today = stage.clock.now().date_naive();
    let month = format!(
        "/memo/list?tz=Asia/Seoul&start_date={}&end_date={today}&limit=100",
        today - chrono::TimeDelta::days(30)
    );
    answers_by(&stage, &kim, &month, "memos_user_created").await;
    let search = format!("/memo/list?q={}", byte_serialize(RARE.as_bytes()).collect::<String>());
    let found = kim.get(&search).await.assert_status(200);
    assert_eq!((found.json.as_array().unwrap().len(), found.header("x-total-count")), (5, "5"));
    answers_by(&stage, &kim, &search, "memos_search_keys").await;
}

/// The plans themselves, of the statements as they are prepared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_of_a_search_names_the_index_of_keys() {
    let (stage, app) = start().await;
    let kim = fill(&stage, &app).await;
    let keys = Searchable::of::<&str>(RARE, &[]).keys(kim.user_id);
    let plan = explain(
        &stage,
        &format!(
            "SELECT id FROM memos WHERE user_id = '{}' AND deleted_at IS NULL AND search_keys @> '{{{}}}'",
            kim.user_id,
            keys.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
        ),
    )
    .await;
    assert!(plan.contains("memos_search_keys") && !plan.contains("Seq Scan"), "{plan}");
    let plan = explain(
        &stage,
        &format!(
            "SELECT * FROM memos WHERE user_id = '{}' AND deleted_at IS NULL AND created_at >= now() - interval '30 days' \
             AND created_at < now() ORDER BY created_at DESC, id DESC LIMIT 301",
            kim.user_id
        ),
    )
    .await;
    assert!(plan.contains("memos_user_created") && !plan.contains("Seq Scan"), "{plan}");
    let other = kim.as_principal(Principal {
        user_id: UserId(uuid::Uuid::nil()),
        login_id: stage.clock.id(),
        role: Role::User,
    });
    assert_eq!(other.get("/memo/list?q=마루").await.assert_status(200).json, Value::Array(Vec::new()));
}

async fn explain(stage: &Stage, statement: &str) -> String {
    let mut conn = stage.pg().conn().await.unwrap();
    let rows: Vec<Plan> = sql_query(format!("EXPLAIN (COSTS off) {statement}")).load(&mut conn).await.unwrap();
    rows.into_iter().map(|row| row.plan).collect::<Vec<_>>().join("\n")
}
