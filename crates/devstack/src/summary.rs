//! The table at the end of a start.

use std::time::Duration;

use crate::{state::State, terminal::Terminal};

/// Shows a person where to go and what to try.
pub(crate) fn show(terminal: &Terminal, state: &State, took: Duration, detached: bool) {
    for line in lines(state, took, detached) {
        terminal.line(line);
    }
}

fn lines(state: &State, took: Duration, detached: bool) -> Vec<String> {
    let url = &state.gateway_url;
    if state.services.is_empty() {
        return vec![format!("PostgreSQL, Redis and object storage are ready ({:.1} s).", took.as_secs_f64())];
    }
    let mut lines = vec![
        String::new(),
        format!("Maru is ready ({:.1} s).", took.as_secs_f64()),
        String::new(),
        format!("  Start page    {url}/"),
        format!("  API           {url}/docs"),
        format!("  Health        {url}/health"),
    ];
    lines.extend(state.gateway_urls.iter().skip(1).map(|other| format!("  Also at       {other}/")));
    lines.push(String::new());
    if let Some(first) = state.demo_logins.first() {
        lines.push(format!("  Demo logins   all with the password {}", first.password()));
        lines.extend(state.demo_logins.iter().map(|login| {
            let (email, role) = login.shown();
            format!("                {email:<22}{role}")
        }));
        lines.push(String::new());
        let body = format!(r#"{{"email":"{}","password":"{}"}}"#, first.shown().0, first.password());
        lines.extend([
            format!("  Try           curl -s {url}/health"),
            format!("                curl -s {url}/login -H 'Content-Type: application/json' -d '{body}'"),
            format!("                curl -s {url}/api/v1/events"),
            String::new(),
        ]);
    }
    if state.offline_llm {
        lines.push("  Emotion chat  the offline companion answers; set OPENAI_API_KEY for a real model".to_owned());
    }
    // The letters lie beside the logs.
    if let Some(data) = state.logs.parent() {
        lines.push(format!("  Mail          {}/*.eml: nothing leaves this machine", data.join("mail").display()));
    }
    lines.push(format!("  Logs          {}/<service>.<n>.log", state.logs.display()));
    lines.push(if detached {
        "  Stop          maru-dev down".to_owned()
    } else {
        "  Stop          Ctrl-C, or `maru-dev down` elsewhere".to_owned()
    });
    lines.push(String::new());
    lines
}
