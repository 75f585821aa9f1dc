//! The gateway beside nginx as reverse proxy, both before the same upstream, in turns.

use clap::Args;
use serde::Serialize;
use serde_json::json;
use tokio::process::Command;

use super::Verdict;
use crate::{
    cpu,
    figures::{Spread, milliseconds, thousands},
    gateway_process::{Gateway, GatewayOptions},
    nginx::Nginx,
    probe::Probe,
    process::{Processes, free_port},
    report::{Bound, Goal, Report, Table, progress},
    token,
    trouble::Trouble,
    upstream::{BODY, EVENTS, ME},
    wrk::{Measured, Wrk, cpu_per_request},
};

/// How much of nginx's rate the gateway should reach.
const GOAL: f64 = 0.75;

/// How far the direct rate may move within a run before its ratios are in doubt.
const STEADY: f64 = 0.10;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds; each measures every way once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Seconds of load on each way in each round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Connections that wrk keeps open.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) connections: u32,
    #[command(flatten)]
    pub(crate) gateway: GatewayOptions,
}

/// A way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    Direct,
    Nginx,
    GatewayAnonymous,
    GatewaySignedIn,
}

impl Way {
    const ALL: [Self; 4] = [Self::Direct, Self::Nginx, Self::GatewayAnonymous, Self::GatewaySignedIn];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::GatewayAnonymous => "gateway, anonymous",
            Self::GatewaySignedIn => "gateway, bearer token",
        }
    }
}

/// A way with what is loaded and whose CPU time is counted.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) way: Way,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pid: u32,
}

/// One way in one round.
#[derive(Debug, Serialize)]
struct Sample {
    round: u32,
    way: Way,
    #[serde(flatten)]
    measured: Measured,
    cpu_micros_per_request: Option<f64>,
}

/// The samples of a whole run.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Sample>);

impl Samples {
    /// Returns the spread of a way's requests per second.
    pub(crate) fn rate(&self, way: Way) -> Option<Spread> {
        Spread::of(self.of(way).map(|sample| sample.measured.per_second))
    }

    /// Returns the spread of the ratios of two ways' rates, round by round: what disturbs a round disturbs both.
    pub(crate) fn ratio(&self, way: Way, peer: Way) -> Option<Spread> {
        Spread::of(self.of(way).filter_map(|sample| {
            let beside = self.of(peer).find(|other| other.round == sample.round)?;
            (beside.measured.per_second > 0.0).then(|| sample.measured.per_second / beside.measured.per_second)
        }))
    }

    fn cpu(&self, way: Way) -> Option<Spread> {
        Spread::of(self.of(way).filter_map(|sample| sample.cpu_micros_per_request))
    }

    fn of(&self, way: Way) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.way == way)
    }

    /// Returns how many requests were not answered well.
    pub(crate) fn faults(&self) -> u64 {
        self.0.iter().map(|sample| sample.measured.faults).sum()
    }
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let samples = measure(options, processes).await?;
    Ok(if samples.faults() == 0 { Verdict::Passed } else { Verdict::Failed })
}

/// Measures, reports, and returns the samples.
pub(crate) async fn measure(options: &Options, processes: &Processes) -> Result<Samples, Trouble> {
    let mut report = Report::open("gateway").await;
    let wrk = Wrk::find(options.connections).await?;
    let (routes, with_redis) = set_up(&options.gateway, processes).await?;
    if !with_redis {
        report.note("redis-server is not installed: the gateway ran without Redis".to_owned());
    }
    for route in &routes {
        wrk.run(&route.url, 1, route.token.as_deref()).await?;
    }
    let mut samples = Samples::default();
    for round in 1..=options.rounds {
        // Backwards in every second round, so that no way always follows the same one.
        let forth = routes.iter();
        let ordered: Vec<&Route> = if round % 2 == 0 { forth.rev().collect() } else { forth.collect() };
        for route in ordered {
            progress(&format!("round {round} of {}: {}", options.rounds, route.way.name()))?;
            samples.0.push(sample(&wrk, route, round, options.seconds).await?);
        }
    }
    write_up(&mut report, options, &samples)?;
    Ok(samples)
}

/// Starts the upstream, nginx and the gateway; returns the ways to go, and whether the gateway has a Redis.
pub(crate) async fn set_up(options: &GatewayOptions, processes: &Processes) -> Result<(Vec<Route>, bool), Trouble> {
    let probe = Probe::new()?;
    let upstream_port = free_port()?;
    let mut upstream = Command::new(std::env::current_exe()?);
    upstream.args(["upstream", "--port", &upstream_port.to_string()]);
    let upstream_pid = processes.start("upstream", &mut upstream)?;
    let direct = format!("http://127.0.0.1:{upstream_port}{EVENTS}");
    probe.ready(processes, ("upstream", upstream_pid), &direct).await?;

    let nginx = Nginx::proxy(processes, &probe, upstream_port).await?;
    let gateway = Gateway::start(options, processes, &probe, upstream_port).await?;
    let token = token::access_token()?;
    let base = format!("http://127.0.0.1:{}", gateway.port);
    check_token(&probe, &base, &token).await?;

    let through_gateway = format!("{base}{EVENTS}");
    let routes = vec![
        Route { way: Way::Direct, url: direct, token: None, pid: upstream_pid },
        Route { way: Way::Nginx, url: nginx.url, token: None, pid: nginx.pid },
        Route { way: Way::GatewayAnonymous, url: through_gateway.clone(), token: None, pid: gateway.pid },
        Route { way: Way::GatewaySignedIn, url: through_gateway, token: Some(token), pid: gateway.pid },
    ];
    for route in &routes {
        if probe.expect(200, &route.url, route.token.as_deref()).await? != BODY {
            return Err(Trouble::Broken(format!("{}: another body than the upstream's", route.way.name())));
        }
    }
    Ok((routes, gateway.with_redis))
}

/// Checks that the gateway verifies the token, so that the rate with a token is not one of tokens passed over.
async fn check_token(probe: &Probe, base: &str, token: &str) -> Result<(), Trouble> {
    let url = format!("{base}{ME}");
    probe.expect(401, &url, None).await?;
    probe.expect(200, &url, Some(token)).await?;
    Ok(())
}

async fn sample(wrk: &Wrk, route: &Route, round: u32, seconds: u32) -> Result<Sample, Trouble> {
    let before = cpu::used_by(route.pid);
    let measured = wrk.run(&route.url, seconds, route.token.as_deref()).await?;
    let used = before.zip(cpu::used_by(route.pid)).and_then(|(before, after)| after.checked_sub(before));
    let cpu_micros_per_request = used.and_then(|used| cpu_per_request(used, measured.requests));
    Ok(Sample { round, way: route.way, measured, cpu_micros_per_request })
}

fn write_up(report: &mut Report, options: &Options, samples: &Samples) -> Result<(), Trouble> {
    let micros = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.1}"));
    let mut rounds = Table::new(
        format!("Every round, wrk -t2 -c{} for {} s", options.connections, options.seconds),
        &["round", "way", "req/s", "p50 ms", "p99 ms", "server CPU us/req", "faults"],
    );
    for sample in &samples.0 {
        let measured = &sample.measured;
        rounds.row([
            sample.round.to_string(),
            sample.way.name().to_owned(),
            thousands(measured.per_second),
            milliseconds(measured.p50),
            milliseconds(measured.p99),
            micros(sample.cpu_micros_per_request),
            measured.faults.to_string(),
        ]);
    }
    report.table(rounds);

    let ratio = |spread: Option<Spread>| {
        spread.map_or_else(
            || ["-".to_owned(), "-".to_owned()],
            |spread| [format!("{:.2}", spread.median), format!("{:.2}-{:.2}", spread.min, spread.max)],
        )
    };
    let mut medians = Table::new("Medians", &["way", "req/s", "server CPU us/req", "of nginx", "range"]);
    for way in Way::ALL {
        let [median, range] = ratio(samples.ratio(way, Way::Nginx));
        let rate = samples.rate(way).map_or(0.0, |spread| spread.median);
        let cpu = micros(samples.cpu(way).map(|spread| spread.median));
        medians.row([way.name().to_owned(), thousands(rate), cpu, median, range]);
    }
    report.table(medians);
    add_goals(report, samples);
    report.figures(json!({
        "samples": samples.0,
        "anonymous_of_nginx": samples.ratio(Way::GatewayAnonymous, Way::Nginx),
        "signed_in_of_nginx": samples.ratio(Way::GatewaySignedIn, Way::Nginx),
    }));
    Ok(report.publish()?)
}

fn add_goals(report: &mut Report, samples: &Samples) {
    for way in [Way::GatewayAnonymous, Way::GatewaySignedIn] {
        if let Some(ratio) = samples.ratio(way, Way::Nginx) {
            let what = format!("{} / nginx, median of rounds", way.name());
            report.goal(Goal { what, measured: ratio.median, bound: Bound::AtLeast(GOAL) });
        }
    }
    if samples.faults() > 0 {
        report.note(format!("{} requests failed: these rates are not rates of answers", samples.faults()));
    }
    if let Some(direct) = samples.rate(Way::Direct).filter(|direct| direct.width() > STEADY) {
        let percent = direct.width() * 100.0;
        report.note(format!("the direct rate itself moved by {percent:.0} %: read the ratios, not the rates"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample_of(round: u32, way: Way, per_second: f64) -> Sample {
        let measured = Measured {
            requests: 1000,
            per_second,
            p50: Duration::from_millis(1),
            p99: Duration::from_millis(5),
            faults: 0,
        };
        Sample { round, way, measured, cpu_micros_per_request: Some(12.0) }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let samples = Samples(vec![
            sample_of(1, Way::Nginx, 60_000.0),
            sample_of(1, Way::GatewayAnonymous, 54_000.0),
            sample_of(2, Way::GatewayAnonymous, 24_000.0),
            sample_of(2, Way::Nginx, 30_000.0),
            sample_of(3, Way::GatewayAnonymous, 1.0),
        ]);
        let ratio = samples.ratio(Way::GatewayAnonymous, Way::Nginx).unwrap();
        assert!((ratio.min - 0.8).abs() < 1e-9 && (ratio.max - 0.9).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.median - 0.85).abs() < 1e-9);
        assert_eq!(samples.ratio(Way::GatewaySignedIn, Way::Nginx), None);
    }
}
