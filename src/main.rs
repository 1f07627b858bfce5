//! The `emberway` program: parse, run, print what went wrong, exit.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Less than half of mimalloc's memory for an open stream, and it gives memory back: docs/adr/0010-jemalloc.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    emberway::cli::main()
}
