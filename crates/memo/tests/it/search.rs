//! Finding memos by words, tags and sessions, page by page.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use domain::{
    fault::Violations,
    memo::search::{Searchable, Sought},
};
use memo::{app::App, memos::keys};
use serde_json::json;
use testkit::{Stage, TestClient};
use url::form_urlencoded::byte_serialize;

use crate::{config, start};

async fn found(of: &TestClient, query: &str) -> Vec<String> {
    let answer = of.get(&format!("/memo/list?{query}")).await.assert_status(200);
    answer.json.as_array().unwrap().iter().map(|memo| memo["content"].as_str().unwrap().to_owned()).collect()
}

fn q(text: &str) -> String {
    format!("q={}", byte_serialize(text.as_bytes()).collect::<String>())
}

async fn write(of: &TestClient, stage: &Stage, contents: &[&str]) {
    for content in contents {
        of.post("/memo", json!({ "content": content, "tags": ["모두"] })).await.assert_status(201);
        stage.clock.advance(Duration::from_millis(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_found_in_korean_and_english_newest_first() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    write(&kim, &stage, &["회의 준비", "오늘 회의실에서 Meeting", "저녁 산책", "책 읽기"]).await;
    write(&app.as_user(), &stage, &["남의 회의"]).await;
    assert_eq!(found(&kim, &q("회의")).await, ["오늘 회의실에서 Meeting", "회의 준비"]);
    assert_eq!(found(&kim, &q("ㅎㅇ")).await, ["오늘 회의실에서 Meeting", "회의 준비"]);
    assert_eq!(found(&kim, &q("meet 회의")).await, ["오늘 회의실에서 Meeting"]);
    assert_eq!(found(&kim, &q("책")).await, ["책 읽기"]);
    assert_eq!(found(&kim, &q("모두 ㅅㅊ")).await, ["저녁 산책"]);
    assert_eq!(found(&kim, &q("의회")).await, Vec::<String>::new());
    let today = stage.clock.now().date_naive();
    let day = format!("tz=UTC&start_date={today}&end_date={today}");
    assert_eq!(found(&kim, &format!("{day}&{}", q("산책"))).await, ["저녁 산책"]);
    let past = "tz=UTC&start_date=2020-01-01&end_date=2020-01-01";
    assert!(found(&kim, &format!("{past}&{}", q("산책"))).await.is_empty());
    for bad in ["q=", "q=%20", "q=%00x", &q(&"가".repeat(201)), &q(&"가 ".repeat(11)), "q=a&trash=true"] {
        let answer = kim.get(&format!("/memo/list?{bad}")).await.assert_problem(422, "invalid");
        assert_eq!(answer.text("/errors/0/pointer"), "?q", "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_is_found_as_it_is_now() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let made = kim.post("/memo", json!({ "content": "처음 생각" })).await.assert_status(201);
    let path = format!("/memo/{}", made.text("/id"));
    kim.put(&path, json!({ "content": "나중 결론" })).await.assert_status(200);
    assert!(found(&kim, &q("생각")).await.is_empty());
    assert_eq!(found(&kim, &q("결론")).await, ["나중 결론"]);
    kim.put(&path, json!({ "tags": ["생각"] })).await.assert_status(200);
    assert_eq!(found(&kim, &q("생각")).await, ["나중 결론"]);
}

/// Follows the links of a list and returns what is in it.
async fn all_pages(of: &TestClient, query: &str) -> Vec<String> {
    let mut next = Some(format!("/memo/list?{query}"));
    let mut all = Vec::new();
    while let Some(path) = next {
        let page = of.get(&path).await.assert_status(200);
        all.extend(page.json.as_array().unwrap().iter().map(|memo| memo["content"].as_str().unwrap().to_owned()));
        let link = page.header("link").strip_prefix('<').and_then(|rest| rest.split_once('>'));
        next = link.map(|(path, _)| path.to_owned());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_among_many_finds_what_a_look_at_all_of_them_finds() {
    let (stage, app) = start().await;
    let process = App::new(config(&stage), stage.clock.clone()).unwrap();
    let kim = app.as_user();
    let words = ["회의", "회사", "의회", "학회", "주간", "간식", "meeting", "Meet", "산책", "ㅋㅋ", "책"];
    let contents: Vec<String> = (0..1_500_usize)
        .map(|n| format!("{} {}{} {n}", words[n % 11], words[n / 11 % 11], words[n / 121 % 11]))
        .collect();
    let rows: Vec<String> = contents
        .iter()
        .enumerate()
        .map(|(n, content)| {
            format!("(gen_random_uuid(), '{}', '{content}', now() - interval '{n} seconds', now())", kim.user_id)
        })
        .collect();
    // Behind the service's back, and so without keys: the service makes them.
    let sql = format!("INSERT INTO memos (id, user_id, content, created_at, updated_at) VALUES {}", rows.join(","));
    stage.pg().conn().await.unwrap().batch_execute(&sql).await.unwrap();
    while keys::make_some(&process).await.unwrap() > 0 {}

    for query in ["회의", "ㅎㅇ", "회ㅅ", "책", "주간 회", "간회", "meet", "ㅋㅋ산책", "의회의", "1234", "없는말"]
    {
        let sought = Sought::parse(query, &mut Violations::new()).unwrap();
        let tags: [&str; 0] = [];
        let expected: Vec<_> =
            contents.iter().filter(|content| sought.matches(&Searchable::of(content, &tags))).cloned().collect();
        assert_eq!(all_pages(&kim, &format!("{}&limit=70", q(query))).await, expected, "{query}");
    }
    assert_eq!(all_pages(&kim, "trash=false&limit=400").await, contents);
    let first = kim.get("/memo/list?trash=false&limit=400").await;
    assert_eq!(first.header("x-total-count"), "1500");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_leads_on_in_its_own_list_only() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    write(&kim, &stage, &["하나", "둘", "셋"]).await;
    let page = kim.get("/memo/list?tag=모두&limit=2").await.assert_status(200);
    let link = page.header("link").to_owned();
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let last = kim.get(next).await.assert_status(200);
    assert_eq!((last.text("/0/content"), last.header("link")), ("하나", ""));
    assert_eq!(last.header("x-total-count"), "3");
    let cursor = next.split("cursor=").nth(1).unwrap();
    for (who, path) in [
        (&lee, next.to_owned()),
        (&kim, format!("/memo/list?tag=다른&limit=2&cursor={cursor}")),
        (&kim, format!("/memo/list?tag=모두&cursor=x{cursor}")),
        (&kim, "/memo/list?tag=모두&cursor=".to_owned()),
    ] {
        let answer = who.get(&path).await.assert_problem(422, "invalid");
        assert_eq!(answer.text("/errors/0/pointer"), "?cursor", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_are_counted_and_lead_to_their_memos() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for (content, tags) in [("하나", json!(["산책", "가을"])), ("둘", json!(["산책"])), ("셋", json!([]))] {
        kim.post("/memo", json!({ "content": content, "tags": tags })).await.assert_status(201);
    }
    let tags = kim.get("/memo/tags").await.assert_status(200);
    assert_eq!(tags.json, json!([{ "tag": "산책", "count": 2 }, { "tag": "가을", "count": 1 }]));
    assert_eq!(app.as_user().get("/memo/tags").await.json, json!([]));
    assert_eq!(found(&kim, "tag=가을").await, ["하나"]);
    assert_eq!(found(&kim, "tag=%20산책").await.len(), 2);
    kim.get("/memo/list?session_id=x").await.assert_problem(422, "invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_says_on_every_page_how_many_it_finds() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let texts: Vec<String> = (0..12).map(|n| format!("가나다 {n}")).collect();
    write(&kim, &stage, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // Candidates: they have its neighbouring letters, and not the word.
    write(&kim, &stage, &["가나 나다", "나다 가나"]).await;
    let mut next = Some(format!("/memo/list?{}&limit=5", q("가나다")));
    let mut pages = Vec::new();
    while let Some(path) = next {
        let page = kim.get(&path).await.assert_status(200);
        assert_eq!(page.header("x-total-count"), "12", "{path}");
        pages.push(page.json.as_array().unwrap().len());
        let link = page.header("link").strip_prefix('<').and_then(|rest| rest.split_once('>'));
        next = link.map(|(path, _)| path.to_owned());
    }
    assert_eq!(pages, [5, 5, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_very_long_memos_a_page_is_found_without_reading_them_all() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    // 300 kB each.
    let texts: Vec<String> = (0..5).map(|n| format!("긴글 {n} {}", "가".repeat(99_900))).collect();
    write(&kim, &stage, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let newest_first: Vec<_> = texts.iter().rev().cloned().collect();
    assert!(all_pages(&kim, &format!("{}&limit=2", q("긴글"))).await == newest_first);
    let page = kim.get(&format!("/memo/list?{}&limit=2", q("긴글"))).await.assert_status(200);
    assert_eq!((page.header("x-total-count"), page.json.as_array().unwrap().len()), ("", 2));
    let few = kim.get(&format!("/memo/list?{}", q("긴글 3"))).await.assert_status(200);
    assert_eq!(few.header("x-total-count"), "1", "what is whole on its page is counted");
}
