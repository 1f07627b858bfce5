//! WHAT happened, for people and machines? Log lines, metrics and the clock.
//!
//! Whoever acts makes an event of [`events`] and emits it, and that one call both logs and counts, so the two cannot
//! tell different stories. Metrics are declared once, in [`definitions`]. Labels are configured ids and words of closed
//! enums, never what a client sent; prompts and keys are not in any event, so they cannot be logged by mistake.

pub mod batch;
pub mod clock;
pub mod definitions;
pub mod events;
pub mod finished;
pub mod journal;
mod json;
pub mod logging;
pub mod metrics;
pub mod series;
pub mod view;
