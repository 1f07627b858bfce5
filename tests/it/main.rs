//! The gateway through its front door: the real thing in front of the shipped simulator, everything on port 0.
//!
//! One binary for all integration tests, since linking is what takes time. Every test has a world of its own (simulator,
//! gateway, usage store, runtime), so tests neither share state nor an order. Nothing sleeps and hopes: what takes time is
//! waited for, within a bound.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should say so and stop"
)]

mod acceptance;
mod access;
mod admin;
mod architecture;
mod bodies;
mod breakers;
mod broken;
mod cache_share;
mod cli;
mod client_limits;
mod clients;
mod configuration;
mod conformance;
mod cost;
mod docs;
mod drain;
mod drains;
mod explain;
mod failover;
mod fleet;
mod fleet_apply;
mod harness;
mod hedging;
mod history;
mod limits;
mod membership;
mod misses;
mod moving_in;
mod operations;
mod operator_api;
mod otlp;
mod placement;
mod prometheus;
mod recovery;
mod refusals;
mod reload;
mod responses;
mod reuse;
mod routing;
mod sentences;
mod shedding;
mod sixty_days;
mod streaming;
mod tls;
mod tokens;
mod usage;
mod verdicts;
mod wire;
