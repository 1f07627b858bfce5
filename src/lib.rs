//! Emberway: one endpoint in front of a fleet of fine-tuned Azure OpenAI deployments.
//!
//! The crate in reading order, lowest layer first. A module uses only modules of its own layer's kind below it;
//! `tests/it/architecture.rs` holds that rule.
//!
//! | layer | modules | what they are |
//! | --- | --- | --- |
//! | 0 | [`core`] | decisions: no IO, no clock, no randomness, no async, no logging |
//! | 0 | [`columns`] | text tables for people |
//! | 1 | [`openai`] | wire formats: bytes in, values out |
//! | 2 | [`config`], [`storage`], [`telemetry`], [`azure`], [`simulator`] | each touches one part of the world |
//! | 3 | [`proxy`], [`admin`], [`load`], [`replay`], [`fleet`], [`history`], [`otlp`] | things that run |
//! | 4 | [`cli`], [`app`], [`demo`] | arguments, wiring, exit codes, the demo that wires all of it |

pub mod admin;
pub mod app;
pub mod azure;
pub mod cli;
pub mod columns;
pub mod config;
pub mod core;
pub mod demo;
pub mod fleet;
pub mod history;
pub mod load;
pub mod openai;
pub mod otlp;
pub mod proxy;
pub mod replay;
pub mod simulator;
pub mod storage;
pub mod telemetry;
