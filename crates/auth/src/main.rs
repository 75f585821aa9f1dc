//! The binary `maru-auth`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::cli::main::<auth::Auth>()
}
