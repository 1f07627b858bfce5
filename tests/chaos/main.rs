//! The gateway in bad weather: seeded scenarios of faults, and clients that mean harm. `docs/chaos.md` is the manual.
//!
//! A few scenarios run with every `cargo test`; `make chaos` runs a thousand. Each has a simulator, a TCP proxy that injects faults before
//! every account, a gateway, and clients, all of its own runtime. What must hold whatever happens is in `judge`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should say so and stop"
)]

use tikv_jemallocator::Jemalloc;

mod answers;
mod attacks;
mod driver;
mod judge;
mod proxy;
mod report;
mod scenarios;
mod shape;
mod store;
mod target;
mod weather;
mod world;

/// As in the program, so that memory is what it is there.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
