//! A process that is killed in the middle of a reply.

use std::{net::SocketAddr, time::Duration};

use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role, Service},
};
use emotion::config::EmotionConfig;
use testkit::{Child, Socket, Stage, eventually, openai::OpenAiServer};

use crate::{config, hear, model, open, say, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_whose_process_is_killed_is_interrupted_with_what_there_was_and_the_next_one_works() {
    let (server, stage) = (OpenAiServer::start(), Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await);
    server.always_answer("err=500");
    let url = server.url();
    let settings = [("OPENAI_API_KEY", "sk-test"), ("OPENAI_BASE_URL", &url), ("OPENAI_MODEL", "scripted")];
    let program = env!("CARGO_BIN_EXE_maru-emotion");
    let child = Child::serve(program, &stage, &stage.database().url(), &settings).await;
    // Somebody who looks at the same database, and outlives the child.
    let config = EmotionConfig { model: model(Some(url.clone())), ..config(&stage) };
    let app = stage.serve(emotion::build(config, stage.clock.clone()).unwrap());
    let person =
        Principal { user_id: stage.clock.id::<UserId>(), login_id: stage.clock.id::<LoginId>(), role: Role::User };
    let kim = app.as_principal(person);

    server.next("n=4000,itl=20");
    let token = stage.signer().mint(Service::Emotion, Some(person), stage.clock.now()).unwrap();
    let path = format!("/ws/emotion?user_id={}", person.user_id);
    let addr = SocketAddr::from(([127, 0, 0, 1], child.port()));
    let mut socket = Socket::open(addr, &path, Some(&token), &[]).await;
    let session_id = socket.next_json().await["session_id"].as_str().unwrap().to_owned();
    say(&mut socket, "끝까지 들어 줘").await;
    let mut heard = String::new();
    // Three seconds: something was kept by then.
    while heard.split(' ').count() < 150 {
        heard.push_str(socket.next_json().await["token"].as_str().unwrap());
    }
    eventually(Duration::from_secs(20), || async {
        steps(&kim, &session_id).await[0]["gpt_response"].as_str().is_some_and(|kept| !kept.is_empty())
    })
    .await;
    child.kill();
    eventually(Duration::from_secs(20), || async { server.live() == 0 }).await;
    eventually(Duration::from_secs(15), || async { steps(&kim, &session_id).await[0]["status"] == "interrupted" })
        .await;
    let kept = steps(&kim, &session_id).await[0]["gpt_response"].as_str().unwrap().to_owned();
    assert!(!kept.is_empty() && server.streamed()[0].sent.starts_with(&kept), "{kept}");

    let (mut socket, _) = open(&kim, Some(&session_id)).await;
    say(&mut socket, "다시 말할게").await;
    let (text, done) = hear(&mut socket).await;
    assert_eq!(done["done"], true, "{done}");
    assert_eq!(steps(&kim, &session_id).await[1]["gpt_response"], text);
}
