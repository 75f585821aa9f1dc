//! The people who talk, and the door they come in by.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::try_join_all;
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use super::super::tunnel::source_address;
use crate::trouble::Trouble;

/// Streams of one person: fewer than the sockets and replies that a development platform lets one have.
const STREAMS_OF_ONE: u32 = 32;
/// Accounts that are made at the same time: a password's hash is worth a core for a while.
const AT_ONCE: usize = 4;
/// Longest wait for an account.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody with an account.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Person {
    pub(super) user_id: String,
    pub(super) access_token: String,
}

/// Where people come in.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
}

impl Door {
    pub(super) fn new(gateway: &str) -> Result<Self, Trouble> {
        let authority = gateway.trim_start_matches("http://");
        let address = authority.parse();
        let broken = |fault| Trouble::Broken(format!("the gateway's address {authority}: {fault}"));
        Ok(Self { address: address.map_err(broken)? })
    }
}

/// Returns how many people are needed: everybody whose first token is timed talks alone.
pub(super) fn needed(streams: u32, at_once: u32) -> u32 {
    streams.div_ceil(STREAMS_OF_ONE).max(at_once)
}

/// Registers so many people.
pub(super) async fn register(gateway: &str, people: u32) -> Result<Vec<Person>, Trouble> {
    let (numbers, mut registered): (Vec<u32>, _) = ((0..people).collect(), Vec::new());
    for some in numbers.chunks(AT_ONCE) {
        registered.extend(try_join_all(some.iter().map(|number| register_one(gateway, *number))).await?);
    }
    Ok(registered)
}

async fn register_one(gateway: &str, number: u32) -> Result<Person, Trouble> {
    let broken = |fault: reqwest::Error| Trouble::Broken(format!("the gateway: {fault}"));
    // One address may only register so many a minute.
    let source = IpAddr::V4(source_address(number));
    let http = Client::builder().no_proxy().timeout(PATIENCE).local_address(source).build().map_err(broken)?;
    let email = format!("bench-emotion-{}-{number}@example.com", std::process::id());
    let person = json!({ "name": "maru-bench", "email": email, "password": "maru-bench 마루 4127" });
    let sent = http.post(format!("{gateway}/register")).json(&person).send().await;
    let answered = sent.and_then(reqwest::Response::error_for_status).map_err(broken)?;
    answered.json().await.map_err(broken)
}
