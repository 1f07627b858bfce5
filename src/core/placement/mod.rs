//! WHERE does it belong? From a prompt to an order of deployments.
//!
//! In reading order: [`chain`] makes block ids of a prompt's text, [`heat`] remembers what came with each block, `nested`
//! walks a prompt's blocks to its key block and order, [`room`] says what is left of a deployment's minute, and [`plan`] puts it
//! together. [`shard`] makes the `prompt_cache_key` that spreads a hot head over the machines of one deployment, and decides
//! from reported cached tokens whether it pays. [`plain`] are policies that remember nothing, [`policy`] names all that a route may
//! choose, and `candidates` is what each of their orders goes through. [`truth`] is what answers have
//! told of a deployment's cache.

mod candidates;
pub mod chain;
pub mod heat;
pub mod hot;
pub mod latency;
mod nested;
pub mod plain;
pub mod plan;
pub mod policy;
pub mod rendezvous;
pub mod room;
pub mod rule;
pub mod shard;
mod survey;
pub mod truth;
pub mod view;
