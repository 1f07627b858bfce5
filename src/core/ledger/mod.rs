//! WHAT did it use, what was not cached and why, what lies idle, and what does it cost?

pub mod advice;
pub mod bill;
pub mod book;
pub mod cost;
pub mod drift;
pub mod finished;
pub mod hosting;
pub mod idle;
pub mod kept;
pub mod life;
pub mod misses;
pub mod prices;
pub mod usage;
