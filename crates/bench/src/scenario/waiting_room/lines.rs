//! Lines, and people who join them: over HTTP, and by the bare script.

use std::{io::Write as _, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::process::Command;

use super::Options;
use crate::{
    cpu,
    figures::{self, float, percentile},
    load::{self, Pace},
    own_database::OwnDatabase,
    people::{self, Audience, Keys, random_id},
    process::{Processes, find_program, free_port},
    redis_wire::Redis,
    ticketing_process::{PREFIX, Server, Surroundings, start_ticketing},
    trouble::Trouble,
    wrk::cpu_per_request,
};

/// The service's own script.
const SCRIPT: &str = include_str!("../../../../ticketing/src/queue/queue.lua");
/// The names of a line's keys, in the script's order.
const NAMES: [&str; 10] =
    ["meta", "queue", "seen", "active", "buckets", "changes", "numbers", "missed", "restored", "opening"];
/// How long a place is kept and how long people may take to notice, milliseconds.
const TIMES: [&str; 2] = ["3600000", "60000"];
/// People who are inside at once, in every line here.
const THRESHOLD: u32 = 1_000;
/// The most different people whom redis-benchmark can name.
const KEYSPACE: &str = "2000000000";

/// Redis and one service.
pub(super) struct Stage {
    pub(super) service: Server,
    pub(super) redis_pid: u32,
    pub(super) redis_port: u16,
    pub(super) keys: Keys,
}

/// How fast people joined.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    #[serde(rename = "p50_ms", serialize_with = "figures::as_milliseconds")]
    pub(super) p50: Duration,
    #[serde(rename = "p99_ms", serialize_with = "figures::as_milliseconds")]
    pub(super) p99: Duration,
    pub(super) server_micros: Option<f64>,
    pub(super) redis_micros: Option<f64>,
    pub(super) others: String,
    pub(super) faults: u64,
}

impl Stage {
    /// Starts both. The Redis is set up as the platform's own is.
    pub(super) async fn set(database: &OwnDatabase, log_level: &str, processes: &Processes) -> Result<Self, Trouble> {
        let program = find_program(&["redis-server"], "--version", "redis-server").await?;
        let redis_port = free_port()?;
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &redis_port.to_string(), "--save", "", "--appendonly", "no"]);
        let redis_pid = processes.start("redis", &mut command)?;
        let keys = Keys::generate()?;
        let service = start(1, database, redis_port, &keys, log_level, processes).await?;
        Ok(Self { service, redis_pid, redis_port, keys })
    }

    /// Makes an event with a line of its own; returns its id.
    pub(super) async fn line(&self, database: &OwnDatabase, is_paused: &str) -> Result<String, Trouble> {
        let id = random_id()?;
        let sql = format!(
            "INSERT INTO events (id, organizer_id, title, venue, event_date, sale_start_date, sale_end_date) \
             VALUES ('{id}', '{id}', 'maru-bench', 'maru-bench', now() + interval '3 days', now() - interval '1 day', \
             now() + interval '2 days'); \
             INSERT INTO ticket_types (id, event_id, name, price, total_quantity) \
             VALUES ('{id}', '{id}', 'maru-bench', 45000, 1000000); \
             INSERT INTO waiting_rooms (event_id, mode, threshold, paused) \
             VALUES ('{id}', 'on', {THRESHOLD}, {is_paused})"
        );
        database.run(&sql).await?;
        Ok(id)
    }

    /// Lets new people join.
    pub(super) async fn join(&self, options: &Options, line: &str) -> Result<Rate, Trouble> {
        let tokens = self.tokens(usize::try_from(options.joins).unwrap_or(usize::MAX))?;
        self.join_with(options, line, tokens).await
    }

    /// Lets people join who have looked before.
    pub(super) async fn join_known(&self, options: &Options, line: &str) -> Result<Rate, Trouble> {
        let tokens = self.tokens(usize::try_from(options.joins).unwrap_or(usize::MAX))?;
        let looks = request("GET", "status", line, self.service, tokens.clone());
        let pace = Pace::Count(tokens.len() as u64);
        load::send(self.service.address, options.connections, pace, 0, looks).await?;
        self.join_with(options, line, tokens).await
    }

    /// Returns tokens of people nobody has seen.
    pub(super) fn tokens(&self, count: usize) -> Result<Arc<[String]>, Trouble> {
        self.keys.tokens(Audience::Ticketing, &people::people(count)?)
    }

    /// Lets everybody with these tokens join.
    pub(super) async fn join_with(
        &self,
        options: &Options,
        line: &str,
        tokens: Arc<[String]>,
    ) -> Result<Rate, Trouble> {
        let used = || [self.service.pid, self.redis_pid].map(cpu::used_by);
        let pace = Pace::Count(tokens.len() as u64);
        let joins = request("POST", "check", line, self.service, tokens);
        let used_before = used();
        let answered = load::send(self.service.address, options.connections, pace, 0, joins).await?;
        let count = answered.count(200);
        let mut cpu = used_before.into_iter().zip(used()).map(|(before, after)| {
            let used = before.zip(after).and_then(|(before, after)| after.checked_sub(before));
            used.and_then(|used| cpu_per_request(used, count))
        });
        let at = |share| percentile(&answered.times, share).unwrap_or_default();
        Ok(Rate {
            per_second: float(count) / answered.wall.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            server_micros: cpu.next().flatten(),
            redis_micros: cpu.next().flatten(),
            others: answered.others(200),
            faults: answered.times.len() as u64 - count,
        })
    }

    /// Measures the bare script, on a line that the service has opened.
    pub(super) async fn bare(&self, options: &Options, line: &str) -> Result<f64, Trouble> {
        self.join_with(options, line, self.tokens(1)?).await?;
        let mut redis = Redis::connect(self.redis_port).await?;
        let digest = redis.run(&["SCRIPT", "LOAD", SCRIPT]).await?;
        let keys = NAMES.map(|name| format!("{PREFIX}:queue:{{{line}}}:{name}"));
        let benchmark = find_program(&["redis-benchmark"], "--version", "redis-tools").await?;
        let mut command = Command::new(benchmark);
        command.args(["-h", "127.0.0.1", "-p", &self.redis_port.to_string(), "--csv", "-r", KEYSPACE]);
        command.args(["-c", &options.clients.to_string(), "-n", &options.joins.to_string()]);
        command.args(["EVALSHA", &digest, &keys.len().to_string()]).args(&keys);
        // Somebody whose id is as long as any, and who shows no place of theirs.
        let [ttl, claim] = TIMES;
        command.args(["join", ttl, claim, "6d617275-0000-4000-8000-__rand_int__", "0", "0", "0", "0"]);
        let output = command.kill_on_drop(true).output().await?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let [_, queue, ..] = &keys;
        let waiting: u32 = redis.run(&["ZCARD", queue]).await?.parse().unwrap_or_default();
        if f64::from(waiting) < 0.9 * f64::from(options.joins) - f64::from(THRESHOLD) {
            return Err(Trouble::Broken(format!("after the bare script only {waiting} people wait: {printed}")));
        }
        parse_rate(&printed).ok_or_else(|| Trouble::Broken(format!("redis-benchmark printed no rate: {printed}")))
    }
}

/// Starts one replica.
pub(super) async fn start(
    replica: u32,
    database: &OwnDatabase,
    redis_port: u16,
    keys: &Keys,
    log_level: &str,
    processes: &Processes,
) -> Result<Server, Trouble> {
    let redis_url = format!("redis://127.0.0.1:{redis_port}/0");
    let around = Surroundings { database_url: &database.url, redis_url: &redis_url, log_level };
    start_ticketing(&format!("ticketing-{replica}"), keys, around, processes).await
}

/// Returns what writes one request for each token.
pub(super) fn request(method: &str, what: &str, line: &str, server: Server, tokens: Arc<[String]>) -> Box<load::Write> {
    let length = if method == "POST" { "content-length: 0\r\n" } else { "" };
    let head = format!(
        "{method} /api/v1/queue/{what}/{line} HTTP/1.1\r\nhost: {}\r\n{length}authorization: Bearer ",
        server.address
    );
    Box::new(move |number, out| {
        let Some(token) = usize::try_from(number).ok().and_then(|number| tokens.get(number)) else { return false };
        write!(out, "{head}{token}\r\n\r\n").is_ok()
    })
}

/// Reads the requests per second of the last line: `"EVALSHA ...","45871.56","0.5",...`.
fn parse_rate(printed: &str) -> Option<f64> {
    printed.lines().rfind(|line| line.starts_with('"'))?.split("\",\"").nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_second_column_of_the_last_line() {
        let printed = "\"test\",\"rps\",\"avg_latency_ms\"\n\"EVALSHA abc 9 a b\",\"45871.56\",\"0.512\"\n";
        assert_eq!(parse_rate(printed), Some(45_871.56));
        assert_eq!(parse_rate("Could not connect\n"), None);
    }
}
