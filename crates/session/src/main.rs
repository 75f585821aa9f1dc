//! The binary `maru-session`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::cli::main::<session::Session>()
}
