//! What the hot path pays, in one table: `cargo bench`.
//!
//! Every step calls the shipped code and stands beside the plain way of doing the same (`plain_…`), measured in the same
//! run on the same input, so that the ratio means something where the machine does not. Timings are compared by eye and
//! never gate a build; what must not drift is asserted as allocation counts in `tests/allocations.rs`. What the whole
//! gateway costs beside nginx is in `proxy/`.
//!
//! One program for all, since linking the gateway with link-time optimisation takes longer than all of it runs.

#![expect(clippy::expect_used, reason = "made inputs are valid, and a benchmark may stop")]

mod inputs;
mod placement;
mod request;
mod sizes;
mod sse;

use std::time::Duration;

use tikv_jemallocator::Jemalloc;

/// The allocator of the program itself.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Shortest time for each measurement, so that the quick ones are repeated often enough; the whole takes a few seconds.
const MEASURED_FOR: Duration = Duration::from_millis(200);

fn main() {
    divan::Divan::default().min_time(MEASURED_FOR).config_with_args().main();
}
