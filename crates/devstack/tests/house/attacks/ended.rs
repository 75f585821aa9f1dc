//! Logins that have ended.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{House, say};
use crate::person::{PASSWORD, Person};

/// How long what has ended may go on.
const DEAD_WITHIN: Duration = Duration::from_secs(1);
/// How long a busy machine may take to show it. One of the ways must be through within the second: a word that goes
/// around is as fast for all of them, and what is not told is found out after five seconds only.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);

/// A login that was ended, in whichever way, opens nothing a second later: its tokens are refused at every service, by
/// every gateway, and its open sockets are closed.
pub(super) async fn attack_15_what_has_ended_is_refused_and_closed_within_a_second(house: &House) {
    let email = "ends@example.com";
    let [gateway, other] = house.stack.gateways()[..] else { panic!("two gateways") };
    let doors = |person: &Person| [person.clone(), person.at(other)];
    Person::register(gateway, email).await;
    let login = async || Person::login(gateway, email, PASSWORD).await;

    let person = login().await;
    let logout = async || _ = person.post("/auth/logout", json!({})).await.ok(200);
    let mut fastest = dies(doors(&person), "a logout", logout).await;

    let (person, elsewhere) = (login().await, login().await);
    let other = elsewhere.clone();
    let path = format!("/auth/sessions/{}", super::things::login_of(person.token.as_deref().expect("signed in")));
    let shown_out = dies(doors(&person), "being shown out", async || {
        other.try_send(Method::DELETE, &path, None).await.expect("an answer").ok(200);
    });
    fastest = fastest.min(shown_out.await);
    elsewhere.get("/user/me").await.ok(200);

    let person = login().await;
    let change = json!({ "current_password": PASSWORD, "new_password": "dugout-Ended-41c9" });
    let changed = dies(doors(&person), "a new password", async || {
        _ = elsewhere.post("/change-password", change.clone()).await.ok(200);
    });
    fastest = fastest.min(changed.await);
    elsewhere.get("/user/me").await.ok(200);

    let grant = |role| _ = house.stack.must(&["auth", "grant", "--email", email, "--role", role]);
    grant("organizer");
    let person = Person::login(gateway, email, "dugout-Ended-41c9").await;
    assert_eq!(person.get("/user/me").await.ok(200).json["role"], "organizer");
    fastest = fastest.min(dies(doors(&person), "a lost role", async || grant("user")).await);

    let person = Person::login(gateway, email, "dugout-Ended-41c9").await;
    let erase = json!({ "password": "dugout-Ended-41c9" });
    let erased = dies(doors(&person), "the end of the account", async || {
        person.try_send(Method::DELETE, "/user/me", Some(erase.clone())).await.expect("an answer").ok(202);
    });
    fastest = fastest.min(erased.await);
    assert!(fastest < DEAD_WITHIN, "whatever ended, it took {fastest:?} and longer");
}

/// Ends a login and returns how long it took until nothing of it was left.
async fn dies(doors: [Person; 2], of: &str, end: impl AsyncFnOnce()) -> Duration {
    let mut sockets = Vec::new();
    for person in &doors {
        let mut socket = person.socket(&format!("/ws/emotion?user_id={}", person.id)).await;
        socket.next_json().await;
        person.get("/memo/tags").await;
        sockets.push(socket);
    }
    end().await;
    let ended = Instant::now();
    let refused = async {
        for path in ["/user/me", "/api/v1/sessions", "/memo/list?tz=UTC"] {
            for person in &doors {
                while person.get(path).await.status != 401 {
                    assert!(ended.elapsed() < SHOWN_WITHIN, "{path} is still open after {of}");
                }
            }
        }
        ended.elapsed()
    };
    let closed = async {
        for socket in sockets {
            socket.closed().await;
        }
        ended.elapsed()
    };
    let (refused, closed) = tokio::join!(refused, closed);
    say(&format!("after {of}: refused in {refused:.1?}, sockets closed in {closed:.1?}"));
    assert!(closed < SHOWN_WITHIN, "{of}: closed {closed:?}");
    refused.max(closed)
}
