//! The binary `maru-emotion`.

use std::process::ExitCode;

// A reply that grows costs two connections, each with buffers and queues of which a fraction is written to. This allocator
// begins each large one at a page of its own, so that what is not written to takes no memory: 46 KB a stream of a process
// that has done little before, where the system's takes 62 (`maru-bench emotion`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    chassis::cli::main::<emotion::Emotion>()
}
