//! The plan for one request: which deployments to try, in which order, and why.
//!
//! Joins the configured pool with what is known of its deployments at this moment into the [`View`] that placement works on.
//! Deployments that rest after a 429 are left out of every plan (their answer is known), and so are those that an operator has
//! taken out, or that are not there by what the control plane says; those whose breaker is open come as a last resort (a breaker is
//! a guess).
//!
//! Pure: the same input gives the same plan. Linear in the pool's members.

pub mod tries;

use std::time::{Duration, Instant};

pub use crate::core::placement::plan::{Candidate, Plan, Reason};
use crate::core::placement::rendezvous;
use crate::core::placement::view::{Member, State, Tier, View};
use crate::core::recovery::health::Availability;
use crate::core::topology::{DeploymentIx, Pool, Snapshot};

/// What is known of a deployment at the moment of planning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// Whether it may be used.
    pub availability: Availability,
    /// Whether this plan may count on it; not so while it recovers and has had its share.
    pub is_admitted: bool,
    /// What part of its weight it has: 1, or less once it is about to end; more than 0.
    pub share: f64,
    /// Tokens a minute that it takes; infinite where nothing is known.
    pub limit: f64,
    /// Tokens of that which are used.
    pub used: f64,
    /// Requests in flight.
    pub in_flight: f64,
    /// Smoothed seconds to the beginning of an answer; 0 where unknown.
    pub latency: f64,
    /// How long its cache keeps what nobody asks for.
    pub cache_life: Duration,
    /// What was sent before this time is not there any more.
    pub lost_before: Duration,
    /// Whether it caches at all.
    pub caches: bool,
}

/// A pool as placement sees it, with nothing known of its deployments yet: made once a configuration.
pub fn outline(snapshot: &Snapshot, pool: &Pool) -> View {
    let region = |deployment: DeploymentIx| {
        let region = &snapshot.resources[snapshot.deployments[deployment.0].resource.0].region;
        let first = snapshot
            .resources
            .iter()
            .position(|resource| resource.region == *region);
        first.unwrap_or(0) as u32
    };
    let member = |member: &crate::core::topology::Member| Member {
        output_weight: snapshot.deployments[member.deployment.0].output_weight(),
        counts_cached: !snapshot.deployments[member.deployment.0].sku.is_provisioned(),
        seed: rendezvous::seed(&snapshot.deployments[member.deployment.0].id),
        region: region(member.deployment),
        weight: member.weight,
        ..Member::named(member.deployment, "", f64::INFINITY)
    };
    let tier = |members: &Vec<crate::core::topology::Member>| Tier {
        members: members.iter().map(member).collect(),
    };
    View {
        tiers: pool.tiers.iter().map(tier).collect(),
        replicas: f64::from(snapshot.replicas),
    }
}

/// The pool as it is now.
pub fn view(outline: &View, mut known: impl FnMut(DeploymentIx) -> Known) -> View {
    let mut view = outline.clone();
    for member in view.tiers.iter_mut().flat_map(|tier| &mut tier.members) {
        let known = known(member.deployment);
        member.weight *= known.share;
        member.limit = known.limit;
        member.used = known.used;
        member.load = known.in_flight;
        member.latency = known.latency;
        member.cache_life = known.cache_life;
        member.lost_before = known.lost_before;
        member.caches = known.caches;
        member.state = match known.availability {
            Availability::Ready | Availability::Probe if known.is_admitted => State::Ready,
            Availability::Resting(_) => State::Resting,
            Availability::Drained(_) => State::Drained,
            Availability::Absent(_) => State::Absent,
            // One that recovers and has had its share is a last resort, like one whose breaker is open.
            Availability::Ready | Availability::Probe | Availability::Ejected(_) | Availability::Unusable(_) => {
                State::Ejected
            }
        };
    }
    view
}

/// The soonest time at which a throttled member of the pool may be used again.
pub fn soonest_recovery(pool: &Pool, mut availability: impl FnMut(DeploymentIx) -> Availability) -> Option<Instant> {
    pool.members()
        .filter_map(|member| match availability(member.deployment) {
            Availability::Resting(until) => Some(until),
            _ => None,
        })
        .min()
}

#[cfg(test)]
mod tests;
