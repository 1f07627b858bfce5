//! WHAT did requests come to over time? Sums and latencies by the time they ended, rolled up, and how they are told.
//!
//! [`lines`] adds requests up in intervals of ten seconds; [`step`] says which intervals there are and which of them answer a question,
//! [`kept`] from when on; [`gather`] makes answers of lines. Histograms ([`times`]) are merged, never percentiles averaged, so a month's
//! percentiles are those of all its requests.

pub mod ask;
pub mod gather;
pub mod kept;
pub mod lines;
pub mod shown;
pub mod slow;
pub mod step;
pub mod sums;
pub mod times;
