//! The binary `maru-memo`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::cli::main::<memo::Memo>()
}
