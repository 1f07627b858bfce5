//! WHAT did it use, and what lies idle?

pub mod idle;
pub mod usage;
