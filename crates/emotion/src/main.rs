//! The binary `maru-emotion`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::cli::main::<emotion::Emotion>()
}
