//! A model that follows scripts, in the place of one that costs money.
//!
//! It is a program of its own, `maru-scripted-llm` of the test kit: what answers people must not share a process with
//! what watches over the stack.

use crate::{
    fault::Fault,
    locate,
    parts::Workshop,
    process::Stop,
    program::{Environment, Program, Stage},
};

/// Its name, and that of its log.
const NAME: &str = "scripted-llm";

/// Starts it and returns its base address, as `OPENAI_BASE_URL` has it.
pub(crate) fn start(workshop: &Workshop<'_>) -> Result<String, Fault> {
    let settings = workshop.settings;
    let executable = settings.program.with_file_name("maru-scripted-llm");
    if !locate::is_executable(&executable) {
        return Err(Fault::new("maru-scripted-llm is not built", "run `cargo build -p testkit --bins`"));
    }
    let port = workshop.with_ports(|ports| ports.pick(NAME))?;
    workshop.household.keep(Program {
        name: NAME.to_owned(),
        executable,
        arguments: Vec::new(),
        environment: Environment::Only(vec![("PORT".to_owned(), port.to_string())]),
        directory: settings.root.clone(),
        account: None,
        stop: Stop::Group,
        stage: Stage::Services,
    })?;
    Ok(format!("http://127.0.0.1:{port}/v1"))
}
