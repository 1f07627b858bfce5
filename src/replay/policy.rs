//! The policies that can be replayed: the shipped ones, and published ones for comparison.

use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

use super::chance::Chance;
use super::knowledge::Knowledge;
use super::trace::Request;
use crate::core::placement::policy;

/// A policy by its name in flags, tables and JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr, EnumString, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PolicyName {
    /// Ours.
    Nested,
    /// One after the other.
    RoundRobin,
    /// The fewest requests in flight.
    LeastBusy,
    /// Two choices, the one with the lower peak-sensitive latency times requests in flight.
    Latency,
    /// A hash of the first 1,024 tokens.
    HeadHash,
    /// A hash of the first 2,048 tokens, as proposed for `LiteLLM`.
    LitellmPrefix,
    /// `SGLang`'s cache-aware router with its defaults.
    SglangCacheAware,
    /// Preble's E2: exploit or explore.
    PrebleE2,
    /// `DualMap`: two rings, the better of two.
    Dualmap,
}

/// Where a policy comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A route may choose it.
    Shipped(policy::Policy),
    /// Others published it; it is here for comparison only.
    Published(Published),
}

/// The published policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    LitellmPrefix,
    SglangCacheAware,
    PrebleE2,
    DualMap,
}

impl PolicyName {
    pub(super) fn source(self) -> Source {
        match self {
            Self::Nested => Source::Shipped(policy::Policy::Nested),
            Self::RoundRobin => Source::Shipped(policy::Policy::RoundRobin),
            Self::LeastBusy => Source::Shipped(policy::Policy::LeastBusy),
            Self::Latency => Source::Shipped(policy::Policy::Latency),
            Self::HeadHash => Source::Shipped(policy::Policy::HeadHash),
            Self::LitellmPrefix => Source::Published(Published::LitellmPrefix),
            Self::SglangCacheAware => Source::Published(Published::SglangCacheAware),
            Self::PrebleE2 => Source::Published(Published::PrebleE2),
            Self::Dualmap => Source::Published(Published::DualMap),
        }
    }
}

/// What a policy is asked with.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request,
    /// Which gateway got it.
    pub(super) replica: usize,
    pub(super) knowledge: &'a Knowledge,
    pub(super) chance: &'a mut Chance,
}

/// A policy in a run.
pub(super) trait Policy {
    /// Whom to try first; none if nobody may be tried.
    fn choose(&mut self, asked: &mut Asked<'_>) -> Option<usize>;

    /// Whom to try after those that refused or rest.
    fn next(&mut self, asked: &mut Asked<'_>, tried: &[bool]) -> Option<usize> {
        asked.knowledge.least_busy(asked.chance, |at| !tried[at])
    }

    /// A request was let in by a deployment, which found so many tokens cached.
    fn admitted(&mut self, _asked: &mut Asked<'_>, _deployment: usize, _cached: u32) {}

    /// The `prompt_cache_key` to send with the request.
    fn cache_key(&self) -> Option<u64> {
        None
    }

    /// Mean life of [`Knowledge::sent`], in seconds.
    fn mean_life(&self) -> f64 {
        60.0
    }

    /// Whether [`Knowledge::index`] is kept.
    fn remembers(&self) -> bool {
        false
    }
}
