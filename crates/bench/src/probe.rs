//! Single HTTP requests: whether something is ready, and whether it answers what it must before its rate is measured.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    process::{Processes, log_tail},
    trouble::Trouble,
};

/// How long something started may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A status and a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks without proxies, redirects or patience.
#[derive(Debug)]
pub(crate) struct Probe(reqwest::Client);

impl Probe {
    pub(crate) fn new() -> Result<Self, Trouble> {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(5))
            .build()
            .map(Self)
            .map_err(|fault| Trouble::Broken(format!("no HTTP client: {fault}")))
    }

    /// Sends one GET.
    pub(crate) async fn get(&self, url: &str, token: Option<&str>) -> Result<Answer, reqwest::Error> {
        let mut request = self.0.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        Ok(Answer { status: response.status().as_u16(), body: response.text().await? })
    }

    /// Sends one GET which must be answered with `status`, and returns the body.
    pub(crate) async fn expect(&self, status: u16, url: &str, token: Option<&str>) -> Result<String, Trouble> {
        match self.get(url, token).await {
            Ok(answer) if answer.status == status => Ok(answer.body),
            Ok(answer) => {
                Err(Trouble::Broken(format!("{url} answers {} and not {status}: {}", answer.status, answer.body)))
            }
            Err(fault) => Err(Trouble::Broken(format!("{url} does not answer: {fault}"))),
        }
    }

    /// Waits until `url` answers 200, as long as the process lives.
    pub(crate) async fn ready(
        &self,
        processes: &Processes,
        (name, pid): (&str, u32),
        url: &str,
    ) -> Result<(), Trouble> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let state = match self.get(url, None).await {
                Ok(Answer { status: 200, .. }) => return Ok(()),
                Ok(answer) => format!("{}: {}", answer.status, answer.body),
                Err(fault) => fault.to_string(),
            };
            if let Some(ending) = processes.ending(pid) {
                return Err(Trouble::Broken(format!("{name} ended ({ending}):\n{}", log_tail(name))));
            }
            if Instant::now() > deadline {
                return Err(Trouble::Broken(format!("{name} is not ready: {url}: {state}\n{}", log_tail(name))));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
