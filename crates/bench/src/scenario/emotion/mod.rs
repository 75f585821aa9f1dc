//! What the companion adds between a model and a person, on the running platform, through the gateway.
//!
//! The model is the scripted server of the test kit (`maru-dev up --scripted-llm`), which is asked directly in the same
//! run. Three measures: the time to the first token beside the model's own; many streams at a fixed rate, of which no
//! piece may be lost, doubled or out of its place; and pieces for each second of CPU time beside LiteLLM's proxy before
//! the same model.

mod first_token;
mod litellm;
mod model;
mod person;
mod streams;
mod talk;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::Verdict;
use crate::{
    cpu,
    figures::{float, milliseconds, thousands},
    platform::Platform,
    process::Processes,
    report::{Bound, Goal, Report, Table, progress},
    trouble::Trouble,
};

use self::{
    first_token::FirstTokens,
    litellm::Proxy,
    model::Model,
    person::{Door, Person},
    streams::{Flow, Load},
};

/// Most milliseconds that may be added to the time to the first token, p50 and p99.
const ADDED_MS: [f64; 2] = [2.0, 6.0];
/// Most kilobytes of the emotion service for each stream.
const STREAM_KB: f64 = 64.0;
/// How many times the pieces of LiteLLM's proxy for each second of CPU time, and with how many streams at least.
const RATIO: f64 = 20.0;
const CROWD: u32 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Streams at a fixed rate.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,
    /// Seconds for which they stream, below the two minutes that a reply may take.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100))]
    seconds: u32,
    /// Tokens a second of each stream.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Streams at once while the time to the first token is measured.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    at_once: u32,
    /// Rounds of that, ours and the model's own in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    round_seconds: u32,
    /// Milliseconds the model itself takes to its first token: far less than any real one, and what public benchmarks of
    /// gateways to models have theirs take.
    #[arg(long = "model-first-token-ms", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    model_ms: u32,
    /// LiteLLM's program; left out when it is neither given nor on the path.
    #[arg(long)]
    litellm: Option<String>,
    /// Streams through LiteLLM, and through us beside it; each number is a measure of its own.
    #[arg(long, value_delimiter = ',', default_value = "32,1000", value_parser = clap::value_parser!(u32).range(1..))]
    litellm_streams: Vec<u32>,
    /// Seconds for which they would stream without a proxy. LiteLLM takes many times as long for a thousand streams.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    litellm_seconds: u32,
}

/// What is measured against.
struct Ground<'a> {
    platform: &'a Platform,
    model: Model,
    door: Door,
    people: Vec<Person>,
}

impl Ground<'_> {
    fn cpu_of(&self, name: &str) -> Duration {
        self.platform.pids_of(name).iter().filter_map(|pid| cpu::used_by(*pid)).sum()
    }

    fn resident_kb_of(&self, name: &str) -> u64 {
        self.platform.pids_of(name).iter().filter_map(|pid| cpu::resident_kb(*pid)).sum()
    }
}

/// Measures and reports.
pub(crate) async fn run(options: &Options, processes: &Processes) -> Result<Verdict, Trouble> {
    let most = options.litellm_streams.iter().copied().fold(options.streams, u32::max);
    super::sockets::check_open_files(most.max(options.at_once * 2))?;
    let platform = Platform::ask().await?;
    let url = platform.scripted_llm_url.clone().ok_or_else(|| {
        Trouble::Missing("the platform asks no scripted model: start it with `maru-dev up --scripted-llm`".to_owned())
    })?;
    let (model, door) = (Model::new(&url)?, Door::new(&platform.gateway_url)?);
    let mut report = Report::open("emotion").await;
    progress("people register")?;
    let people = person::register(&platform.gateway_url, person::needed(most, options.at_once)).await?;
    let ground = Ground { platform: &platform, model, door, people };

    let Options { at_once, rounds, round_seconds, model_ms, .. } = *options;
    let first = first_token::measure(&ground, at_once, rounds, round_seconds, model_ms).await?;
    tell_first_tokens(&mut report, &first, model_ms);
    progress(&format!("{} streams of {} tokens a second", options.streams, options.rate))?;
    let load = Load { streams: options.streams, seconds: options.seconds, rate: options.rate };
    let flow = streams::measure(&ground, load).await?;
    tell_flow(&mut report, load, &flow);
    let beside = beside_litellm(options, &ground, processes, &mut report).await?;
    report.figures(json!({
        "first_token": first.figures(), "streams": flow.figures(), "beside_litellm": beside,
    }));
    report.publish()?;
    Ok(if flow.faults() == 0 && first.faults == 0 { Verdict::Passed } else { Verdict::Failed })
}

fn tell_first_tokens(report: &mut Report, first: &FirstTokens, model_ms: u32) {
    let title = format!("Time to the first token of a model that takes {model_ms} ms, ms");
    let mut table = Table::new(title, &["way", "streams begun", "p50", "p90", "p99", "most"]);
    for (name, times) in [("the model itself", &first.direct), ("through gateway and companion", &first.ours)] {
        let at = |share| crate::figures::percentile(times, share).map_or_else(|| "-".to_owned(), milliseconds);
        table.row([name.to_owned(), times.len().to_string(), at(0.5), at(0.9), at(0.99), at(1.0)]);
    }
    report.table(table);
    for (share, most) in [(0.5, ADDED_MS[0]), (0.99, ADDED_MS[1])] {
        let what = format!("ms added to the time to the first token, p{:.0}", share * 100.0);
        report.goal(Goal { what, measured: first.added_ms(share), bound: Bound::AtMost(most) });
    }
    for example in &first.examples {
        report.note(format!("first tokens: {example}"));
    }
}

fn tell_flow(report: &mut Report, load: Load, flow: &Flow) {
    let title = format!("{} streams, {} tokens a second, {} s", load.streams, load.rate, load.seconds);
    let mut table = Table::new(title, &["part", "CPU s", "pieces a CPU s", "before MB", "most MB", "KB a stream"]);
    for (name, part) in [("emotion", &flow.emotion), ("gateway", &flow.gateway)] {
        let mb = |kb: u64| format!("{:.1}", float(kb) / 1024.0);
        table.row([
            name.to_owned(),
            format!("{:.1}", part.cpu.as_secs_f64()),
            thousands(flow.each_cpu_second(part.cpu)),
            mb(part.before_kb),
            mb(part.most_kb),
            format!("{:.1}", part.grown_kb() / f64::from(load.streams)),
        ]);
    }
    report.table(table);
    let late = flow.took.saturating_sub(Duration::from_secs(load.seconds.into()));
    report.note(format!(
        "{} pieces came; the last one {} s after the model would have sent it to somebody who is alone",
        thousands(float(flow.pieces)),
        format_args!("{:.1}", late.as_secs_f64())
    ));
    report.goal(Goal {
        what: "streams that lost, doubled or misplaced a piece, or did not end".to_owned(),
        measured: float(flow.faults()),
        bound: Bound::AtMost(0.0),
    });
    report.goal(Goal {
        what: "KB of the emotion service a stream".to_owned(),
        measured: flow.emotion.grown_kb() / f64::from(load.streams),
        bound: Bound::AtMost(STREAM_KB),
    });
    for example in &flow.examples {
        report.note(format!("streams: {example}"));
    }
}

/// Has LiteLLM's proxy stream the same replies, and us beside it: few streams, which cost most for each piece, and as many
/// as it can hardly carry.
async fn beside_litellm(
    options: &Options,
    ground: &Ground<'_>,
    processes: &Processes,
    report: &mut Report,
) -> Result<Value, Trouble> {
    let Some(program) = litellm::find(options.litellm.as_deref()).await else {
        report.note(
            "LiteLLM's proxy was not found: `pip install 'litellm[proxy]'` and --litellm, to measure beside it"
                .to_owned(),
        );
        return Ok(Value::Null);
    };
    progress("LiteLLM's proxy starts")?;
    let proxy = Proxy::start(&program, ground.model.url(), processes).await?;
    let mut figures = Vec::new();
    for streams in &options.litellm_streams {
        let load = Load { streams: *streams, seconds: options.litellm_seconds, rate: options.rate };
        progress(&format!("{streams} streams through LiteLLM's proxy"))?;
        let theirs = litellm::measure(ground, &proxy, load).await?;
        progress(&format!("{streams} streams through us"))?;
        let ours = streams::measure(ground, load).await?;
        figures.push(tell_beside(report, load, &theirs, &ours));
    }
    Ok(figures.into())
}

fn tell_beside(report: &mut Report, load: Load, theirs: &Flow, ours: &Flow) -> Value {
    let title = format!("Beside LiteLLM: {} streams, {} tokens a second, {} s", load.streams, load.rate, load.seconds);
    let mut table = Table::new(title, &["part", "pieces", "took s", "CPU s", "pieces a CPU s", "faults"]);
    let mut row = |name: &str, flow: &Flow, cpu: Duration| {
        let cells = [
            thousands(float(flow.pieces)),
            format!("{:.1}", flow.took.as_secs_f64()),
            format!("{:.1}", cpu.as_secs_f64()),
            thousands(flow.each_cpu_second(cpu)),
            flow.faults().to_string(),
        ];
        table.row(std::iter::once(name.to_owned()).chain(cells));
    };
    row("LiteLLM's proxy", theirs, theirs.emotion.cpu);
    row("emotion", ours, ours.emotion.cpu);
    row("emotion and gateway", ours, ours.emotion.cpu + ours.gateway.cpu);
    report.table(table);
    let their_rate = theirs.each_cpu_second(theirs.emotion.cpu).max(f64::MIN_POSITIVE);
    let ratio = |cpu: Duration| ours.each_cpu_second(cpu) / their_rate;
    let what = format!("times LiteLLM's pieces a CPU second, {} streams", load.streams);
    let measured = ratio(ours.emotion.cpu);
    if load.streams >= CROWD {
        report.goal(Goal { what, measured, bound: Bound::AtLeast(RATIO) });
    } else {
        report.note(format!("{what}: {measured:.1}; the goal is one of a crowd"));
    }
    for example in &theirs.examples {
        report.note(format!("LiteLLM's proxy: {example}"));
    }
    json!({
        "load": { "streams": load.streams, "seconds": load.seconds, "rate": load.rate },
        "litellm": theirs.figures(), "ours": ours.figures(), "ratio": ratio(ours.emotion.cpu),
        "ratio_with_gateway": ratio(ours.emotion.cpu + ours.gateway.cpu),
    })
}
