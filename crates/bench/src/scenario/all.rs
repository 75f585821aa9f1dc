//! A short look at everything that needs no running platform, with each ratio beside the limit it is a share of.

use clap::Args;
use serde_json::json;

use super::{Verdict, gateway, gateway::Way, limits, tunnel};
use crate::{
    figures::{float, thousands},
    gateway_process::GatewayOptions,
    process::Processes,
    report::{Report, Table},
    trouble::Trouble,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    gateway: GatewayOptions,
}

/// Runs limits, gateway and tunnel, and reports their ratios.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let mut report = Report::open("all").await;
    let limits = limits::measure(&limits::Options { seconds: 2 }, processes).await?;
    // Each scenario has the machine for itself.
    processes.stop_all().await;
    let gateway_options = gateway::Options { rounds: 3, seconds: 2, connections: 64, gateway: options.gateway.clone() };
    let samples = gateway::measure(&gateway_options, processes).await?;
    processes.stop_all().await;
    let tunnel_options =
        tunnel::Options { clients: 500, runs: 3, at_once: None, patience: 30, gateway: options.gateway.clone() };
    let tally = tunnel::measure(&tunnel_options, processes).await?;

    let floor = limits.http_floor;
    let mut table = Table::new("Ratios", &["figure", "measured", "beside", "ratio"]);
    let mut figures = Vec::new();
    let mut add = |figure: &str, measured: f64, beside: (&str, f64)| {
        let ratio = if beside.1 > 0.0 { measured / beside.1 } else { 0.0 };
        let beside_text = format!("{} {}", beside.0, thousands(beside.1));
        table.row([figure.to_owned(), thousands(measured), beside_text, format!("{ratio:.2}")]);
        figures.push(json!({ "figure": figure, "measured": measured, "beside": beside.1, "ratio": ratio }));
    };
    let rate = |way| samples.rate(way).map_or(0.0, |spread| spread.median);
    for (name, way) in [
        ("upstream itself, req/s", Way::Direct),
        ("nginx as proxy, req/s", Way::Nginx),
        ("gateway, anonymous, req/s", Way::GatewayAnonymous),
        ("gateway, bearer token, req/s", Way::GatewaySignedIn),
    ] {
        add(name, rate(way), ("HTTP floor", floor));
    }
    for (name, way) in
        [("gateway, anonymous, req/s", Way::GatewayAnonymous), ("gateway, bearer token, req/s", Way::GatewaySignedIn)]
    {
        add(name, rate(way), ("nginx as proxy", rate(Way::Nginx)));
    }
    let exact = float(tally.clients() - tally.failures());
    add("first messages through the tunnel", exact, ("clients", float(tally.clients())));
    report.table(table);
    report.figures(json!({ "limits": limits, "ratios": figures }));
    report.publish()?;
    let passed = tally.failures() == 0 && samples.faults() == 0;
    Ok(if passed { Verdict::Passed } else { Verdict::Failed })
}
