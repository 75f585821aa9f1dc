//! Logins and refreshes on the running platform, through the gateway.
//!
//! A login costs a password hash, and nothing else about it should cost much: its rate stands beside that of the bare
//! hash on as many threads as the machine has cores, measured before and after. The same is told for each second of CPU
//! time, of the auth service alone and of the bare hash: what the service itself adds, where the database, the gateway and
//! the clients have cores of their own. Meanwhile somebody asks for other things at a fixed rate, and their waiting is what
//! a storm of logins costs the rest. A refresh costs no hash; its rate is told for each second of CPU time of the auth
//! service, since the clients need the machine too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::future::{join_all, try_join_all};
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    Verdict,
    limits::{blocking, password_hashes, rate},
};
use crate::{
    cpu,
    figures::{float, milliseconds, percentile, thousands},
    platform::Platform,
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
};

/// The password of the accounts that are made for this.
const PASSWORD: &str = "maru-bench 마루 4127";
/// Requests per second of those who do not log in.
const OTHERS_PER_SECOND: u32 = 100;
/// Share of the bare hash rate that logins are to reach.
const LOGIN_SHARE: f64 = 0.9;
/// Longest that others may wait, p99, milliseconds.
const OTHERS_P99_MS: f64 = 10.0;
/// Refreshes for each CPU second of the auth service.
const REFRESHES_PER_CORE: f64 = 2_000.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds for each measure.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// People who log in, and who refresh, at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    people: u32,
}

#[derive(Clone, Deserialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
}

/// Somebody with an account.
#[derive(Clone)]
struct Person {
    email: String,
    tokens: Tokens,
}

struct Stage {
    http: Client,
    gateway: String,
    auth_pids: Vec<u32>,
}

impl Stage {
    async fn post(&self, path: &str, body: serde_json::Value) -> Result<Tokens, Trouble> {
        let broken = |fault: reqwest::Error| Trouble::Broken(format!("{path}: {fault}"));
        let response = self.http.post(format!("{}{path}", self.gateway)).json(&body).send().await.map_err(broken)?;
        let response = response.error_for_status().map_err(broken)?;
        response.json().await.map_err(broken)
    }

    async fn register(&self, number: u32) -> Result<Person, Trouble> {
        let email = format!("bench-{}-{number}@example.com", std::process::id());
        let body = json!({ "name": "maru-bench", "email": email, "password": PASSWORD });
        Ok(Person { tokens: self.post("/register", body).await?, email })
    }

    fn auth_cpu(&self) -> Duration {
        self.auth_pids.iter().filter_map(|pid| cpu::used_by(*pid)).sum()
    }
}

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<Verdict, Trouble> {
    let platform = Platform::ask().await?;
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build();
    let http = http.map_err(|fault| Trouble::Broken(format!("no HTTP client: {fault}")))?;
    let auth_pids = platform.pids_of("auth").to_vec();
    let stage = Arc::new(Stage { http, gateway: platform.gateway_url.clone(), auth_pids });
    let mut report = Report::open("accounts").await;
    let duration = Duration::from_secs(options.seconds);

    progress("making the accounts")?;
    let people = try_join_all((0..options.people).map(|number| stage.register(number))).await?;
    progress("the bare password hash, on every core")?;
    let before = bare_hashes(duration / 2).await?;
    progress("logins alone")?;
    let logins_alone = storm(&stage, &people, duration).await;
    let after = bare_hashes(duration / 2).await?;
    let bare = Bare::between(before, after);
    progress("others alone, beside bare hashes, beside logins")?;
    let alone = others_during(&stage, &people, tokio::time::sleep(duration)).await?;
    let mut bare_beside = Ok(Bare::default());
    let hashing = async { bare_beside = bare_hashes(duration).await };
    let beside_bare = others_during(&stage, &people, hashing).await?;
    let bare_beside = bare_beside?.per_second;
    let mut logins = Done::default();
    let logging_in = async { logins = storm(&stage, &people, duration).await };
    let beside = others_during(&stage, &people, logging_in).await?;
    progress("refreshes")?;
    let refreshes = refresh(&stage, people, duration).await?;

    let mut table = Table::new("Accounts", &["measure", "per second", "p50 ms", "p99 ms"]);
    let cells = |name: &str, per_second: f64, times: &[Duration]| {
        let at = |share| milliseconds(percentile(times, share).unwrap_or_default());
        [name.to_owned(), thousands(per_second), at(0.5), at(0.99)]
    };
    let seconds = duration.as_secs_f64();
    let per_second = |times: &[Duration]| float(times.len() as u64) / seconds;
    table.row(cells("bare argon2id, every core", bare.per_second, &[]));
    table.row(cells("logins alone", per_second(&logins_alone.times), &logins_alone.times));
    table.row(cells("others alone", per_second(&alone), &alone));
    table.row(cells("bare argon2id beside others", bare_beside, &[]));
    table.row(cells("others beside bare argon2id", per_second(&beside_bare), &beside_bare));
    table.row(cells("logins beside others", per_second(&logins.times), &logins.times));
    table.row(cells("others beside logins", per_second(&beside), &beside));
    table.row(cells("refreshes", per_second(&refreshes.times), &refreshes.times));
    let share = per_second(&logins_alone.times) / bare.per_second;
    let share_of_cpu = logins_alone.per_cpu_second / bare.per_cpu_second;
    let share_beside = per_second(&logins.times) / bare_beside;
    let p99 = percentile(&beside, 0.99).unwrap_or_default().as_secs_f64() * 1e3;
    report.goal(Goal {
        what: "logins, share of bare hashes".to_owned(),
        measured: share,
        bound: Bound::AtLeast(LOGIN_SHARE),
    });
    report.goal(Goal {
        what: "the same for each CPU second of auth alone".to_owned(),
        measured: share_of_cpu,
        bound: Bound::AtLeast(LOGIN_SHARE),
    });
    report.goal(Goal {
        what: "others' p99 beside logins, ms".to_owned(),
        measured: p99,
        bound: Bound::AtMost(OTHERS_P99_MS),
    });
    report.goal(Goal {
        what: "refreshes for each CPU second of auth".to_owned(),
        measured: refreshes.per_cpu_second,
        bound: Bound::AtLeast(REFRESHES_PER_CORE),
    });
    report.table(table);
    report.figures(json!({
        "bare_hashes": [before.per_second, after.per_second], "bare_hashes_per_cpu_second": bare.per_cpu_second,
        "logins": per_second(&logins.times), "logins_per_cpu_second": logins_alone.per_cpu_second,
        "login_share": share, "login_share_of_cpu": share_of_cpu, "login_share_beside_others": share_beside,
        "others_p99_ms": p99,
        "refreshes": per_second(&refreshes.times), "refreshes_per_cpu_second": refreshes.per_cpu_second,
    }));
    report.publish()?;
    Ok(Verdict::Passed)
}

/// How fast password hashes are by themselves.
#[derive(Clone, Copy, Default)]
struct Bare {
    per_second: f64,
    per_cpu_second: f64,
}

impl Bare {
    fn between(before: Self, after: Self) -> Self {
        Self {
            per_second: f64::midpoint(before.per_second, after.per_second),
            per_cpu_second: f64::midpoint(before.per_cpu_second, after.per_cpu_second),
        }
    }
}

/// Computes password hashes with one thread for each core.
async fn bare_hashes(duration: Duration) -> Result<Bare, Trouble> {
    let own_cpu = || cpu::used_by(std::process::id()).unwrap_or_default();
    let cpu_before = own_cpu();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = try_join_all((0..cores).map(|_| blocking(move || password_hashes(duration)))).await?;
    let count = threads.iter().map(Vec::len).sum();
    Ok(Bare {
        per_second: threads.iter().map(|times| rate(times)).sum(),
        per_cpu_second: per_second_of(own_cpu().saturating_sub(cpu_before), count),
    })
}

/// What was done in a while.
#[derive(Default)]
struct Done {
    /// How long each took, sorted.
    times: Vec<Duration>,
    /// How many for each CPU second of the auth service.
    per_cpu_second: f64,
}

impl Done {
    fn new(mut times: Vec<Duration>, cpu: Duration) -> Self {
        times.sort_unstable();
        Self { per_cpu_second: per_second_of(cpu, times.len()), times }
    }
}

fn per_second_of(cpu: Duration, count: usize) -> f64 {
    if cpu.is_zero() { 0.0 } else { float(count as u64) / cpu.as_secs_f64() }
}

/// Lets everybody log in again and again.
async fn storm(stage: &Stage, people: &[Person], duration: Duration) -> Done {
    let (until, cpu_before) = (Instant::now() + duration, stage.auth_cpu());
    let all = join_all(people.iter().map(|person| log_in_until(stage, person, until))).await;
    Done::new(all.into_iter().flatten().collect(), stage.auth_cpu().saturating_sub(cpu_before))
}

async fn log_in_until(stage: &Stage, person: &Person, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        let body = json!({ "email": person.email, "password": PASSWORD });
        // Who gets no turn is told so; only logins count.
        if stage.post("/login", body).await.is_ok() {
            times.push(begun.elapsed());
        }
    }
    times
}

/// Asks for one's own account at a fixed rate, whatever the answers take, while `meanwhile` goes on.
async fn others_during(
    stage: &Arc<Stage>,
    people: &[Person],
    meanwhile: impl Future<Output = ()>,
) -> Result<Vec<Duration>, Trouble> {
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let token = people.first().map(|person| person.tokens.access_token.clone()).unwrap_or_default();
    let mut asking = JoinSet::new();
    asking.spawn({
        let (stage, stop, failed) = (stage.clone(), stop.clone(), failed.clone());
        async move {
            let mut tick = interval(Duration::from_secs(1) / OTHERS_PER_SECOND);
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut asked = JoinSet::new();
            while !stop.load(Ordering::Relaxed) {
                let due = tick.tick().await.into_std();
                let (stage, token, failed) = (stage.clone(), token.clone(), failed.clone());
                asked.spawn(async move {
                    let request = stage.http.get(format!("{}/user/me", stage.gateway)).bearer_auth(token);
                    let answered = request.send().await.is_ok_and(|answer| answer.status().is_success());
                    failed.fetch_add(u64::from(!answered), Ordering::Relaxed);
                    // From when it was due, so that a queue counts.
                    due.elapsed()
                });
            }
            asked.join_all().await
        }
    });
    meanwhile.await;
    stop.store(true, Ordering::Relaxed);
    let mut times: Vec<Duration> = asking.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    match failed.load(Ordering::Relaxed) {
        0 => Ok(times),
        failed => Err(Trouble::Broken(format!("{failed} of {} other requests failed", times.len()))),
    }
}

/// Lets everybody exchange their refresh token again and again.
async fn refresh(stage: &Arc<Stage>, people: Vec<Person>, duration: Duration) -> Result<Done, Trouble> {
    let (until, cpu_before) = (Instant::now() + duration, stage.auth_cpu());
    let mut chains = JoinSet::new();
    for person in people {
        let stage = stage.clone();
        chains.spawn(async move {
            let (mut times, mut token) = (Vec::new(), person.tokens.refresh_token);
            while Instant::now() < until {
                let begun = Instant::now();
                token = stage.post("/auth/refresh", json!({ "refresh_token": token })).await?.refresh_token;
                times.push(begun.elapsed());
            }
            Ok::<_, Trouble>(times)
        });
    }
    let mut times = Vec::new();
    for chain in chains.join_all().await {
        times.extend(chain?);
    }
    Ok(Done::new(times, stage.auth_cpu().saturating_sub(cpu_before)))
}
