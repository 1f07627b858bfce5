//! The `emberway` program: parse, run, print what went wrong, exit.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Half the memory per open stream of mimalloc, and it gives memory back; see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    emberway::cli::main()
}
