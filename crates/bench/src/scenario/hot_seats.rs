//! Numbered seats: everybody takes another one, as fast as they can.
//!
//! Holding a seat is a request with a token, a key, a limit, a reservation and a notice. Its rate stands beside that of the
//! least that it could be: the seat's own row, changed by its id if it is free, by PostgreSQL's load generator with as many
//! connections as the service has. Rounds alternate; counted are reservations on disk.

use std::{io::Write as _, sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::Verdict;
use crate::{
    cpu,
    figures::{self, Spread, float, milliseconds, percentile, thousands},
    load::{self, Pace},
    own_database::OwnDatabase,
    people::{self, Audience, Keys},
    pgbench::Pgbench,
    platform::Platform,
    process::Processes,
    report::{Bound, Goal, Report, Table, progress},
    ticketing_process::{Server, Surroundings, start_ticketing},
    trouble::Trouble,
    wrk::cpu_per_request,
};

/// Share of the bare change's rate that holding seats is to reach.
const SHARE: f64 = 0.7;
/// The event.
const EVENT: &str = "6d617275-0000-4000-8000-000000000002";
/// Seats of one person: what the service allows.
const SEATS_EACH: u64 = 10;
/// People who take turns; more than there are connections, so that nobody is at two seats at once.
const TAKING_TURNS: u64 = 512;
/// Seats that are taken before the clock runs.
const WARM_UP: Duration = Duration::from_millis(400);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds for each measure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..40))]
    seconds: u64,
    /// Connections to the service.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=256))]
    connections: u32,
    /// Clients of the bare change: as many as the service has connections to its database.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..))]
    clients: u32,
    /// Most seats a second that there are.
    #[arg(long, default_value_t = 24_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    most: u64,
    /// The service's log level; `warn` leaves out access lines and spans.
    #[arg(long, default_value = "info")]
    log_level: String,
}

impl Options {
    /// All seats, with some to warm up.
    fn seats(&self) -> u64 {
        self.most * (self.seconds + 1) * u64::from(self.rounds)
    }
}

/// One round.
#[derive(Debug, Serialize)]
struct Sample {
    bare: f64,
    held: f64,
    #[serde(rename = "p50_ms", serialize_with = "figures::as_milliseconds")]
    p50: Duration,
    #[serde(rename = "p99_ms", serialize_with = "figures::as_milliseconds")]
    p99: Duration,
    server_micros: Option<f64>,
    postgres_micros: Option<f64>,
    others: String,
    faults: u64,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let mut report = Report::open("hot-seats").await;
    let platform = Platform::ask().await?;
    progress("making the seats")?;
    let database = OwnDatabase::create(&platform, "seats").await?;
    let measured = measure(options, &platform, &database, processes).await;
    processes.stop_all().await;
    database.drop().await?;
    let samples = measured?;
    tell(&mut report, options, &samples);
    report.publish()?;
    Ok(if samples.iter().all(|sample| sample.faults == 0) { Verdict::Passed } else { Verdict::Failed })
}

async fn measure(
    options: &Options,
    platform: &Platform,
    database: &OwnDatabase,
    processes: &Processes,
) -> Result<Vec<Sample>, Trouble> {
    database.run(&seed(options.seats())).await?;
    let keys = Keys::generate()?;
    let around =
        Surroundings { database_url: &database.url, redis_url: &platform.redis_url, log_level: &options.log_level };
    let server = start_ticketing("ticketing", &keys, around, processes).await?;
    let pgbench = Pgbench::find(&database.url).await?;
    let people = options.seats() / SEATS_EACH + TAKING_TURNS * 2;
    let people = people::people(usize::try_from(people).unwrap_or(usize::MAX))?;
    let (mut samples, mut next) = (Vec::new(), 0);
    for round in 1..=options.rounds {
        progress(&format!("round {round} of {}: the bare change, then the service", options.rounds))?;
        database.run("CHECKPOINT").await?;
        let bare = pgbench.rate(&bare_change(options.seats()), EVENT, options.clients, options.seconds).await?;
        database.run("CHECKPOINT").await?;
        // A token is good for a minute only.
        let tokens = keys.tokens(Audience::Ticketing, &people)?;
        let sample = hold(options, platform, database, server, &tokens, &mut next).await?;
        samples.push(Sample { bare, ..sample });
    }
    Ok(samples)
}

/// Holds one seat after the other, from number `next` on.
async fn hold(
    options: &Options,
    platform: &Platform,
    database: &OwnDatabase,
    server: Server,
    tokens: &Arc<[String]>,
    next: &mut u64,
) -> Result<Sample, Trouble> {
    const COMMITTED: &str = "SELECT count(*) FROM reservations";
    // Seats that are held, and not by a reservation of their own.
    const UNSOUND: &str = "SELECT abs(count(*) - count(DISTINCT reservation_id)) + abs(count(*) - \
                           (SELECT count(*) FROM reservations)) FROM seats WHERE status = 'locked'";
    let postgres = platform.pids_of("postgres").first().copied();
    let write = || writer(tokens.clone(), server, options.seats());
    let warm = load::send(server.address, options.connections, Pace::Closed(WARM_UP), *next, write()).await?;
    let used = || [Some(server.pid), postgres].map(|pid| pid.and_then(cpu::used_by));
    let before = database.count(COMMITTED).await?;
    let used_before = used();
    let pace = Pace::Closed(Duration::from_secs(options.seconds));
    let answered = load::send(server.address, options.connections, pace, warm.next, write()).await?;
    let used_after = used();
    *next = answered.next;
    let committed = database.count(COMMITTED).await? - before;
    let mut cpu = used_before.into_iter().zip(used_after).map(|(before, after)| {
        let used = before.zip(after).and_then(|(before, after)| after.checked_sub(before));
        used.and_then(|used| cpu_per_request(used, committed))
    });
    let at = |share| percentile(&answered.times, share).unwrap_or_default();
    Ok(Sample {
        bare: 0.0,
        held: float(committed) / answered.wall.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        server_micros: cpu.next().flatten(),
        postgres_micros: cpu.next().flatten(),
        others: answered.others(201),
        faults: committed.abs_diff(answered.count(201)) + database.count(UNSOUND).await?,
    })
}

/// One event, its seats in rows of a hundred, and no waiting room.
fn seed(seats: u64) -> String {
    format!(
        "INSERT INTO seat_layouts (id, name, total_seats, layout_config) \
         VALUES ('{EVENT}', 'maru-bench', {seats}, '{{\"sections\": []}}'); \
         INSERT INTO events (id, organizer_id, title, venue, seat_layout_id, event_date, sale_start_date, sale_end_date) \
         VALUES ('{EVENT}', '{EVENT}', 'maru-bench', 'maru-bench', '{EVENT}', now() + interval '3 days', \
         now() - interval '1 day', now() + interval '2 days'); \
         INSERT INTO waiting_rooms (event_id, mode) VALUES ('{EVENT}', 'off'); \
         INSERT INTO seats (id, event_id, section, row_number, seat_number, seat_label, price) \
         SELECT lpad(to_hex(n), 32, '0')::uuid, '{EVENT}', 'A', n / 100 + 1, n % 100 + 1, 'A', 90000 \
         FROM generate_series(0, {seats} - 1) n; \
         ANALYZE"
    )
}

/// Any seat, if it is free; it stays so, because there would soon be none left.
fn bare_change(seats: u64) -> String {
    format!(
        "\\set n random(0, {last})\nUPDATE seats SET version = version + 1 \
         WHERE id = lpad(to_hex(:n::int), 32, '0')::uuid AND event_id = :id::uuid \
         AND (status = 'available' OR held_until > now() - interval '1 day')",
        last = seats - 1
    )
}

/// Returns what writes a request for each seat.
fn writer(tokens: Arc<[String]>, server: Server, seats: u64) -> Box<load::Write> {
    let host = server.address;
    // All requests are of one length.
    let body = move |seat: u64| {
        let id = format!("{seat:032x}");
        let (head, tail) = (id.get(..20).unwrap_or_default(), id.get(20..).unwrap_or_default());
        let parts = [head.get(..8), head.get(8..12), head.get(12..16), head.get(16..)].map(Option::unwrap_or_default);
        format!(r#"{{"eventId":"{EVENT}","seatIds":["{}-{tail}"]}}"#, parts.join("-"))
    };
    let length = body(0).len();
    Box::new(move |seat, out| {
        let person = seat / (TAKING_TURNS * SEATS_EACH) * TAKING_TURNS + seat % TAKING_TURNS;
        let Some(token) = tokens.get(usize::try_from(person).unwrap_or(usize::MAX)).filter(|_| seat < seats) else {
            return false;
        };
        let body = body(seat);
        write!(
            out,
            "POST /api/v1/seats/reserve HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nauthorization: Bearer {token}\r\nidempotency-key: seat-{seat}\r\n\r\n{body}"
        )
        .is_ok()
    })
}

fn tell(report: &mut Report, options: &Options, samples: &[Sample]) {
    let title = format!("Seats, {} connections, beside {} clients", options.connections, options.clients);
    let columns = ["round", "change/s", "held/s", "ratio", "p50 ms", "p99 ms", "server us", "PostgreSQL us", "not 201"];
    let mut table = Table::new(title, &columns);
    let micros = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.1}"));
    let ratio = |sample: &Sample| if sample.bare > 0.0 { sample.held / sample.bare } else { 0.0 };
    for (round, sample) in (1..).zip(samples) {
        table.row([
            i32::to_string(&round),
            thousands(sample.bare),
            thousands(sample.held),
            format!("{:.2}", ratio(sample)),
            milliseconds(sample.p50),
            milliseconds(sample.p99),
            micros(sample.server_micros),
            micros(sample.postgres_micros),
            sample.others.clone(),
        ]);
    }
    report.table(table);
    let median = Spread::of(samples.iter().map(ratio)).map_or(0.0, |spread| spread.median);
    report.goal(Goal {
        what: "seats held, share of the bare change".to_owned(),
        measured: median,
        bound: Bound::AtLeast(SHARE),
    });
    report.figures(json!({ "samples": samples, "median": median }));
}
