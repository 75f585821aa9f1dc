//! The binary `maru-session`.

use std::process::ExitCode;

// An idle viewer costs two buffers of 8 KB that it hardly writes to. This allocator begins each at a page of its own, so that
// what is not written to takes no memory: 18 KB a viewer where the system's takes 22 (`maru-bench viewers`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    chassis::cli::main::<session::Session>()
}
