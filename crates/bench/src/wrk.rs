//! wrk, the closed-loop load generator, and what it prints.

use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use crate::{figures, process::find_program, trouble::Trouble};

/// What one run of wrk measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    #[serde(rename = "p50_ms", serialize_with = "figures::as_milliseconds")]
    pub(crate) p50: Duration,
    #[serde(rename = "p99_ms", serialize_with = "figures::as_milliseconds")]
    pub(crate) p99: Duration,
    /// Answers that were no success, and sockets that failed.
    pub(crate) faults: u64,
}

/// wrk as found on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrk {
    program: &'static str,
    pub(crate) connections: u32,
}

impl Wrk {
    pub(crate) async fn find(connections: u32) -> Result<Self, Trouble> {
        let program = find_program(&["wrk", "/opt/homebrew/bin/wrk"], "-v", "wrk").await?;
        Ok(Self { program, connections })
    }

    /// Loads `url` with two threads for so many seconds.
    pub(crate) async fn run(&self, url: &str, seconds: u32, token: Option<&str>) -> Result<Measured, Trouble> {
        let mut command = Command::new(self.program);
        command.args(["-t2", "--latency", &format!("-c{}", self.connections), &format!("-d{seconds}s")]);
        if let Some(token) = token {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let output = command.arg(url).kill_on_drop(true).output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text).ok_or_else(|| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Trouble::Broken(format!("wrk on {url} printed no result: {text}{complaint}"))
        })
    }
}

fn parse(text: &str) -> Option<Measured> {
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label));
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "))?.0.parse().ok()?;
    let failed = after("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.trim().parse().ok())?;
    let socket_errors: u64 = after("Socket errors:")
        .unwrap_or_default()
        .split(',')
        .filter_map(|part| part.split_whitespace().last()?.parse::<u64>().ok())
        .sum();
    Some(Measured {
        requests,
        per_second: after("Requests/sec:")?.trim().parse().ok()?,
        p50: parse_latency(after("50%")?)?,
        p99: parse_latency(after("99%")?)?,
        faults: failed + socket_errors,
    })
}

/// Reads `635.00us`, `12.67ms`, `1.02s`, `1.50m`.
fn parse_latency(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// Returns the CPU time per request in microseconds.
pub(crate) fn cpu_per_request(used: Duration, requests: u64) -> Option<f64> {
    (requests > 0).then(|| used.as_secs_f64() * 1e6 / figures::float(requests))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "Running 5s test @ http://127.0.0.1:20001/api/v1/events
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.15ms    2.05ms  43.50ms   94.99%
    Req/Sec    31.60k     4.62k   44.30k    69.00%
  Latency Distribution
     50%  635.00us
     75%    1.05ms
     90%    1.99ms
     99%   12.67ms
  314562 requests in 5.00s, 180.00MB read
Requests/sec:  62883.19
Transfer/sec:     36.00MB
";

    #[test]
    fn a_clean_run() {
        let expected = Measured {
            requests: 314_562,
            per_second: 62_883.19,
            p50: Duration::from_micros(635),
            p99: Duration::from_micros(12_670),
            faults: 0,
        };
        assert_eq!(parse(CLEAN), Some(expected));
    }

    #[test]
    fn refused_requests_and_broken_sockets_are_counted() {
        let faulty = CLEAN.replace(
            "Requests/sec:",
            "  Socket errors: connect 1, read 20, write 300, timeout 4000\n  Non-2xx or 3xx responses: 50000\n\
             Requests/sec:",
        );
        assert_eq!(parse(&faulty).unwrap().faults, 54_321);
    }

    #[test]
    fn output_without_a_result_is_none() {
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(parse(&CLEAN.replace("99%", "98%")), None);
    }

    #[test]
    fn latencies_of_every_unit() {
        assert_eq!(parse_latency(" 1.02s"), Some(Duration::from_millis(1020)));
        assert_eq!(parse_latency("1.50m"), Some(Duration::from_secs(90)));
        assert_eq!(parse_latency("0.00us"), Some(Duration::ZERO));
        assert_eq!(parse_latency("fast"), None);
        assert_eq!(parse_latency("3h"), None);
    }

    #[test]
    fn cpu_of_no_requests_is_none() {
        assert_eq!(cpu_per_request(Duration::from_millis(15), 1000), Some(15.0));
        assert_eq!(cpu_per_request(Duration::from_millis(15), 0), None);
    }
}
