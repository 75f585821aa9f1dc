//! The real binary as a process of its own, to be killed and measured.

use chassis::{clock::Clock, token::Signer};
use domain::principal::Service;
use secrecy::SecretString;
use serde_json::Value;
use testkit::{Child, Stage};

use crate::SECRET;

/// A running `maru-auth serve`, and who asks it; it is killed when this is dropped.
pub(crate) struct ChildProcess {
    child: Child,
    signer: Signer,
    http: reqwest::Client,
}

impl ChildProcess {
    /// Starts the binary on this test's parts, with more settings, and waits until it serves.
    pub(crate) async fn serve(stage: &Stage, database_url: &SecretString, more: &[(&str, &str)]) -> Self {
        let own = [("HTTP_WORKERS", "2"), ("RATE_LIMITS", "generous"), ("JWT_SECRET", SECRET)];
        let settings: Vec<_> = own.iter().chain(more).copied().collect();
        let child = Child::serve(env!("CARGO_BIN_EXE_maru-auth"), stage, database_url, &settings).await;
        Self { child, signer: stage.signer(), http: testkit::http_client() }
    }

    /// Returns its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.child.port()
    }

    /// Returns the token the gateway shows for somebody who is not signed in.
    pub(crate) fn token(&self) -> String {
        self.signer.mint(Service::Auth, None, Clock::system().now()).unwrap()
    }

    /// Begins a `POST` of somebody who is not signed in.
    pub(crate) fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(self.child.url(path)).bearer_auth(self.token()).json(body)
    }

    /// Begins a `GET` of the same.
    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(self.child.url(path)).bearer_auth(self.token())
    }

    /// Ends it with SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(self) {
        self.child.kill();
    }
}
