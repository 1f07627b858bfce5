//! WHAT do the bytes say? Wire formats of OpenAI and Azure OpenAI: bytes in, values out, no IO.
//!
//! Only the members that the gateway acts on are read; everything else passes through untouched, so a member
//! that Azure adds tomorrow works today.

pub mod azure;
pub mod bearer;
pub mod body;
pub mod canonical;
pub mod error;
mod json;
pub mod request;
pub mod responses;
pub mod sse;
mod stage;
pub mod stream;
pub mod target;
pub mod usage;
