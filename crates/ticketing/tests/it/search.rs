//! Finding events by their words.

use chassis::pg::Pg;
use diesel::{
    QueryResult,
    pg::Pg as Backend,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::Text,
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::{fault::Violations, seat_hold::EventStatus};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use testkit::database::TestDatabase;
use ticketing::{
    app::MIGRATIONS,
    event::{page::Page, store::Filter, words::Words},
};
use url::Url;

use crate::house::{House, ON_SALE};

fn titles(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["title"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_must_be_there_somewhere_in_any_case() {
    let house = House::open().await;
    for (title, artist, venue, address) in [
        ("달빛 재즈", "Maru Quartet", "마루홀", "서울 종로구 율곡로"),
        ("Jazz in 서울", "새벽합창단", "Olympic Hall", "서울 송파구"),
        ("봄밤", "IU", "고척돔", "서울 구로구"),
        ("SEOUL JAZZ FESTIVAL 2026", "여러 사람", "올림픽공원", "서울 송파구 올림픽로"),
        ("부산 바다 재즈", "Ocean's 5", "해운대", "부산"),
    ] {
        let event = house.event(title, ON_SALE).await;
        let artist = artist.replace('\'', "''");
        house
            .sql(&format!(
                "UPDATE events SET artist_name = '{artist}', venue = '{venue}', address = '{address}', \
                 sale_start_date = now() - interval '1 day' WHERE id = '{event}'"
            ))
            .await;
    }
    let nobody = house.app.anonymous();
    for (query, found) in [
        ("재즈", vec!["달빛 재즈", "부산 바다 재즈"]),
        ("jazz", vec!["Jazz in 서울", "SEOUL JAZZ FESTIVAL 2026"]),
        ("JAZZ 서울", vec!["Jazz in 서울", "SEOUL JAZZ FESTIVAL 2026"]),
        ("서울 재즈", vec!["달빛 재즈"]),
        ("재즈 부산 바다", vec!["부산 바다 재즈"]),
        ("재즈 없음", vec![]),
        ("밤", vec!["봄밤"]),
        ("iu", vec!["봄밤"]),
        ("합창단 올림", vec![]),
        ("합창단 olympic", vec!["Jazz in 서울"]),
        ("올림픽로", vec!["SEOUL JAZZ FESTIVAL 2026"]),
        ("n's", vec!["부산 바다 재즈"]),
        ("5", vec!["부산 바다 재즈"]),
        ("a 5", vec!["부산 바다 재즈"]),
        // Not across fields, nor across words.
        ("재즈maru", vec![]),
        ("빛재", vec![]),
        ("빛 재", vec!["달빛 재즈"]),
        // The pairs of a word may stand apart; the word itself does not stand there.
        ("s'n", vec![]),
        ("%%%", vec![]),
        ("___", vec![]),
    ] {
        let page = nobody.get(&format!("/api/v1/events?q={query}").replace('%', "%25")).await.assert_status(200).json;
        assert_eq!(titles(&page), found, "{query}");
        assert_eq!(page["pagination"]["total"], found.len(), "{query}");
    }
    let page = nobody.get("/api/v1/events?q=서울&limit=2&page=2").await.assert_status(200).json;
    assert_eq!((titles(&page).len(), &page["pagination"]["total"]), (2, &4.into()));
    let beyond = nobody.get("/api/v1/events?q=서울&page=9").await.assert_status(200).json;
    assert_eq!((titles(&beyond).len(), &beyond["pagination"]["total"]), (0, &4.into()));
    nobody.get("/api/v1/events?q=a b c d e f g h i").await.assert_problem(422, "invalid");
}

/// A query's plan.
struct Explain(Page);

impl QueryFragment<Backend> for Explain {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("EXPLAIN ");
        self.0.walk_ast(out)
    }
}

impl QueryId for Explain {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Explain {
    type SqlType = Text;
}

async fn plan(pg: &Pg, status: Option<EventStatus>, text: &str) -> String {
    let mut violations = Violations::new();
    let words = Words::parse(text, &mut violations);
    let page = Page::new(&Filter { status, words }, 10, 0);
    let mut conn = pg.conn().await.unwrap();
    // Few events are read faster than an index; this asks whether there would be one for many.
    conn.batch_execute("SET enable_seqscan = off").await.unwrap();
    let lines: Vec<String> = Explain(page).load(&mut *conn).await.unwrap();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_search_has_to_read_every_event() {
    let house = House::open().await;
    house
        .sql(
            "INSERT INTO events (id, organizer_id, title, artist_name, venue, address, event_date, sale_start_date, \
             sale_end_date) SELECT gen_random_uuid(), gen_random_uuid(), \
             (ARRAY['달빛','한강','새벽','여름','겨울'])[1 + n % 5] || ' ' || n, left(md5(n::text), 6), \
             (ARRAY['마루홀','고척돔','Olympic Hall','새벽극장','바다홀'])[1 + n % 5], '서울 ' || n, \
             now() + n * interval '1 minute', now() + (n - 1500) * interval '1 minute', \
             now() + n * interval '1 minute' FROM generate_series(1, 2000) n",
        )
        .await;
    house.sql("ANALYZE events").await;
    for text in ["재즈", "밤", "iu", "a-b", "festival", "달빛 재즈", "달빛 합창단", "마루홀 재즈 olympic", "%", "★★★"]
    {
        for status in [None, Some(EventStatus::OnSale), Some(EventStatus::Ended)] {
            let plan = plan(&house.pg, status, text).await;
            assert!(!plan.contains("Seq Scan on events"), "{text} {status:?}\n{plan}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_owns_the_database_can_migrate_it() {
    let admin = TestDatabase::empty().await;
    let admin_pg = pool(&admin.url());
    let name = format!("owner_{}", House::open().await.stage.clock.uuid().simple());
    run(&admin_pg, &format!("CREATE ROLE {name} LOGIN NOSUPERUSER PASSWORD '{name}'")).await;
    run(&admin_pg, &format!("CREATE DATABASE {name} OWNER {name}")).await;
    let mut url = Url::parse(admin.url().expose_secret()).unwrap();
    url.set_path(&name);
    url.set_username(&name).unwrap();
    url.set_password(Some(&name)).unwrap();
    let url = SecretString::from(url.to_string());
    let migrated = tokio::task::spawn_blocking(move || chassis::migrate::run(&url, MIGRATIONS)).await.unwrap();
    run(&admin_pg, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    run(&admin_pg, &format!("DROP ROLE {name}")).await;
    assert!(migrated.unwrap() > 0);
}

fn pool(url: &SecretString) -> Pg {
    Pg::new(&chassis::pg::PgConfig { database_url: url.clone(), database_pool_size: 1 }, "test").unwrap()
}

async fn run(pg: &Pg, statement: &str) {
    diesel::sql_query(statement).execute(&mut *pg.conn().await.unwrap()).await.unwrap();
}
