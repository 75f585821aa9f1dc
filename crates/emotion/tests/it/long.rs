//! A long reply: its text is let go of once it is kept, and read where it is kept by whoever comes late.

use std::time::Duration;

use chassis::socket::Patience;
use diesel::{QueryableByName, sql_query, sql_types::Integer};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use domain::ids::{ConversationId, StepId, UserId};
use emotion::{
    app::App,
    companion::OfflineCompanion,
    conversation::{Conversation, store as conversations},
    step::{kept, running, store::NewStep},
    vault::PersonVault,
};
use serde_json::{Value, json};
use testkit::{Socket, Stage, TestClient, eventually};

use crate::{Prompted, config, hear, open, say, start_with, steps};

/// Above what is held of a reply in any case.
const WORDS: usize = 900;

/// Returns so many words.
fn words(letters: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{letters}{number} ")).collect()
}

/// Reads so many words.
async fn read(socket: &mut Socket, words: usize) -> (String, Value) {
    let (mut text, mut last) = (String::new(), Value::Null);
    for _ in 0..words {
        last = socket.next_json().await;
        assert!(last["token"].is_string(), "no token: {last}");
        text.push_str(last["token"].as_str().unwrap());
    }
    (text, last)
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Integer)]
    form: i32,
    #[diesel(sql_type = Integer)]
    pieces: i32,
}

/// Returns in which form a reply is kept, and how many pieces of it.
async fn kept_as(stage: &Stage) -> (i32, i32) {
    let query = "SELECT get_byte(gpt_response_sealed, 0) AS form, reply_seq AS pieces FROM emotion_steps";
    let Kept { form, pieces } = sql_query(query).get_result(&mut stage.pg().conn().await.unwrap()).await.unwrap();
    (form, pieces)
}

/// Waits until so many pieces are kept, and a moment longer: then they are let go of.
async fn wait_until_kept(stage: &Stage, pieces: usize) {
    let kept = (2, i32::try_from(pieces).unwrap());
    eventually(Duration::from_secs(20), || async { kept_as(stage).await == kept }).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
}

async fn look_from(kim: &TestClient, session_id: &str, seen: usize) -> Socket {
    let (mut socket, _) = open(kim, Some(session_id)).await;
    socket.send_json(&json!({ "type": "resume", "after": seen })).await;
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_reads_all_of_a_long_reply_and_it_is_kept_whole() {
    let (first, second) = (words("하나", WORDS), words("둘", WORDS));
    let all: Vec<_> = first.iter().chain(&second).map(String::as_str).collect();
    let (text, companion) = (all.concat(), Prompted::new(&all));
    let (stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "길게 말해 줘").await;
    companion.let_say(WORDS);
    let (begun, token) = read(&mut socket, WORDS).await;
    assert_eq!(begun, first.concat());
    wait_until_kept(&stage, WORDS).await;

    let mut late = look_from(&kim, &session_id, 0).await;
    assert_eq!(read(&mut late, WORDS).await.0, first.concat(), "from its beginning");
    let mut later = look_from(&kim, &session_id, WORDS - 1).await;
    assert_eq!(read(&mut later, 1).await.0, first[WORDS - 1], "from near where it is");
    let so_far = steps(&kim, &session_id).await;
    assert_eq!((&so_far[0]["status"], &so_far[0]["gpt_response"]), (&json!("streaming"), &json!(first.concat())));
    companion.let_say(WORDS / 2);
    wait_until_kept(&stage, WORDS + WORDS / 2).await;
    companion.let_say(WORDS);
    for socket in [&mut socket, &mut late, &mut later] {
        let (rest, done) = hear(socket).await;
        assert_eq!((rest, &done["done"]), (second.concat(), &json!(true)));
    }
    assert_eq!(kept_as(&stage).await, (1, i32::try_from(all.len()).unwrap()), "whole, and in one piece");
    assert_eq!(steps(&kim, &session_id).await[0]["gpt_response"], text);
    let events = format!("/emotion/steps/{}/stream", token["step_id"].as_str().unwrap());
    let mut events = kim.events(&events, &[("last-event-id", "899")]).await;
    assert_eq!(events.next().await.data["token"], first[899], "with the pieces it was said in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_let_go_of_and_is_not_kept_any_more_is_an_interruption_and_no_shorter_reply() {
    let all = words("말", 2 * WORDS);
    let companion = Prompted::new(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let (stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "길게 말해 줘").await;
    companion.let_say(WORDS);
    read(&mut socket, WORDS).await;
    wait_until_kept(&stage, WORDS).await;
    let lose = "UPDATE emotion_steps SET gpt_response_sealed = NULL";
    stage.pg().conn().await.unwrap().batch_execute(lose).await.unwrap();
    let (text, error) = hear(&mut look_from(&kim, &session_id, 0).await).await;
    assert_eq!((text.as_str(), &error["error"]["code"]), ("", &json!("reply_interrupted")));
    // Who keeps up hears the rest, and that it is not whole.
    companion.let_say(WORDS);
    let (rest, error) = hear(&mut socket).await;
    assert_eq!((rest, &error["error"]["code"]), (all[WORDS..].concat(), &json!("reply_interrupted")));
}

/// A running step whose reply nobody writes but the test.
struct Written {
    conn: chassis::pg::Connection,
    vault: PersonVault,
    id: StepId,
    _stage: Stage,
}

impl Written {
    async fn begin() -> Self {
        let stage = Stage::new(domain::principal::Service::Emotion, emotion::app::MIGRATIONS).await;
        let companion = std::sync::Arc::new(OfflineCompanion::default());
        let app = App::new(config(&stage), stage.clock.clone(), companion, Patience::default()).unwrap();
        let (id, talk): (StepId, ConversationId) = (stage.clock.id(), stage.clock.id());
        let (owner, now): (UserId, _) = (stage.clock.id(), stage.clock.now());
        let mut conn = stage.pg().conn().await.unwrap();
        let vault = app.vault.open_for(&mut conn, owner).await.unwrap();
        conversations::insert_missing(&mut conn, &vault, &Conversation::new(talk, owner, now)).await.unwrap();
        let step = NewStep::streaming(id.0, talk.0, owner.0, 1, "말", now);
        running::insert(&conn, &vault, step).await.unwrap();
        Self { conn, vault, id, _stage: stage }
    }

    fn conn(&mut self) -> &mut AsyncPgConnection {
        &mut self.conn
    }

    /// Keeps pieces behind the first `first` ones; returns how many are kept.
    async fn grow(&mut self, first: u32, pieces: &[&str]) -> Option<u32> {
        let lengths: Vec<_> = pieces.iter().map(|piece| u32::try_from(piece.len()).unwrap()).collect();
        let grown = running::Reply { text: &pieces.concat(), lengths: &lengths };
        let checkpoint = running::Checkpoint::seal(&self.vault, self.id, 1, first, grown).unwrap();
        let there = running::checkpoint(self.conn(), &[checkpoint]).await.unwrap();
        there.into_iter().next().map(|(_id, pieces)| pieces)
    }

    async fn text(&mut self) -> (String, Vec<u32>) {
        let kept = kept::find_text(&mut self.conn, &self.vault, self.id, 1).await.unwrap().unwrap();
        (kept.text, kept.lengths.unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_twice_is_kept_once_and_nothing_is_left_out() {
    let mut reply = Written::begin().await;
    assert_eq!(reply.grow(0, &[]).await, Some(0), "nothing was said yet");
    assert_eq!(reply.grow(0, &["오늘 ", "", "은"]).await, Some(3));
    let begun = ("오늘 은".to_owned(), vec![7, 0, 3]);
    assert_eq!(reply.text().await, begun);
    // The answer was lost, and more has been said meanwhile.
    assert_eq!(reply.grow(0, &["오늘 ", "", "은", " 어땠"]).await, Some(3));
    assert_eq!(reply.grow(4, &["나요"]).await, Some(3), "with a gap");
    assert_eq!(reply.grow(3, &[]).await, Some(3), "nothing new");
    assert_eq!(reply.text().await, begun);
    assert_eq!(reply.grow(3, &[" 어땠", "나요"]).await, Some(5));
    let whole = ("오늘 은 어땠나요".to_owned(), vec![7, 0, 3, 7, 6]);
    assert_eq!(reply.text().await, whole);
    running::try_again(&mut reply.conn, &reply.vault, reply.id).await.unwrap();
    assert_eq!(reply.text().await, whole, "it is still running");
    let pass = "UPDATE emotion_steps SET lease_until = now() - interval '1 second'";
    reply.conn().batch_execute(pass).await.unwrap();
    assert_eq!(running::interrupt_abandoned(reply.conn()).await.unwrap(), 1);
    assert_eq!(reply.grow(5, &["?"]).await, Some(5), "it was given up");
    assert_eq!(reply.text().await, whole);
    assert_eq!(running::try_again(&mut reply.conn, &reply.vault, reply.id).await.unwrap(), Some(2));
    assert_eq!(reply.grow(5, &["?"]).await, None, "of the try before");
    assert!(kept::find_text(&mut reply.conn, &reply.vault, reply.id, 1).await.unwrap().is_none());
    let again = kept::find_text(&mut reply.conn, &reply.vault, reply.id, 2).await.unwrap().unwrap();
    assert_eq!(again.text, "", "it begins anew");
}
