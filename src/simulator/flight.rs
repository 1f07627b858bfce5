//! One request from arrival to end, however it ends: the counts and the engine learn of it exactly once.
//!
//! A [`Flight`] travels with the request and then with its response body. When it is dropped without having been
//! told an ending, the client left or the account was stopped: that is how a cancelled stream is noticed.

use std::sync::Arc;

use http::StatusCode;

use crate::simulator::engine::{Admitted, Demand};
use crate::simulator::record::{Ending, OpenRecord, Outcome};
use crate::simulator::world::{Account, Deployment, World};

/// A request under way.
#[derive(Debug)]
pub struct Flight {
    world: Arc<World>,
    account: Arc<Account>,
    deployment: Option<Arc<Deployment>>,
    admission: Option<(Demand, Admitted)>,
    record: Option<Arc<OpenRecord>>,
    outcome: Outcome,
}

impl Flight {
    /// A request that just came.
    pub fn begin(world: Arc<World>, account: Arc<Account>) -> Self {
        account.counts.lock().requests += 1;
        Self {
            world,
            account,
            deployment: None,
            admission: None,
            record: None,
            outcome: Outcome::default(),
        }
    }

    /// Ties the request to its record.
    pub fn attach_record(&mut self, record: Option<Arc<OpenRecord>>) {
        self.record = record;
    }

    /// Whether it is recorded.
    pub fn has_record(&self) -> bool {
        self.record.is_some()
    }

    /// Ties the request to the deployment that will count it.
    pub fn attach_deployment(&mut self, deployment: Arc<Deployment>) {
        deployment.counts.lock().requests += 1;
        self.deployment = Some(deployment);
    }

    /// The deployment, once known.
    pub fn deployment(&self) -> Option<&Arc<Deployment>> {
        self.deployment.as_ref()
    }

    /// The request was admitted by its deployment's engine.
    pub fn admitted(&mut self, demand: Demand, admitted: Admitted) {
        self.outcome.prompt_tokens = demand.prompt_tokens;
        self.outcome.cached_tokens = admitted.cached_tokens;
        self.admission = Some((demand, admitted));
    }

    /// Notes the status of the response head.
    pub fn responded(&mut self, status: StatusCode) {
        let status = status.as_u16();
        self.outcome.status = status;
        *self.account.counts.lock().by_status.entry(status).or_default() += 1;
        if let Some(deployment) = &self.deployment {
            *deployment.counts.lock().by_status.entry(status).or_default() += 1;
            let failed_counts = || {
                let arm = self.world.scenario.arm.as_ref();
                arm.is_some_and(|arm| arm.rules.failed_calls_are_use)
            };
            if self.has_begun() || failed_counts() {
                deployment.meter.used(self.world.clock.unix_ms());
            }
        }
        self.publish();
    }

    /// Notes how much was produced so far.
    pub fn produced(&mut self, output_tokens: u32, events_sent: u32) {
        self.outcome.output_tokens = output_tokens;
        self.outcome.events_sent = events_sent;
    }

    /// Says how it ends; the first ending told counts.
    pub fn end(&mut self, ending: Ending) {
        if self.outcome.ending == Ending::Open {
            self.outcome.ending = ending;
        }
    }

    /// Whether its deployment began to answer; a fault that answers in its place is no answer.
    fn has_begun(&self) -> bool {
        self.admission.is_some() && (200..300).contains(&self.outcome.status)
    }

    fn publish(&self) {
        if let Some(record) = &self.record {
            record.update(|outcome| *outcome = self.outcome);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end(Ending::Cancelled);
        let outcome = self.outcome;
        if let (Some(deployment), Some((demand, admitted))) = (&self.deployment, &self.admission) {
            let now = self.world.clock.now();
            deployment
                .engine
                .lock()
                .finish(now, demand, admitted, outcome.output_tokens);
            if self.has_begun() {
                let (prompt, cached) = (outcome.prompt_tokens, outcome.cached_tokens);
                deployment.meter.charge(prompt, cached, outcome.output_tokens);
            }
        }
        let deployment_counts = self.deployment.as_ref().map(|deployment| &*deployment.counts);
        for counts in [Some(&self.account.counts), deployment_counts].into_iter().flatten() {
            let mut counts = counts.lock();
            counts.prompt_tokens += u64::from(outcome.prompt_tokens);
            counts.cached_tokens += u64::from(outcome.cached_tokens);
            counts.output_tokens += u64::from(outcome.output_tokens);
            counts.cancelled += u64::from(outcome.ending == Ending::Cancelled);
            counts.faulted += u64::from(outcome.ending == Ending::Faulted);
        }
        self.publish();
    }
}
