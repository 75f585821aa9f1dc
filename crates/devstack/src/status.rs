//! `maru-dev status`: what runs, asked now.

use std::{collections::BTreeMap, process::ExitCode};

use serde_json::{Value, json};
use url::Url;

use crate::{
    databases::host_and_port,
    fault::Fault,
    probe, redis,
    services::{GATEWAY, gateway_name},
    settings::Settings,
    state::{self, State},
    terminal::Terminal,
};

/// One part and how it is.
struct Row {
    name: String,
    place: String,
    pid: Option<u32>,
    ready: bool,
}

/// Shows the running stack; success only when every part of it is ready.
pub(crate) async fn run(settings: &Settings, as_json: bool, terminal: &Terminal) -> Result<ExitCode, Fault> {
    let state = state::of_running(settings)?;
    let rows = ask(&state).await;
    if as_json {
        terminal.line(document(&state, &rows)?);
    } else {
        show(&state, &rows, terminal);
    }
    Ok(if rows.iter().all(|row| row.ready) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn document(state: &State, rows: &[Row]) -> Result<String, Fault> {
    let shape = || {
        let mut document = serde_json::to_value(state)?;
        let ready: BTreeMap<&str, bool> = rows.iter().map(|row| (row.name.as_str(), row.ready)).collect();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("ready".to_owned(), json!(ready));
        }
        serde_json::to_string_pretty::<Value>(&document)
    };
    shape().map_err(|error| {
        Fault::new(format!("could not shape the document: {error}"), "this is a defect of maru-dev, report it")
    })
}

fn show(state: &State, rows: &[Row], terminal: &Terminal) {
    for row in rows {
        let ready = if row.ready { "ready" } else { "NOT READY" };
        let pid = row.pid.map(|pid| format!("pid {pid}")).unwrap_or_default();
        terminal.line(format!("{:<14}{ready:<11}{:<34}{pid}", row.name, row.place).trim_end().to_owned());
    }
    terminal.line("");
    terminal.line(format!("Start page    {}/", state.gateway_url));
    terminal.line(format!("Logs          {}", state.logs.display()));
}

async fn ask(state: &State) -> Vec<Row> {
    let database = state.database_urls.values().next().map(String::as_str).unwrap_or_default();
    let mut rows = vec![listening("postgres", database, 5432, state.pids.postgres).await];
    if let Some(standby) = &state.postgres_standby_url {
        rows.push(listening("standby", standby, 5432, state.pids.postgres_standby).await);
    }
    rows.extend(redis_servers(state).await);
    rows.push(listening("s3", &state.s3.endpoint, 443, None).await);
    for (service, urls) in &state.services {
        for (place, url) in urls.iter().enumerate() {
            let pid = pid_of(state, service, place);
            rows.push(Row { name: format!("{service}.{}", place + 1), ..answering(url, url, pid).await });
        }
    }
    for (place, (url, admin)) in state.gateway_urls.iter().zip(&state.gateway_admin_urls).enumerate() {
        let row = answering(admin, url, pid_of(state, GATEWAY, place)).await;
        rows.push(Row { name: gateway_name(place), ..row });
    }
    rows
}

async fn redis_servers(state: &State) -> Vec<Row> {
    let mut rows = Vec::new();
    match &redis::servers(&state.redis_url)[..] {
        [one] => rows.push(listening(redis::NAME, one, 6379, state.pids.redis).await),
        several => {
            for (place, node) in several.iter().enumerate() {
                let pid = state.pids.redis_nodes.get(place).copied();
                rows.push(listening(&format!("{}.{}", redis::NAME, place + 1), node, 6379, pid).await);
            }
        }
    }
    rows
}

fn pid_of(state: &State, service: &str, place: usize) -> Option<u32> {
    state.pids.services.get(service)?.get(place).copied()
}

/// A part that is ready when something listens. Its address is shown without the password.
async fn listening(name: &str, address: &str, default_port: u16, pid: Option<u32>) -> Row {
    let (host, port) = host_and_port(address, default_port).unwrap_or_default();
    Row { name: name.to_owned(), place: format!("{host}:{port}"), pid, ready: probe::listens(&host, port).await }
}

/// A service that is ready when it says so.
async fn answering(probed: &str, shown: &str, pid: Option<u32>) -> Row {
    let port = Url::parse(probed).ok().and_then(|url| url.port()).unwrap_or_default();
    Row { name: String::new(), place: shown.to_owned(), pid, ready: probe::is_ready(port).await }
}
