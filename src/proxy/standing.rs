//! How a deployment stands: by its own health and its resource's, and the attempts that run there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;

use crate::core::recovery::absence::Absence;
use crate::core::recovery::health::{Availability, Health};
use crate::core::recovery::outcome::Scope;
use crate::core::topology::{DeploymentIx, ResourceIx};
use crate::proxy::state::{DeploymentState, Live};

/// What is known of a resource across configurations.
#[derive(Debug, Default)]
pub struct ResourceState {
    /// Breaker of the whole resource: its host, its credential.
    pub health: Mutex<Health>,
}

impl Live {
    /// Whether a deployment may be used. What an operator wants and what the control plane says come before all that was learned.
    pub fn availability(&self, deployment: DeploymentIx, now: Instant) -> Availability {
        if let Some(out) = self.taken_out(deployment, now) {
            return out;
        }
        let resource = self.resource_state(deployment).health.lock().availability(now);
        let own = self.deployments[deployment.0].state.health.lock().availability(now);
        own.and(resource)
    }

    /// Whether it may be used, and whether a plan made now may count on it: one that has just recovered gets less than its share.
    pub fn standing(&self, deployment: DeploymentIx, now: Instant) -> (Availability, bool) {
        if let Some(out) = self.taken_out(deployment, now) {
            // One that waits to be needed is already told of as on its way.
            if matches!(out, Availability::Absent(Absence::Missing | Absence::Provisioning)) {
                self.deployments[deployment.0].state.was_needed.make();
            }
            return (out, false);
        }
        let of = |health: &Mutex<Health>| {
            let mut health = health.lock();
            (health.availability(now), health.admits(&self.rules, now))
        };
        let (resource, is_admitted_by_resource) = of(&self.resource_state(deployment).health);
        let (own, is_admitted) = of(&self.deployments[deployment.0].state.health);
        (own.and(resource), is_admitted && is_admitted_by_resource)
    }

    /// The same for somebody who only looks: nothing is counted as given or owed.
    pub fn standing_as_seen(&self, deployment: DeploymentIx, now: Instant) -> (Availability, bool) {
        if let Some(out) = self.taken_out(deployment, now) {
            return (out, false);
        }
        let of = |health: &Mutex<Health>| {
            let mut health = health.lock().clone();
            (health.availability(now), health.admits(&self.rules, now))
        };
        let (resource, is_admitted_by_resource) = of(&self.resource_state(deployment).health);
        let (own, is_admitted) = of(&self.deployments[deployment.0].state.health);
        (own.and(resource), is_admitted && is_admitted_by_resource)
    }

    /// Whether an operator has taken it out, or it is not there, by what the control plane says.
    fn taken_out(&self, deployment: DeploymentIx, now: Instant) -> Option<Availability> {
        let state = &self.deployments[deployment.0].state;
        let absent = state.absent.get().map(Availability::Absent);
        absent.or_else(|| state.drained.get(now).map(Availability::Drained))
    }

    /// What is known of a deployment's resource.
    pub fn resource_state(&self, deployment: DeploymentIx) -> &Arc<ResourceState> {
        let resource = self.config.runtime.snapshot.deployments[deployment.0].resource;
        &self.resources[resource.0].state
    }

    /// Whether more of some pool's members are set aside since they failed than may be.
    pub fn has_too_many_ejected(&self, deployment: DeploymentIx, resource: Option<ResourceIx>, now: Instant) -> bool {
        let snapshot = &self.config.runtime.snapshot;
        let is_meant = |member: DeploymentIx| match resource {
            Some(resource) => snapshot.deployments[member.0].resource == resource,
            None => member == deployment,
        };
        snapshot.pools.iter().any(|pool| {
            let mut members = pool.members().map(|member| member.deployment);
            if !members.any(is_meant) {
                return false;
            }
            let most = (self.rules.max_ejected * pool.members().count() as f64) as usize;
            let is_out = |health: &Mutex<Health>| matches!(health.lock().availability(now), Availability::Ejected(_));
            // A resource's breaker is one, however many of the pool's members it sets aside: one may be open in any case.
            let (mut out, mut own, mut resources) = (0, 0, Vec::new());
            for member in pool.members() {
                let resource = snapshot.deployments[member.deployment.0].resource;
                if is_out(&self.resources[resource.0].state.health) {
                    out += 1;
                    if !resources.contains(&resource) {
                        resources.push(resource);
                    }
                } else if is_out(&self.deployments[member.deployment.0].state.health) {
                    out += 1;
                    own += 1;
                }
            }
            out > most && own + resources.len() > 1
        })
    }

    /// Counts an attempt as running until the guard is dropped, and as a breaker's probe where one is due.
    pub fn enter(&self, deployment: DeploymentIx, now: Instant) -> InFlight {
        let deployment_state = &self.deployments[deployment.0].state;
        let resource_state = self.resource_state(deployment);
        InFlight::new(deployment_state, resource_state, now)
    }
}

/// An attempt that is running. Dropped before its deployment learned how it ended, it lets another request probe.
#[derive(Debug)]
pub struct InFlight {
    deployment: Arc<DeploymentState>,
    /// Since when.
    began: Instant,
    is_probe: bool,
    /// The resource whose probe it is.
    probed: Option<Arc<ResourceState>>,
}

impl InFlight {
    fn new(deployment: &Arc<DeploymentState>, resource: &Arc<ResourceState>, now: Instant) -> Self {
        deployment.in_flight.fetch_add(1, Ordering::Relaxed);
        let is_resources_probe = resource.health.lock().begin(now);
        Self {
            began: now,
            is_probe: deployment.health.lock().begin(now),
            deployment: Arc::clone(deployment),
            probed: is_resources_probe.then(|| Arc::clone(resource)),
        }
    }

    /// Whether a breaker, the deployment's or its resource's, waits for it.
    pub fn is_probe(&self) -> bool {
        self.is_probe || self.probed.is_some()
    }

    /// Since when it runs.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Notes that somebody has learned how the attempt ended: if it was a probe, that is done. The resource always learns something, but
    /// what is its own matter says nothing of the deployment, whose probe then ends with the attempt.
    pub fn has_taught(&mut self, scope: Scope) {
        self.is_probe &= scope == Scope::Resource;
        self.probed = None;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.deployment.in_flight.fetch_sub(1, Ordering::Relaxed);
        let probed = self.is_probe.then_some(&self.deployment.health);
        let resource = self.probed.as_ref().map(|resource| &resource.health);
        for health in probed.into_iter().chain(resource) {
            health.lock().give_back_probe(self.began, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::placement::room::Room;
    use crate::core::recovery::health::Rules;
    use crate::core::recovery::outcome::Effect;

    const RULES: Rules = Rules {
        consecutive_failures: 1,
        failure_ratio: 1.0,
        ratio_requests: 100,
        open_for: Duration::ZERO,
        slow_start: Duration::ZERO,
        max_ejected: 1.0,
        throttle_default: Duration::from_secs(2),
        throttle_max: Duration::from_mins(1),
    };

    #[test]
    fn a_probe_that_is_dropped_on_its_way_is_given_back() {
        let state = Arc::new(DeploymentState::new(Room::new(f64::INFINITY)));
        let resource = Arc::new(ResourceState::default());
        let now = Instant::now();
        for health in [&state.health, &resource.health] {
            health.lock().end(Effect::Failure, &RULES, now);
        }
        let enter = || InFlight::new(&state, &resource, now);
        let availability =
            || [&state.health, &resource.health].map(|health| health.lock().availability(Instant::now()));
        let are_out = || availability().iter().all(|one| matches!(one, Availability::Ejected(_)));
        let probe = enter();
        let last_resort = enter();
        assert!(are_out());
        drop(last_resort);
        assert!(are_out(), "it was no probe");
        drop(probe);
        assert_eq!(availability(), [Availability::Probe; 2]);
        assert_eq!(state.in_flight.load(Ordering::Relaxed), 0);
        // One that taught something is done, whatever came of it.
        let mut probe = enter();
        for health in [&state.health, &resource.health] {
            health.lock().end(Effect::Works, &RULES, now);
        }
        probe.has_taught(Scope::Both);
        drop(probe);
        assert_eq!(availability(), [Availability::Ready; 2]);
    }

    #[test]
    fn a_probe_that_taught_its_resource_only_is_given_back_to_the_deployment() {
        let state = Arc::new(DeploymentState::new(Room::new(f64::INFINITY)));
        let resource = Arc::new(ResourceState::default());
        let now = Instant::now();
        state.health.lock().end(Effect::Failure, &RULES, now);
        let mut probe = InFlight::new(&state, &resource, now);
        assert!(matches!(
            state.health.lock().availability(now),
            Availability::Ejected(_)
        ));
        // Its host could not be reached.
        resource.health.lock().end(Effect::Failure, &RULES, now);
        probe.has_taught(Scope::Resource);
        drop(probe);
        assert_eq!(state.health.lock().availability(Instant::now()), Availability::Probe);
    }
}
