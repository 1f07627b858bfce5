//! WHAT would a policy have done? Plays recorded request traces through the shipped placement in virtual time, without sockets.
//!
//! A trace holds times, lengths and block ids, never text. A run sends it through some gateway replicas that share nothing to some
//! deployments with limits and caches, and tells what share of the prompt tokens was found cached, how even the load was,
//! and how many attempts were refused. The policies that others published are here for comparison and nowhere else.
//!
//! In reading order: [`trace`] (what was asked), `provider` (what a deployment would do), `knowledge` (what one replica knows),
//! [`policy`] with `shipped` and `published` (whom it would choose), [`world`] (one run), [`matrix`] (many), [`report`], [`money`],
//! [`saving`] and [`plot`]. [`what_if`] stands beside them: it plays the fleet of a configuration as it is, for `apply`.
//!
//! The provider here is not the simulator's engine: that one models a fixed minute, a hit from 1,024 tokens and machines, all at once.
//! Comparing policies needs the plainest cache that separates them, and figures that can be checked against published ones.

mod chance;
mod knowledge;
pub mod matrix;
pub mod money;
pub mod plot;
pub mod policy;
mod provider;
mod published;
pub mod report;
pub mod saving;
mod shipped;
mod table;
pub mod trace;
pub mod what_if;
pub mod world;

#[cfg(test)]
mod tests;
