//! An auth service of few words: every token here names its person, and no login has ended.

use std::net::Ipv4Addr;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use crate::trouble::Trouble;

/// What fills a token up to the length of one that an auth service issues.
const FILLING: usize = 400;

#[derive(Deserialize)]
struct Shown {
    token: String,
}

/// A running auth service; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct ScriptedAuth {
    _task: JoinSet<()>,
}

impl ScriptedAuth {
    /// Starts on a port of 127.0.0.1.
    pub(super) fn start(port: u16) -> Result<Self, Trouble> {
        let server = HttpServer::new(|| {
            App::new()
                .route("/internal/revocations", web::get().to(no_revocations))
                .route("/internal/tokens/verify", web::post().to(verify))
        })
        .workers(1)
        .disable_signals()
        .bind((Ipv4Addr::LOCALHOST, port))?
        .run();
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Whoever asks it in vain says so.
            let _ = server.await;
        });
        Ok(Self { _task: task })
    }
}

/// Returns the token of person number `number`.
pub(super) fn token(number: u32) -> String {
    format!("{}.{}", id(u64::from(number)), "x".repeat(FILLING))
}

/// Returns an id of its own for every number.
pub(super) fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

async fn no_revocations() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "revoked": [], "as_of": null }))
}

async fn verify(shown: web::Json<Shown>) -> HttpResponse {
    let person = shown.token.split('.').next().unwrap_or_default();
    HttpResponse::Ok().json(json!({
        "principal": { "user_id": person, "login_id": person, "role": "user" },
        "expires_at": "2100-01-01T00:00:00.000Z",
    }))
}
