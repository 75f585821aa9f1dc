//! Memos: a month's list, a search among a hundred thousand, and writing one.
//!
//! A list and a search stand beside the bare statement that reads the same rows, asked one after the other on one
//! connection; they leave at a fixed rate, whatever the answers take. Writing stands beside PostgreSQL's load generator,
//! which inserts the same row as fast as it can.

mod seed;
mod tell;

use std::{io::Write as _, time::Duration};

use clap::Args;
use domain::{fault::Violations, memo::search::Sought};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;

use self::seed::{COMMON, MONTH, RARE, SELDOM, literal, person};
use super::Verdict;
use crate::{
    cpu,
    figures::{self, float, percentile, thousands},
    load::{self, Answered, Pace},
    memo_process::start_memo,
    own_database::OwnDatabase,
    pgbench::Pgbench,
    platform::Platform,
    probe::Probe,
    process::Processes,
    report::{Report, progress},
    ticketing_process::{Server, Surroundings},
    token::{InternalKey, PERSON},
    trouble::Trouble,
    wrk::cpu_per_request,
};

/// How often a bare statement is timed.
const BARE: usize = 300;
/// Requests before the clock runs.
const WARM_UP: u64 = 200;
/// What is sought: in many memos, in some, in a few, by initial consonants, by two words, and in none.
const QUERIES: [&str; 7] = [COMMON, SELDOM, RARE, "ㄱㄹㅈㄹ", "ㅎㅇ", "은하수 회의", "없는말"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Memos of the person.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    memos: u32,
    /// Seconds for each measure.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..40))]
    seconds: u64,
    /// Lists a second.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    lists: u32,
    /// Searches a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    searches: u32,
    /// Connections to the service.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..=256))]
    connections: u32,
    /// Clients of the bare insert: as many as the service has connections to its database.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..))]
    clients: u32,
    /// Rounds of writing.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The service's log level; `warn` leaves out access lines and spans.
    #[arg(long, default_value = "info")]
    log_level: String,
}

/// Times beside those of the bare statement.
#[derive(Debug, Serialize)]
struct Read {
    answered: usize,
    others: String,
    #[serde(rename = "p50_ms", serialize_with = "figures::as_milliseconds")]
    p50: Duration,
    #[serde(rename = "p99_ms", serialize_with = "figures::as_milliseconds")]
    p99: Duration,
    #[serde(rename = "bare_p50_ms", serialize_with = "figures::as_milliseconds")]
    bare_p50: Duration,
    #[serde(rename = "bare_p99_ms", serialize_with = "figures::as_milliseconds")]
    bare_p99: Duration,
    server_micros: Option<f64>,
}

/// A round of writing.
#[derive(Debug, Serialize)]
struct Written {
    bare: f64,
    service: f64,
    faults: u64,
}

struct Measured {
    list: Read,
    search: Read,
    /// Each query by itself.
    sought: Vec<(&'static str, Read)>,
    create: Vec<Written>,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let mut report = Report::open("memos").await;
    let platform = Platform::ask().await?;
    let database = OwnDatabase::create_for(&platform, "memo", "memos").await?;
    let measured = measure(options, &platform, &database, processes).await;
    processes.stop_all().await;
    database.drop().await?;
    let measured = measured?;
    tell::tell(&mut report, options, &measured);
    report.publish()?;
    let is_sound = [&measured.list, &measured.search].iter().all(|read| read.others == "none");
    let is_sound = is_sound && measured.create.iter().all(|round| round.faults == 0);
    Ok(if is_sound { Verdict::Passed } else { Verdict::Failed })
}

/// The service, and what it is asked with.
struct Stand<'a> {
    options: &'a Options,
    database: &'a OwnDatabase,
    server: Server,
    key: InternalKey,
}

async fn measure(
    options: &Options,
    platform: &Platform,
    database: &OwnDatabase,
    processes: &Processes,
) -> Result<Measured, Trouble> {
    progress(&format!("writing {} memos", thousands(options.memos.into())))?;
    seed::fill(database, usize::try_from(options.memos).unwrap_or_default()).await?;
    let key = InternalKey::generate()?;
    let around =
        Surroundings { database_url: &database.url, redis_url: &platform.redis_url, log_level: &options.log_level };
    let server = start_memo(&key, around, processes).await?;
    let stand = Stand { options, database, server, key };
    let list = stand.list().await?;
    let (search, sought) = stand.search().await?;
    let pgbench = Pgbench::find(&database.url).await?;
    let mut create = Vec::new();
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {}: the bare insert, then the service", options.rounds))?;
        create.push(stand.create(&pgbench).await?);
    }
    Ok(Measured { list, search, sought, create })
}

impl Stand<'_> {
    /// Lists one month after the other, all 27 years.
    async fn list(&self) -> Result<Read, Trouble> {
        progress(&format!("{} lists a second", self.options.lists))?;
        let months = usize::try_from(self.options.memos).unwrap_or_default() / MONTH;
        let mut days = Vec::new();
        for month in 0..months {
            let at = |day: usize| format!("to_char((now() AT TIME ZONE 'UTC')::date - {day}, 'YYYY-MM-DD')");
            let (first, last) = (at(30 * month + 30), at(30 * month + 1));
            let row = self.database.client.query_one(&format!("SELECT {first}, {last}"), &[]).await;
            let row = row.map_err(|fault| broken(&fault))?;
            let day = |at| row.try_get::<_, String>(at).map_err(|fault| broken(&fault));
            days.push((day(0)?, day(1)?));
        }
        let paths = days.iter().map(|(first, last)| format!("/memo/list?tz=UTC&start_date={first}&end_date={last}"));
        let paths: Vec<String> = paths.collect();
        self.holds(paths.first(), MONTH).await?;
        let bare = "SELECT id, user_id, content, tags, category, category_confidence, session_id, metadata, is_archived, \
                    version, created_at, updated_at FROM memos WHERE user_id = $1::text::uuid AND deleted_at IS NULL \
                    AND NOT is_archived AND created_at >= $2::text::timestamptz \
                    AND created_at < $3::text::timestamptz + interval '1 day' ORDER BY created_at DESC, id DESC LIMIT 501";
        let asked: Vec<[&(dyn ToSql + Sync); 3]> =
            days.iter().map(|(first, last)| [&PERSON as &(dyn ToSql + Sync), first, last]).collect();
        let bare = self.bare(bare, &asked).await?;
        self.read(paths, self.options.lists, &bare).await
    }

    /// Looks for one thing after the other, and then for each by itself.
    async fn search(&self) -> Result<(Read, Vec<(&'static str, Read)>), Trouble> {
        progress(&format!("{} searches a second", self.options.searches))?;
        let encoded = |query: &str| url::form_urlencoded::byte_serialize(query.as_bytes()).collect::<String>();
        let paths: Vec<String> = QUERIES.iter().map(|query| format!("/memo/list?q={}", encoded(query))).collect();
        let few = usize::try_from(self.options.memos).unwrap_or_default().div_ceil(10_000);
        self.holds(paths.get(2), few).await?;
        let bare = "SELECT id, content, tags, created_at FROM memos WHERE user_id = $1::text::uuid \
                    AND deleted_at IS NULL AND search_keys @> $2::text::int[] ORDER BY created_at DESC, id DESC LIMIT 51";
        let mut keys = Vec::new();
        for query in QUERIES {
            let sought = Sought::parse(query, &mut Violations::new());
            let sought = sought.ok_or_else(|| Trouble::Broken(format!("{query} cannot be sought")))?;
            keys.push(literal(&sought.keys(person()?)));
        }
        let asked: Vec<[&(dyn ToSql + Sync); 2]> =
            keys.iter().map(|keys| [&PERSON as &(dyn ToSql + Sync), keys]).collect();
        let times = self.bare(bare, &asked).await?;
        let all = self.read(paths.clone(), self.options.searches, &times).await?;
        let mut each = Vec::new();
        for ((query, path), asked) in QUERIES.into_iter().zip(paths).zip(asked) {
            progress(&format!("{} searches a second for {query}", self.options.searches))?;
            let times = self.bare(bare, &[asked]).await?;
            each.push((query, self.read(vec![path], self.options.searches, &times).await?));
        }
        Ok((all, each))
    }

    /// Checks that an answer holds what it must, before its time counts.
    async fn holds(&self, path: Option<&String>, memos: usize) -> Result<(), Trouble> {
        let url = format!("{}{}", self.server.url(), path.map_or("", String::as_str));
        let body = Probe::new()?.expect(200, &url, Some(&self.key.token("memo")?)).await?;
        let found: Vec<Value> = serde_json::from_str(&body).map_err(|fault| Trouble::Broken(fault.to_string()))?;
        if found.len() == memos {
            return Ok(());
        }
        Err(Trouble::Broken(format!("{url} holds {} memos and not {memos}", found.len())))
    }

    /// Asks the database alone, one statement after the other; returns the sorted times.
    async fn bare<const N: usize>(
        &self,
        sql: &str,
        asked: &[[&(dyn ToSql + Sync); N]],
    ) -> Result<Vec<Duration>, Trouble> {
        let client = &self.database.client;
        let statement = client.prepare(sql).await.map_err(|fault| broken(&fault))?;
        let mut times = Vec::new();
        for values in asked.iter().cycle().take(BARE + asked.len()) {
            let begun = std::time::Instant::now();
            client.query(&statement, values).await.map_err(|fault| broken(&fault))?;
            times.push(begun.elapsed());
        }
        // The first turn reads what is then in memory.
        let mut times = times.split_off(asked.len());
        times.sort_unstable();
        Ok(times)
    }

    /// Asks for one path after the other at a fixed rate.
    async fn read(&self, paths: Vec<String>, rate: u32, bare: &[Duration]) -> Result<Read, Trouble> {
        let connections = self.options.connections;
        let requests = || self.requests(paths.clone());
        load::send(self.server.address, connections, Pace::Count(WARM_UP), 0, requests()?).await?;
        let pace = Pace::Open(rate, Duration::from_secs(self.options.seconds));
        let used_before = cpu::used_by(self.server.pid).unwrap_or_default();
        let answered = load::send(self.server.address, connections, pace, 0, requests()?).await?;
        let used = cpu::used_by(self.server.pid).unwrap_or_default().saturating_sub(used_before);
        let [p50, p99] = at(&answered.times);
        let [bare_p50, bare_p99] = at(bare);
        Ok(Read {
            answered: answered.times.len(),
            others: answered.others(200),
            p50,
            p99,
            bare_p50,
            bare_p99,
            server_micros: cpu_per_request(used, answered.times.len() as u64),
        })
    }

    /// Returns what writes a GET of one path after the other.
    fn requests(&self, paths: Vec<String>) -> Result<Box<load::Write>, Trouble> {
        let (host, token) = (self.server.address, self.key.token("memo")?);
        Ok(Box::new(move |number, out| {
            let place = usize::try_from(number).unwrap_or_default() % paths.len().max(1);
            let Some(path) = paths.get(place) else { return false };
            write!(out, "GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n").is_ok()
        }))
    }

    /// Inserts the same row again and again, and then has the service write it as often.
    async fn create(&self, pgbench: &Pgbench) -> Result<Written, Trouble> {
        const COUNT: &str = "SELECT count(*) FROM memos";
        let Options { clients, seconds, connections, .. } = *self.options;
        let (text, tags) = (seed::text(1), ["하루"]);
        let keys = literal(&domain::memo::search::Searchable::of(&text, &tags).keys(person()?));
        // An id that grows, as the service's ids do.
        let insert = format!(
            "INSERT INTO memos (id, user_id, content, tags, metadata, created_at, updated_at, search_keys) \
             SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') \
             || substr(md5(random()::text), 1, 20))::uuid, :id::uuid, '{text}', '{{하루}}', '{{}}', now(), now(), '{keys}'"
        );
        self.database.run("CHECKPOINT").await?;
        let bare = pgbench.rate(&insert, PERSON, clients, seconds).await?;
        self.database.run("CHECKPOINT").await?;
        let (host, token) = (self.server.address, self.key.token("memo")?);
        let body = json!({ "content": text, "tags": tags }).to_string();
        let write = move |_: u64, out: &mut Vec<u8>| {
            let length = body.len();
            write!(
                out,
                "POST /memo HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                 authorization: Bearer {token}\r\n\r\n{body}"
            )
            .is_ok()
        };
        let before = self.database.count(COUNT).await?;
        let pace = Pace::Closed(Duration::from_secs(seconds));
        let answered: Answered = load::send(host, connections, pace, 0, Box::new(write)).await?;
        let committed = self.database.count(COUNT).await? - before;
        let service = float(committed) / answered.wall.as_secs_f64();
        Ok(Written { bare, service, faults: committed.abs_diff(answered.times.len() as u64) })
    }
}

fn at(times: &[Duration]) -> [Duration; 2] {
    [0.5, 0.99].map(|share| percentile(times, share).unwrap_or_default())
}

fn broken(fault: &tokio_postgres::Error) -> Trouble {
    Trouble::Broken(format!("the scenario's database: {fault:?}"))
}
