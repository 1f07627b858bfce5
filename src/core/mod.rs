//! WHAT should happen? Every decision of the gateway, as pure functions over plain values.
//!
//! Nothing here does IO, reads a clock, draws a random number, awaits or logs: `now` and randomness are
//! arguments, and every decision comes back with its reason. So the core cannot fail for reasons of its own.

pub mod admission;
pub mod arm_id;
pub mod calendar;
pub mod fleet;
pub mod headroom;
pub mod history;
pub mod ids;
pub mod ledger;
pub mod placement;
pub mod provider;
pub mod recorded;
pub mod recovery;
pub mod router;
pub mod throughput;
pub mod topology;
pub mod trace_context;
