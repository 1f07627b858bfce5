//! The plan for one request: which deployments to try, in which order, and why.
//!
//! Tiers come in order of priority. Inside a tier the prompt's head decides, by weighted rendezvous: the first in its order
//! is the head's *home*, and the next ones take over in turn, so that the same second place is warmed by every request that
//! spills. Deployments that are set aside are left out; where nothing else is left, those whose breaker is open come as
//! a last resort (a breaker is a guess), while throttled ones never do (their answer is known).
//!
//! Pure: the same input gives the same plan on every replica. Linear in the pool's members, but for the sort of a tier.

use std::time::Instant;

use serde::Serialize;
use smallvec::SmallVec;
use strum::{AsRefStr, IntoStaticStr, VariantArray};

use crate::core::placement::head::HeadKey;
use crate::core::placement::rendezvous;
use crate::core::recovery::health::Availability;
use crate::core::topology::{DeploymentIx, Pool, Snapshot};

/// Why a deployment is where it is in a plan. The same text in log, metric and header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr, AsRefStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The prompt's head belongs here.
    Home,
    /// The prompt is too short to be cached; it was placed for balance.
    ShortPrompt,
    /// The pool has no other deployment.
    OnlyChoice,
    /// The home is throttled.
    SpillThrottled,
    /// The home's breaker is open.
    SpillEjected,
    /// No deployment of a better tier can be used.
    Tier,
    /// An earlier attempt of this request failed.
    Failover,
    /// Nothing else is left, although its breaker is open.
    LastResort,
}

/// A deployment and why it may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which deployment.
    pub deployment: DeploymentIx,
    /// Why it stands here, if it is tried first.
    pub reason: Reason,
}

/// The ordered candidates for one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Whom to try, in order; no deployment occurs twice. Empty when every member is throttled.
    pub candidates: SmallVec<[Candidate; 8]>,
}

/// Plans a request.
pub fn plan(
    snapshot: &Snapshot,
    pool: &Pool,
    head: HeadKey,
    mut availability: impl FnMut(DeploymentIx) -> Availability,
) -> Plan {
    let mut plan = Plan::default();
    let mut last_resort: SmallVec<[Candidate; 8]> = SmallVec::new();
    for (level, tier) in pool.tiers.iter().enumerate() {
        let mut order: SmallVec<[(f64, DeploymentIx); 8]> = tier
            .iter()
            .map(|member| {
                let name = &snapshot.deployments[member.deployment.0].id;
                (rendezvous::score(head.hash, name, member.weight), member.deployment)
            })
            .collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let is_best_tier = plan.candidates.is_empty();
        let mut passed_over = None;
        for (_, deployment) in order {
            let reason = match availability(deployment) {
                Availability::Ready | Availability::Probe => passed_over.unwrap_or(placed(pool, head)),
                Availability::Resting(_) => {
                    passed_over.get_or_insert(Reason::SpillThrottled);
                    continue;
                }
                Availability::Ejected(_) => {
                    passed_over.get_or_insert(Reason::SpillEjected);
                    last_resort.push(Candidate {
                        deployment,
                        reason: Reason::LastResort,
                    });
                    continue;
                }
            };
            let reason = if is_best_tier && level > 0 {
                Reason::Tier
            } else {
                reason
            };
            plan.candidates.push(Candidate { deployment, reason });
        }
    }
    plan.candidates.extend(last_resort);
    plan
}

/// The reason of a candidate that nothing was passed over for.
fn placed(pool: &Pool, head: HeadKey) -> Reason {
    if pool.members().count() == 1 {
        Reason::OnlyChoice
    } else if head.is_short {
        Reason::ShortPrompt
    } else {
        Reason::Home
    }
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
