//! LiteLLM's proxy before the same model.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Ground,
    model::{Model, message},
    streams::{Flow, Load},
};
use crate::{
    cpu,
    probe::Probe,
    process::{Processes, find_program, free_port, log_tail},
    report,
    trouble::Trouble,
};

/// Its name, and that of its log.
const NAME: &str = "litellm";
/// The key it asks for.
const KEY: &str = "sk-maru-bench";
/// The name its configuration gives the model.
const MODEL: &str = "scripted";
/// How long it may take to start: it loads a great deal.
const START_LIMIT: Duration = Duration::from_mins(2);

/// A proxy that runs.
pub(super) struct Proxy {
    pid: u32,
    model: Model,
}

/// Returns the program that was named, or the one on the path.
pub(super) async fn find(named: Option<&str>) -> Option<String> {
    match named {
        Some(program) => Some(program.to_owned()),
        None => find_program(&[NAME], "--version", NAME).await.ok().map(ToOwned::to_owned),
    }
}

impl Proxy {
    /// Starts it before the model at `url`, with one worker, and waits until it answers.
    pub(super) async fn start(program: &str, url: &str, processes: &Processes) -> Result<Self, Trouble> {
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--num_workers", "1", "--config"])
            .arg(configuration(url)?)
            .env("LITELLM_LOG", "ERROR")
            .env("LITELLM_MASTER_KEY", KEY)
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        let pid = processes.start(NAME, &mut command)?;
        let (probe, deadline) = (Probe::new()?, Instant::now() + START_LIMIT);
        let alive = format!("http://127.0.0.1:{port}/health/liveliness");
        while probe.get(&alive, None).await.map_or(0, |answer| answer.status) != 200 {
            if processes.ending(pid).is_some() || Instant::now() > deadline {
                return Err(Trouble::Broken(format!("LiteLLM's proxy does not start:\n{}", log_tail(NAME))));
            }
            sleep(Duration::from_millis(250)).await;
        }
        Ok(Self { pid, model: Model::new(&format!("http://127.0.0.1:{port}/v1"))? })
    }
}

/// Writes its configuration; JSON is YAML, too.
fn configuration(url: &str) -> Result<PathBuf, Trouble> {
    let parameters = json!({ "model": format!("openai/{MODEL}"), "api_base": url, "api_key": "scripted" });
    let configuration = json!({
        "model_list": [{ "model_name": MODEL, "litellm_params": parameters }],
        "litellm_settings": { "telemetry": false, "set_verbose": false },
    });
    let path = report::directory()?.join("litellm.yaml");
    std::fs::write(&path, configuration.to_string())?;
    Ok(path)
}

/// Has it stream; its CPU time is that of the part between model and person.
pub(super) async fn measure(ground: &Ground<'_>, proxy: &Proxy, load: Load) -> Result<Flow, Trouble> {
    ground.model.follow(&load.script()).await?;
    let replies = Arc::new(ground.model.replies(load.tokens()).await?);
    // One first, so that nothing is counted that it loads only once.
    proxy.model.ask(MODEL, &message(0), KEY).await?;
    let (begun, cpu_before) = (Instant::now(), cpu::used_by(proxy.pid).unwrap_or_default());
    let before_kb = cpu::resident_kb(proxy.pid).unwrap_or_default();
    let mut asking = JoinSet::new();
    for number in 0..load.streams {
        let (model, replies) = (proxy.model.clone(), Arc::clone(&replies));
        asking.spawn(async move {
            sleep(load.begins_after(number)).await;
            let heard = model.ask(MODEL, &message(number), KEY).await.map_err(|trouble| trouble.to_string())?;
            let expected = replies.get(number as usize % replies.len().max(1));
            if expected == Some(&heard.text) {
                Ok(heard.pieces)
            } else {
                Err("another text came than was sent".to_owned())
            }
        });
    }
    let mut flow = Flow::default();
    while let Some(ended) = asking.join_next().await {
        flow.add(ended.unwrap_or_else(|fault| Err(fault.to_string())));
    }
    flow.took = begun.elapsed();
    flow.emotion.cpu = cpu::used_by(proxy.pid).unwrap_or_default().saturating_sub(cpu_before);
    flow.emotion.before_kb = before_kb;
    flow.emotion.most_kb = cpu::resident_kb(proxy.pid).unwrap_or_default();
    Ok(flow)
}
