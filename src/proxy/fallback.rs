//! The best that is known while attempts fail, and what the client gets when none succeeded.
//!
//! Throttling comes before failure, since it says when to come back; an upstream's own words come before ours; and ours say no more
//! than is known.

use std::time::{Duration, Instant};

use crate::core::recovery::absence::Absence;
use crate::core::recovery::drain::DrainEnd;
use crate::core::recovery::health::Availability;
use crate::core::recovery::outcome::{AttemptOutcome, Verdict};
use crate::core::router;
use crate::core::topology::{DeploymentIx, Pool};
use crate::proxy::attempt::UpstreamFailure;
use crate::proxy::error::{Exhausted, ProxyError};
use crate::proxy::failover::{Call, Stop};
use crate::proxy::headers;
use crate::proxy::state::Live;

/// When to ask a deployment again of which nothing says that it does not work.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// When to come back where nobody rests and the queue was full.
const SOON: Duration = Duration::from_secs(1);

/// What is known so far.
#[derive(Default)]
pub struct Fallback {
    is_throttled: bool,
    answer: Option<Box<UpstreamFailure>>,
    /// What a deployment said that refused the request itself, though others might have taken it.
    refusal: Option<Box<UpstreamFailure>>,
    /// The first that Azure did not know.
    missing: Option<DeploymentIx>,
    /// The first whose path Azure did not know.
    misconfigured: Option<DeploymentIx>,
    /// The first that Azure called paused or retired.
    absent: Option<(DeploymentIx, Absence)>,
    /// How the last of the others failed.
    last: Option<Exhausted>,
}

impl Fallback {
    /// Notes a failed attempt.
    pub fn note(&mut self, verdict: Verdict, answer: Option<Box<UpstreamFailure>>, deployment: DeploymentIx) {
        let outcome = verdict.outcome;
        let status = answer.as_ref().map_or(0, |answer| answer.head.status.as_u16());
        match outcome {
            AttemptOutcome::Misconfigured => {
                self.misconfigured.get_or_insert(deployment);
                return;
            }
            AttemptOutcome::Unavailable => {
                match why_absent(status) {
                    Some(why) => _ = self.absent.get_or_insert((deployment, why)),
                    None => _ = self.missing.get_or_insert(deployment),
                }
                return;
            }
            AttemptOutcome::Rejected => {
                self.refusal = answer.or(self.refusal.take());
                return;
            }
            _ => {}
        }
        self.last = Some(match outcome {
            AttemptOutcome::Timeout => Exhausted::Timeout,
            AttemptOutcome::CredentialRefused => Exhausted::CredentialRefused,
            _ => Exhausted::Unreachable,
        });
        match outcome {
            AttemptOutcome::Throttled => {
                self.answer = if self.is_throttled {
                    self.answer.take().or(answer)
                } else {
                    answer
                };
                self.is_throttled = true;
            }
            // The gateway's credential is none of the client's business; its own would seem to be refused.
            AttemptOutcome::CredentialRefused => {}
            _ if self.is_throttled => {}
            _ => self.answer = answer.or(self.answer.take()),
        }
    }

    /// What the client gets when no attempt succeeded. `is_late` tells that the deadline ended the attempts.
    pub fn stop(self, call: &Call<'_>, is_late: bool, now: Instant) -> Stop {
        if let Some(deployment) = call.pinned {
            // Of the request itself, so that its own words say what is wrong with it.
            if let Some(refusal) = self.refusal {
                return Stop::PassOn(refusal);
            }
            return Stop::Refused(self.pinned(call, deployment, is_late, now));
        }
        match (self.without_fence(call, is_late, now), &call.route.residency) {
            (Stop::Refused(error), Some(residency)) if !residency.excluded.is_empty() => {
                Stop::Refused(ProxyError::Fenced {
                    error: Box::new(error),
                    regions: residency.regions.iter().map(ToString::to_string).collect(),
                    excluded: residency.excluded.len(),
                })
            }
            (stop, _) => stop,
        }
    }

    /// Only this deployment could be asked, which the client must know: it cannot begin elsewhere what is kept there. So a failure
    /// is told in our own words, whatever the deployment's were.
    fn pinned(mut self, call: &Call<'_>, deployment: DeploymentIx, is_late: bool, now: Instant) -> ProxyError {
        if let Some(answer) = self.answer.take() {
            self.last = Some(Exhausted::Answered(answer.head.status.as_u16()));
        }
        let error = match self.without_fence(call, is_late, now) {
            Stop::Refused(error) => error,
            Stop::PassOn(_) | Stop::ClientGone(_) => ProxyError::Exhausted(Exhausted::Unreachable),
        };
        let back = match call.live.availability(deployment, now) {
            Availability::Resting(until) | Availability::Ejected(until) | Availability::Unusable(until) => Some(until),
            Availability::Drained(end) => end.time(),
            Availability::Absent(_) => None,
            Availability::Ready | Availability::Probe => Some(now + AGAIN_AFTER),
        };
        let until = |back: Instant| back.saturating_duration_since(now).min(headers::RETRY_AFTER_MAX);
        let after = error
            .retry_after()
            .or_else(|| back.map(until))
            .filter(|_| !error.is_final());
        ProxyError::Pinned {
            deployment: call.live.config.runtime.snapshot.deployments[deployment.0].id.clone(),
            error: Box::new(error),
            after,
        }
    }

    fn without_fence(mut self, call: &Call<'_>, is_late: bool, now: Instant) -> Stop {
        let soonest = router::soonest_recovery(call.pool, |deployment| call.live.availability(deployment, now))
            .map(|soonest| soonest.saturating_duration_since(now).min(headers::RETRY_AFTER_MAX));
        if let Some(after) = soonest
            && (self.is_throttled || is_any_throttled(call.live, call.pool, now))
        {
            return match self.answer.filter(|_| self.is_throttled) {
                Some(mut answer) => {
                    answer.retry_after = Some(after);
                    Stop::PassOn(answer)
                }
                None => Stop::Refused(ProxyError::Resting {
                    after,
                    is_throttled: true,
                }),
            };
        }
        if let Some(answer) = self.answer {
            return Stop::PassOn(answer);
        }
        // Those who failed might have taken what one has refused, and may the next time.
        let has_failed = self
            .last
            .as_ref()
            .is_some_and(|last| *last != Exhausted::CredentialRefused);
        if let Some(refusal) = self.refusal.take().filter(|_| !has_failed) {
            return Stop::PassOn(refusal);
        }
        Stop::Refused(match self.last {
            Some(last) => ProxyError::Exhausted(last),
            None if is_late => ProxyError::Exhausted(Exhausted::Timeout),
            None => self.without_attempt_elsewhere(call, now),
        })
    }

    /// Every attempt, if there was any, met a deployment that can only be mended by somebody. Missing here and failing there may be
    /// over in a moment; this is not.
    fn without_attempt_elsewhere(self, call: &Call<'_>, now: Instant) -> ProxyError {
        let snapshot = &call.live.config.runtime.snapshot;
        let region = |deployment: DeploymentIx| {
            let resource = snapshot.deployments[deployment.0].resource;
            snapshot.resources[resource.0].region.clone()
        };
        if let Some(deployment) = self.misconfigured {
            return ProxyError::Misconfigured {
                path: call.live.deployments[deployment.0].path(call.operation).to_owned(),
                deployment: snapshot.deployments[deployment.0].id.clone(),
                region: region(deployment),
            };
        }
        if let Some(deployment) = self.missing {
            let configured = &snapshot.deployments[deployment.0];
            return ProxyError::DeploymentMissing {
                deployment: configured.id.clone(),
                region: region(deployment),
                inactivity_days: configured.inactivity_days,
            };
        }
        if let Some((deployment, why)) = self.absent {
            return absent(call.live, deployment, why);
        }
        unasked(call.live, call.pool, now)
    }
}

/// What an answer's status says of a deployment that is there and unavailable; none of one that is not there.
fn why_absent(status: u16) -> Option<Absence> {
    match status {
        410 => Some(Absence::Retired),
        423 => Some(Absence::Paused),
        _ => None,
    }
}

/// What a request gets for which nobody could be asked: all of the pool rest or are taken out.
pub fn unasked(live: &Live, pool: &Pool, now: Instant) -> ProxyError {
    let until = |until: Instant| until.saturating_duration_since(now).min(headers::RETRY_AFTER_MAX);
    match all_taken_out(live, pool, now) {
        Some(TakenOut::Drained(end)) => {
            return ProxyError::Drained {
                after: end.time().map(until),
            };
        }
        Some(TakenOut::Absent(deployment, why)) => return absent(live, deployment, why),
        None => {}
    }
    // All rested, or had no room for those that wait already. Where they do not rest any more, they were throttled, as nearly
    // always, and have room before long.
    let soonest = router::soonest_recovery(pool, |deployment| live.availability(deployment, now));
    ProxyError::Resting {
        after: soonest.map_or(SOON, until),
        is_throttled: soonest.is_none() || is_any_throttled(live, pool, now),
    }
}

/// Why nobody of a pool is there.
enum TakenOut {
    /// By operators, one at least: when the first is back.
    Drained(DrainEnd),
    /// All by what the control plane says: the first, and why.
    Absent(DeploymentIx, Absence),
}

/// Why every member of the pool is taken out, where that is so.
fn all_taken_out(live: &Live, pool: &Pool, now: Instant) -> Option<TakenOut> {
    let (mut soonest, mut absent) = (None, None);
    for member in pool.members() {
        match live.availability(member.deployment, now) {
            Availability::Drained(end) => {
                soonest = Some(soonest.map_or(end, |soonest: DrainEnd| soonest.sooner(end)));
            }
            Availability::Absent(why) => {
                // What is on its way is worth waiting for.
                let is_sooner = |(_, known): &(DeploymentIx, Absence)| {
                    why == Absence::Provisioning && *known != Absence::Provisioning
                };
                if absent.as_ref().is_none_or(is_sooner) {
                    absent = Some((member.deployment, why));
                }
            }
            _ => return None,
        }
    }
    let absent = absent.map(|(deployment, why)| TakenOut::Absent(deployment, why));
    soonest.map(TakenOut::Drained).or(absent)
}

fn absent(live: &Live, deployment: DeploymentIx, why: Absence) -> ProxyError {
    let snapshot = &live.config.runtime.snapshot;
    let configured = &snapshot.deployments[deployment.0];
    let region = snapshot.resources[configured.resource.0].region.clone();
    let deployment = configured.id.clone();
    if why == Absence::Missing {
        return ProxyError::DeploymentMissing {
            deployment,
            region,
            inactivity_days: configured.inactivity_days,
        };
    }
    ProxyError::Absent {
        deployment,
        region,
        why,
    }
}

/// Whether a member of the pool rests since it was throttled.
fn is_any_throttled(live: &Live, pool: &Pool, now: Instant) -> bool {
    pool.members().any(|member| {
        let state = &live.deployments[member.deployment.0].state;
        state.health.lock().is_throttled(now)
    })
}
