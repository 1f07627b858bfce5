//! WHAT did it use, what was not cached and why, and what lies idle?

pub mod cost;
pub mod drift;
pub mod idle;
pub mod kept;
pub mod misses;
pub mod usage;
