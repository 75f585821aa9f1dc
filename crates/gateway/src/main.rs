//! The binary `maru-gateway`.

use std::process::ExitCode;

// Each request makes some twenty small things and drops them, which is cheaper here than with the system's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    chassis::cli::main::<gateway::Gateway>()
}
