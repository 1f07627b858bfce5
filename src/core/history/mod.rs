//! WHAT did requests come to over time? Sums and latencies by the time they ended, rolled up, and how they are told.

pub mod ask;
pub mod shown;
