//! What this machine can do at all: figures of the other scenarios are shares of these.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::Verdict;
use crate::{
    figures::{float, milliseconds, percentile, thousands},
    nginx::Nginx,
    probe::Probe,
    process::Processes,
    report::{self, Report, Table, progress},
    trouble::Trouble,
    wrk::Wrk,
};

/// What a database page has, and what PostgreSQL writes at least for a commit.
const PAGE: usize = 8192;

/// OWASP's parameters: 19 MiB, two passes, one lane.
const ARGON2: (u32, u32, u32) = (19 * 1024, 2, 1);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds for each measure.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
}

/// The machine's limits.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Limits {
    /// Requests per second that nginx answers itself.
    pub(crate) http_floor: f64,
    /// Durable writes of one page per second, one after another.
    pub(crate) fdatasync: f64,
    /// Exchanges of 64 bytes per second over one connection.
    pub(crate) tcp_exchanges: f64,
    /// Password hashes per second on one core.
    pub(crate) argon2_per_core: f64,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    measure(options, processes).await?;
    Ok(Verdict::Passed)
}

/// Measures, reports, and returns the limits.
pub(crate) async fn measure(options: &Options, processes: &Processes) -> Result<Limits, Trouble> {
    let mut report = Report::open("limits").await;
    let duration = Duration::from_secs(options.seconds.into());

    progress("nginx answering by itself, wrk -t2 -c64")?;
    let wrk = Wrk::find(64).await?;
    let floor = Nginx::floor(processes, &Probe::new()?).await?;
    wrk.run(&floor.url, 1, None).await?;
    let http = wrk.run(&floor.url, options.seconds, None).await?;

    progress("durable writes, TCP round trips, password hashes")?;
    let file = report::directory()?.join("fdatasync.probe");
    let syncs = blocking(move || durable_writes(&file, duration)).await?;
    let trips = blocking(move || round_trips(duration)).await?;
    let hashes = blocking(move || password_hashes(duration)).await?;

    let limits = Limits {
        http_floor: http.per_second,
        fdatasync: rate(&syncs),
        tcp_exchanges: rate(&trips),
        argon2_per_core: rate(&hashes),
    };
    let mut table = Table::new("This machine's limits", &["limit", "per second", "p50 ms", "p99 ms"]);
    let cells =
        |name: &str, rate: f64, p50, p99| [name.to_owned(), thousands(rate), milliseconds(p50), milliseconds(p99)];
    table.row(cells("HTTP on loopback, nginx `return 200`, 64 connections", limits.http_floor, http.p50, http.p99));
    for (name, times) in [
        ("fdatasync of an 8 kB file", &syncs),
        ("TCP echo of 64 bytes, one connection", &trips),
        ("argon2id 19 MiB/2/1, one core", &hashes),
    ] {
        let at = |share| percentile(times, share).unwrap_or_default();
        table.row(cells(name, rate(times), at(0.5), at(0.99)));
    }
    report.table(table);
    report.figures(json!(limits));
    report.publish()?;
    Ok(limits)
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|fault| Trouble::Broken(fault.to_string()))?
}

/// Returns how often per second something of these times can be done one after another.
pub(crate) fn rate(sorted: &[Duration]) -> f64 {
    let total: Duration = sorted.iter().sum();
    if total.is_zero() { 0.0 } else { float(sorted.len() as u64) / total.as_secs_f64() }
}

/// Repeats `step` for so long and returns the sorted times of each.
fn timed(duration: Duration, mut step: impl FnMut() -> Result<(), Trouble>) -> Result<Vec<Duration>, Trouble> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < duration {
        let before = Instant::now();
        step()?;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// Overwrites one page and waits each time until it is on the disk.
fn durable_writes(path: &Path, duration: Duration) -> Result<Vec<Duration>, Trouble> {
    let mut file = File::create(path)?;
    let page = [0x6d; PAGE];
    // Once before the clock runs: the first write also makes the file longer.
    file.write_all(&page)?;
    file.sync_all()?;
    let times = timed(duration, || {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&page)?;
        Ok(file.sync_data()?)
    });
    drop(file);
    std::fs::remove_file(path)?;
    times
}

/// Sends a little over one connection and waits each time until it is back.
fn round_trips(duration: Duration) -> Result<Vec<Duration>, Trouble> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let (mut server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    let echo = std::thread::spawn(move || {
        let mut bytes = [0; 64];
        // Ends with the client's end.
        while server.read_exact(&mut bytes).and_then(|()| server.write_all(&bytes)).is_ok() {}
    });
    let mut bytes = [7; 64];
    let times = timed(duration, || {
        client.write_all(&bytes)?;
        Ok(client.read_exact(&mut bytes)?)
    });
    drop(client);
    echo.join().map_err(|_panic| Trouble::Broken("the echo thread panicked".to_owned()))?;
    times
}

/// Hashes a password again and again on this one thread.
pub(crate) fn password_hashes(duration: Duration) -> Result<Vec<Duration>, Trouble> {
    let (memory, passes, lanes) = ARGON2;
    let broken = |fault: argon2::Error| Trouble::Broken(format!("argon2: {fault}"));
    let params = Params::new(memory, passes, lanes, None).map_err(broken)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    timed(duration, || argon2.hash_password_into(b"maru-bench", b"salt of 16 bytes", &mut hash).map_err(broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn a_rate_is_the_inverse_of_the_mean() {
        assert!((rate(&[Duration::from_millis(1), Duration::from_millis(3)]) - 500.0).abs() < 1e-6);
        assert!(rate(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn each_limit_can_be_measured() {
        let path = std::env::temp_dir().join(format!("maru-bench-{}.probe", std::process::id()));
        assert!(rate(&durable_writes(&path, SHORT).unwrap()) > 0.0);
        assert!(!path.exists());
        assert!(rate(&round_trips(SHORT).unwrap()) > 0.0);
        assert!(rate(&password_hashes(SHORT).unwrap()) > 0.0);
    }
}
