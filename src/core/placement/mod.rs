//! WHERE does it belong? From a prompt to an order of deployments.
//!
//! In reading order: [`chain`] makes block ids of a prompt's text, [`heat`] remembers what came with each block, `nested`
//! walks a prompt's blocks to its key block and order, [`room`] says what is left of a deployment's minute, and [`plan`] puts it
//! together. [`shard`] makes the `prompt_cache_key` that spreads a hot head over the machines of one deployment, and decides
//! from reported cached tokens whether it pays. [`seen`] tells afterwards what a cache could have held. [`head`] and [`rendezvous`] alone are the older way: one key of fixed depth.

pub mod chain;
pub mod head;
pub mod heat;
mod nested;
pub mod plan;
pub mod rendezvous;
pub mod room;
pub mod rule;
pub mod seen;
pub mod shard;
mod survey;
pub mod view;
