//! The binary `maru-ticketing`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::cli::main::<ticketing::Ticketing>()
}
