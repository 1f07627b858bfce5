//! The policies that a route may choose, by name.

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

use super::plain::Plain;

/// A policy by its name in configuration, log and replay.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    AsRefStr,
    IntoStaticStr,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Policy {
    /// Nested placement ([`super::plan`]): follows prompts to where they are cached, and divides hot heads.
    #[default]
    Nested,
    /// Each deployment in turn, by weight.
    RoundRobin,
    /// The deployment with the fewest requests in flight for its weight.
    LeastBusy,
    /// A hash of the prompt's first 1,024 tokens.
    HeadHash,
    /// Of two deployments the one with the lower latency times requests in flight.
    Latency,
}

impl Policy {
    /// The one that remembers nothing; none for nested placement.
    pub fn plain(self) -> Option<Plain> {
        match self {
            Self::Nested => None,
            Self::RoundRobin => Some(Plain::RoundRobin),
            Self::LeastBusy => Some(Plain::LeastBusy),
            Self::HeadHash => Some(Plain::HeadHash),
            Self::Latency => Some(Plain::Latency),
        }
    }
}
