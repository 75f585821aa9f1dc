//! The binary `maru-ticketing`.

use std::process::ExitCode;

// Thousands of idle sockets have buffers that are hardly written to: this allocator begins each at a page of its own, so that
// the rest of them takes no memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    chassis::cli::main::<ticketing::Ticketing>()
}
