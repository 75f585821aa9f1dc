//! The scripted OpenAI-compatible server as a program, for a whole stack and for load tests.
//!
//! It listens on loopback at `PORT`. A request's model name is its script, as in `ttft=200,itl=20,n=100`; `SCRIPT` is that
//! of requests whose model says nothing.
#![expect(clippy::expect_used, reason = "a program for developers, which stops with the reason")]

use testkit::{openai::OpenAiServer, settings};

fn main() {
    let port = settings::optional("PORT").map_or(0, |port| port.parse().expect("PORT is a port"));
    let server = OpenAiServer::start_at(port, false);
    if let Some(script) = settings::optional("SCRIPT") {
        server.always(script.as_str());
    }
    loop {
        std::thread::park();
    }
}
