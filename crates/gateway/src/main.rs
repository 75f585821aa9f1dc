//! The binary `maru-gateway`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::cli::main::<gateway::Gateway>()
}
