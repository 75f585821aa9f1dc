//! Where letters go, and what happens when the mail server is in trouble.

use std::time::{Duration, Instant};

use domain::{contract::REVOCATIONS, principal::Service};
use futures_util::StreamExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{
    Stage, eventually,
    smtp::{Mail, MailServer},
};

use crate::{
    mail::{VERIFY, code_in, prove},
    outside::{Child, count, dump, execute, hurry},
    register, registration, start, start_with, start_with_mail,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_for_a_while_gets_the_letter_in_the_end() {
    let (stage, app, mail) = start_with_mail().await;
    mail.refuse_next(2, 451);
    register(&stage, &app, "kim@example.com").await;
    eventually(Duration::from_secs(5), || async { mail.offered() >= 1 }).await;
    // The pauses between tries grow from a second on.
    eventually(Duration::from_secs(10), || async {
        hurry(&stage, "mail").await;
        !mail.mails().is_empty()
    })
    .await;
    let letter = mail.wait_for("kim@example.com").await;
    prove(&app, "kim@example.com", &code_in(&letter)).await.assert_status(200);
    eventually(Duration::from_secs(5), || async { count(&stage, "outbox WHERE topic = 'mail'").await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_keeps_neither_requests_nor_notices_waiting() {
    let (stage, app, mail) = start_with_mail().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    mail.wait_for("kim@example.com").await;
    mail.hang();
    kim.post(VERIFY, json!({})).await.assert_status(202);
    let mut fastest = Duration::MAX;
    let mut heard = Box::pin(stage.redis().subscribe(REVOCATIONS).await.unwrap());
    for index in 0..5 {
        let started = Instant::now();
        let (somebody, _) = register(&stage, &app, &format!("lee{index}@example.com")).await;
        fastest = fastest.min(started.elapsed());
        somebody.post("/auth/logout", json!({})).await.assert_status(200);
        let left = Instant::now();
        let notice = tokio::time::timeout(Duration::from_secs(15), heard.next()).await.unwrap().unwrap();
        assert!(notice.contains(&somebody.login_id.to_string()));
        println!("notice after {:?}, registration in {fastest:?} and more", left.elapsed());
    }
    // To the server they would wait for eight seconds.
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
    mail.speak();
    for index in 0..5 {
        mail.wait_for(&format!("lee{index}@example.com")).await;
    }
    mail.wait_for("kim@example.com").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_is_refused_for_good_is_let_go() {
    let (stage, app, mail) = start_with_mail().await;
    mail.refuse_next(1, 550);
    register(&stage, &app, "kim@example.com").await;
    eventually(Duration::from_secs(5), || async { count(&stage, "outbox").await == 0 }).await;
    assert_eq!((mail.offered(), mail.mails().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_like_us_is_asked_again_when_that_is_mended() {
    let (stage, app, mail) = start_with_mail().await;
    // Authentication failed: a wrong password in MAIL_URL must not cost a single letter.
    mail.refuse_next(1, 535);
    register(&stage, &app, "kim@example.com").await;
    mail.wait_for("kim@example.com").await;
    assert_eq!(mail.offered(), 2);
    drop(stage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_that_nobody_takes_for_days_is_let_go() {
    let (stage, app, mail) = start_with_mail().await;
    mail.refuse_next(usize::MAX, 451);
    register(&stage, &app, "kim@example.com").await;
    eventually(Duration::from_secs(5), || async { mail.offered() == 1 }).await;
    eventually(Duration::from_secs(5), || async {
        let long_ago = "UPDATE outbox SET attempts = 4320, due_at = clock_timestamp() WHERE topic = 'mail'";
        execute(&stage, long_ago).await;
        count(&stage, "outbox").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_people_register_and_are_told_that_no_code_will_come() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    let asked = json!({ "email": "kim@example.com" });
    for path in [VERIFY, "/auth/password-reset"] {
        app.anonymous().post(path, asked.clone()).await.assert_problem(503, "mail_not_configured");
    }
    assert_eq!(count(&stage, "outbox WHERE topic = 'mail'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_developers_machine_a_letter_is_a_file() {
    let directory = std::env::temp_dir().join(format!("maru-mail-{}", chassis::clock::Clock::system().uuid()));
    let url = url::Url::from_file_path(&directory).unwrap();
    let (stage, app) = start_with(|config| config.mail.mail_url = Some(SecretString::from(String::from(url)))).await;
    register(&stage, &app, "kim@example.com").await;
    let files = || std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    eventually(Duration::from_secs(5), || async { count(&stage, "outbox").await == 0 }).await;
    let files = files();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].extension().unwrap(), "eml");
    let letter = Mail { from: String::new(), to: Vec::new(), data: std::fs::read(&files[0]).unwrap() };
    prove(&app, "kim@example.com", &code_in(&letter)).await.assert_status(200);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_holds_a_code() {
    let (stage, app, mail) = start_with_mail().await;
    mail.hang();
    register(&stage, &app, "kim@example.com").await;
    eventually(Duration::from_secs(5), || async { count(&stage, "action_codes").await == 1 }).await;
    let rows = [dump(&stage, "outbox").await, dump(&stage, "action_codes").await].concat();
    assert_eq!(rows.len(), 2, "{rows:?}");
    mail.speak();
    let code = code_in(&mail.wait_for("kim@example.com").await);
    for row in rows {
        assert!(!row.contains(&code) && !row.to_uppercase().contains(&code), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_survives_the_process_that_was_to_send_it() {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let mail = MailServer::start();
    let settings = [("MAIL_URL", mail.url())];
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    mail.hang();
    let first = Child::start(&stage, &settings).await;
    let (status, _) = first.post(&stage, None, "/register", &registration("kim@example.com"), &[]).await;
    assert_eq!(status, 201);
    eventually(Duration::from_secs(5), || async { count(&stage, "action_codes").await == 1 }).await;
    first.kill().await;
    assert_eq!(count(&stage, "outbox WHERE topic = 'mail'").await, 1);

    mail.speak();
    let second = Child::start(&stage, &settings).await;
    // What a process that died had taken is another's when its time is up; a test does not wait for that.
    hurry(&stage, "mail").await;
    let code = code_in(&mail.wait_for("kim@example.com").await);
    let typed = json!({ "email": "kim@example.com", "code": code });
    let (status, answer): (u16, Value) = second.post(&stage, None, VERIFY, &typed, &[]).await;
    assert_eq!(status, 200, "{answer}");
}
