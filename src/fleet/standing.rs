//! How each deployment stands for routing, by what Azure shows of it: pure, from one picture.
//!
//! A deployment whose account could not be read keeps standing as the last good view has it. One that Azure does not show is
//! missing. One that is being changed in place goes on answering; one that has never answered since it was made is not there yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::fleet::actual::{Actual, ActualDeployment, Provisioning};
use crate::core::fleet::apply::PROPAGATION_MS;
use crate::core::fleet::declared::{Declared, DeclaredDeployment, PoolMember};
use crate::core::fleet::key::ModelRef;
use crate::core::fleet::phoenix;
use crate::core::fleet::retirement::{self, FadingMember};
use crate::core::fleet::weights::{self, Likeness};
use crate::core::ids::DeploymentId;
use crate::core::recovery::absence::Absence;
use crate::fleet::traffic::{Seen, Standing};

/// What a standing is made of.
pub struct Picture<'a> {
    /// What should be.
    pub declared: &'a Declared,
    /// What Azure shows, the last good view of each account.
    pub actual: &'a Actual,
    /// What the gateway knows.
    pub seen: &'a BTreeMap<DeploymentId, Seen>,
    /// How far the rebuilding of lost ones is.
    pub rebuilding: &'a BTreeMap<DeploymentId, phoenix::State>,
    /// Those that are to be deleted.
    pub leaving: &'a BTreeSet<DeploymentId>,
    /// Whether anything may be written to Azure.
    pub writes: bool,
    /// In milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// How every managed deployment stands whose account has been read at least once. Linear in the fleet and its pools.
pub fn standings(picture: &Picture<'_>) -> BTreeMap<DeploymentId, Standing> {
    let mut standings = BTreeMap::new();
    let mut doubtful = BTreeSet::new();
    for declared in &picture.declared.deployments {
        let Some(account) = picture.actual.accounts.get(&declared.key.account) else {
            continue;
        };
        let shown = account.deployments.get(&declared.key);
        let absence = match shown {
            None => Some(missing(picture, declared)),
            Some(shown) => absence(picture, declared, shown),
        };
        let is_made =
            absence == Some(Absence::Provisioning) && shown.is_some_and(|shown| shown.state == Provisioning::Succeeded);
        // One whose last change came to nothing may well serve as it was before.
        if is_made || absence == Some(Absence::Failed) {
            doubtful.insert(&declared.id);
        }
        let standing = Standing {
            absence,
            created_at_ms: shown.and_then(|shown| shown.created_at_ms),
            ..Standing::default()
        };
        standings.insert(declared.id.clone(), standing);
    }
    fade(picture, &mut standings);
    part_unlike(picture, &mut standings);
    try_doubtful(picture, &doubtful, &mut standings);
    standings
}

/// Whether requests are sent to a deployment.
fn serves(picture: &Picture<'_>, standings: &BTreeMap<DeploymentId, Standing>, id: &DeploymentId) -> bool {
    let is_there = standings.get(id).is_none_or(|standing| standing.absence.is_none());
    is_there && !picture.seen.get(id).is_some_and(|seen| seen.is_drained)
}

/// What is only so new that the data plane may not know it yet is tried where a pool has nobody else: it answers, or 404 as it
/// would anyway.
fn try_doubtful(
    picture: &Picture<'_>,
    doubtful: &BTreeSet<&DeploymentId>,
    standings: &mut BTreeMap<DeploymentId, Standing>,
) {
    let alone: Vec<&DeploymentId> = picture
        .declared
        .pools
        .iter()
        .filter(|pool| !pool.members.iter().any(|member| serves(picture, standings, &member.id)))
        .flat_map(|pool| pool.members.iter().map(|member| &member.id))
        .filter(|id| doubtful.contains(id))
        .collect();
    for id in alone {
        if let Some(standing) = standings.get_mut(id)
            && matches!(standing.absence, Some(Absence::Provisioning | Absence::Failed))
        {
            standing.absence = None;
        }
    }
}

/// One that will be made again as soon as a request needs it is on its way.
fn missing(picture: &Picture<'_>, declared: &DeclaredDeployment) -> Absence {
    let is_wanted = picture.writes && declared.policy.rebuilds();
    match picture.rebuilding.get(&declared.id) {
        Some(phoenix::State::Creating { .. } | phoenix::State::Propagating { .. }) => Absence::Provisioning,
        Some(phoenix::State::Lost | phoenix::State::Waiting { .. }) if is_wanted => Absence::Provisioning,
        _ => Absence::Missing,
    }
}

fn absence(picture: &Picture<'_>, declared: &DeclaredDeployment, shown: &ActualDeployment) -> Option<Absence> {
    let seen = picture.seen.get(&declared.id);
    let answered_at = seen.and_then(|seen| seen.last_success_at_ms);
    let has_answered = answered_at.is_some_and(|at| shown.created_at_ms.is_none_or(|created| at >= created));
    if picture.leaving.contains(&declared.id) {
        return Some(Absence::Deleting);
    }
    match shown.state {
        Provisioning::Deleting => Some(Absence::Deleting),
        Provisioning::Disabled => Some(Absence::Disabled),
        _ if shown.is_paused => Some(Absence::Paused),
        _ if has_answered => None,
        Provisioning::Failed | Provisioning::Canceled => Some(Absence::Failed),
        Provisioning::Accepted | Provisioning::Creating => Some(Absence::Provisioning),
        Provisioning::Succeeded | Provisioning::Moving | Provisioning::Other => {
            let age = shown.created_at_ms.map(|at| picture.now_ms.saturating_sub(at));
            age.is_some_and(|age| age < PROPAGATION_MS)
                .then_some(Absence::Provisioning)
        }
    }
}

/// Takes weight from those that end soon. One that is in several pools has what the one says that needs it most.
fn fade(picture: &Picture<'_>, standings: &mut BTreeMap<DeploymentId, Standing>) {
    let mut shares: BTreeMap<&DeploymentId, f64> = BTreeMap::new();
    for pool in &picture.declared.pools {
        let member = |id: &DeploymentId, shown: Option<&ActualDeployment>| FadingMember {
            end: shown.and_then(|shown| retirement::end_of(shown.sku(), shown.created_at_ms, shown.retires_at_ms)),
            is_serving: standings.get(id).is_none_or(|standing| standing.absence.is_none())
                && !picture.seen.get(id).is_some_and(|seen| seen.is_drained),
        };
        let members: Vec<FadingMember> = pool
            .members
            .iter()
            .map(|of_pool| {
                member(
                    &of_pool.id,
                    of_pool.key.as_ref().and_then(|key| picture.actual.find(key)),
                )
            })
            .collect();
        for (member, (share, _)) in pool.members.iter().zip(retirement::shares(&members, picture.now_ms)) {
            let most = shares.entry(&member.id).or_insert(0.0);
            *most = most.max(share);
        }
    }
    for (id, share) in shares {
        if let Some(standing) = standings.get_mut(id) {
            standing.share = share;
            if share <= 0.0 {
                standing.absence.get_or_insert(Absence::Ending);
            }
        }
    }
}

/// Takes out those that certainly run something else than they should: of those that serve, whoever differs from its declaration while
/// another does not, and else whoever differs from most. Never all that serve, and nobody who serves another pool alone.
fn part_unlike(picture: &Picture<'_>, standings: &mut BTreeMap<DeploymentId, Standing>) {
    for pool in &picture.declared.pools {
        let serving: Vec<&PoolMember> = pool
            .members
            .iter()
            .filter(|member| serves(picture, standings, &member.id))
            .collect();
        let runs = |member: &PoolMember| {
            let shown = member.key.as_ref().and_then(|key| picture.actual.find(key));
            shown.map(|shown| &shown.model)
        };
        let models: Vec<_> = serving.iter().map(|member| (&member.id, runs(member))).collect();
        let verdict = weights::compare(&models, &pool.equivalents);
        if verdict.likeness != Likeness::Unlike {
            continue;
        }
        let is_as_declared = |member: &PoolMember| {
            let declared = member.key.as_ref().and_then(|key| picture.declared.find(key));
            let wanted = declared.and_then(|declared| declared.model.as_ref());
            wanted.is_some() && wanted == runs(member)
        };
        let (right, other): (Vec<&PoolMember>, Vec<&PoolMember>) =
            serving.iter().copied().partition(|member| is_as_declared(member));
        let odd: Vec<DeploymentId> = if right.is_empty() || other.is_empty() {
            verdict.odd
        } else {
            let is_like_them = |model: &ModelRef| {
                let mut models = right.iter().filter_map(|member| runs(member));
                models.any(|other| weights::are_equivalent(model, other, &pool.equivalents))
            };
            let differs = |member: &&&PoolMember| runs(member).is_some_and(|model| !is_like_them(model));
            other.iter().filter(differs).map(|member| member.id.clone()).collect()
        };
        for id in odd.iter().take(serving.len().saturating_sub(1)) {
            // Where it is right it may be the only one.
            let is_alone = picture.declared.pools.iter().any(|other| {
                let mut serving = other
                    .members
                    .iter()
                    .filter(|member| serves(picture, standings, &member.id));
                serving.next().is_some_and(|first| first.id == *id) && serving.next().is_none()
            });
            if is_alone {
                continue;
            }
            if let Some(standing) = standings.get_mut(id) {
                standing.absence.get_or_insert(Absence::Unlike);
            }
        }
    }
}

#[cfg(test)]
mod tests;
