//! Which deployment the next attempt of a request goes to: down the plan, then back to those that may do better in a moment.
//!
//! Each candidate is tried once. One whose breaker opens meanwhile comes last, like those whose breaker was open. When all were tried,
//! those whose failure may be over in a moment (no connection, a broken one, a server's error) are tried again, after a random wait whose
//! bound doubles. Nobody is asked again who was silent for too long, who asked for rest, or who refused the request itself.

use std::time::Duration;

use smallvec::SmallVec;

use crate::core::placement::plan::{Candidate, Reason};
use crate::core::recovery::health::Availability;
use crate::core::recovery::outcome::{AttemptOutcome, Next};
use crate::core::topology::DeploymentIx;

/// Longest bound of a wait before the same deployment is asked again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The attempts of one request that may still be made.
#[derive(Debug)]
pub struct Tries {
    candidates: SmallVec<[Candidate; 8]>,
    next: usize,
    again: SmallVec<[Candidate; 2]>,
    backoff: Duration,
    refusals: Refusals,
    /// Whether one of the attempts since the last was named ended by a failure, so that another one multiplies an outage.
    follows_failure: bool,
}

/// Who has refused a request for what it is, though others may take it. It outlives a round of attempts: whoever waits for the others
/// need not ask these again.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    by: SmallVec<[DeploymentIx; 4]>,
    is_per_token_only: bool,
}

impl Refusals {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }

    /// Whether a deployment, provisioned or not, has refused or would.
    pub fn bars(&self, deployment: DeploymentIx, is_provisioned: bool) -> bool {
        (self.is_per_token_only && is_provisioned) || self.by.contains(&deployment)
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Try {
    /// Who is asked.
    pub candidate: Candidate,
    /// Wait a random time of at most this long before; zero for not at all.
    pub wait_at_most: Duration,
    /// Whether a retry budget pays for it.
    pub is_retry: bool,
}

impl Tries {
    /// Down a plan. `backoff` is the first bound of waits.
    pub fn new(candidates: SmallVec<[Candidate; 8]>, backoff: Duration) -> Self {
        Self::after(Refusals::default(), candidates, backoff)
    }

    /// The same for a request that some have refused already.
    pub fn after(refusals: Refusals, candidates: SmallVec<[Candidate; 8]>, backoff: Duration) -> Self {
        Self {
            candidates,
            next: 0,
            again: SmallVec::new(),
            backoff,
            refusals,
            follows_failure: false,
        }
    }

    /// Who has refused the request so far.
    pub fn into_refusals(self) -> Refusals {
        self.refusals
    }

    /// Whether somebody is left who would be asked for the first time, as deployments stand now, and not only as a last resort.
    pub fn has_another(
        &self,
        mut availability: impl FnMut(DeploymentIx) -> Availability,
        is_provisioned: impl Fn(DeploymentIx) -> bool,
    ) -> bool {
        self.candidates[self.next..].iter().any(|candidate| {
            candidate.reason != Reason::LastResort
                && !self
                    .refusals
                    .bars(candidate.deployment, is_provisioned(candidate.deployment))
                && matches!(
                    availability(candidate.deployment),
                    Availability::Ready | Availability::Probe
                )
        })
    }

    /// Who is next, as deployments stand now; none if nobody is left.
    pub fn next(
        &mut self,
        mut availability: impl FnMut(DeploymentIx) -> Availability,
        is_provisioned: impl Fn(DeploymentIx) -> bool,
    ) -> Option<Try> {
        while let Some(&candidate) = self.candidates.get(self.next) {
            self.next += 1;
            if self
                .refusals
                .bars(candidate.deployment, is_provisioned(candidate.deployment))
            {
                continue;
            }
            match availability(candidate.deployment) {
                Availability::Ready | Availability::Probe => {}
                Availability::Ejected(_) | Availability::Unusable(_) if candidate.reason == Reason::LastResort => {}
                Availability::Ejected(_) | Availability::Unusable(_) => {
                    self.candidates.push(Candidate {
                        reason: Reason::LastResort,
                        ..candidate
                    });
                    continue;
                }
                Availability::Resting(_) | Availability::Drained(_) | Availability::Absent(_) => continue,
            }
            return Some(Try {
                candidate,
                wait_at_most: Duration::ZERO,
                is_retry: std::mem::take(&mut self.follows_failure),
            });
        }
        while !self.again.is_empty() {
            let candidate = self.again.remove(0);
            if self
                .refusals
                .bars(candidate.deployment, is_provisioned(candidate.deployment))
            {
                continue;
            }
            if matches!(
                availability(candidate.deployment),
                Availability::Resting(_)
                    | Availability::Unusable(_)
                    | Availability::Drained(_)
                    | Availability::Absent(_)
            ) {
                continue;
            }
            let wait_at_most = self.backoff;
            self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
            return Some(Try {
                candidate: Candidate {
                    reason: Reason::Retry,
                    ..candidate
                },
                wait_at_most,
                is_retry: true,
            });
        }
        None
    }

    /// Who may be asked beside one that is late: the next that the caller finds ready. It is not tried again.
    pub fn beside(
        &mut self,
        mut is_ready: impl FnMut(&Candidate) -> bool,
        is_provisioned: impl Fn(DeploymentIx) -> bool,
    ) -> Option<Candidate> {
        let may_be_asked = |candidate: &Candidate| {
            candidate.reason != Reason::LastResort
                && !self
                    .refusals
                    .bars(candidate.deployment, is_provisioned(candidate.deployment))
                && is_ready(candidate)
        };
        let found = self.candidates[self.next..].iter().position(may_be_asked)?;
        Some(self.candidates.remove(self.next + found))
    }

    /// Notes that an attempt gave no answer.
    pub fn failed(&mut self, candidate: Candidate, outcome: AttemptOutcome, next: Next) {
        use AttemptOutcome as O;
        self.refusals.is_per_token_only |= next == Next::PayPerToken;
        if outcome == O::Rejected {
            self.refusals.by.push(candidate.deployment);
        }
        self.follows_failure |= matches!(outcome, O::Failed | O::Unreachable | O::Reset | O::Timeout);
        if matches!(outcome, O::Failed | O::Unreachable | O::Reset) {
            self.again.push(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::core::recovery::drain::DrainEnd;

    fn candidate(deployment: usize) -> Candidate {
        Candidate::new(DeploymentIx(deployment), Reason::Home)
    }

    fn tries(count: usize) -> Tries {
        Tries::new((0..count).map(candidate).collect(), Duration::from_millis(100))
    }

    fn ready(_: DeploymentIx) -> Availability {
        Availability::Ready
    }

    /// Deployment, reason and longest wait of the next attempt.
    fn next(tries: &mut Tries) -> Option<(usize, Reason, u64)> {
        let next = tries.next(ready, |_| false)?;
        let wait = u64::try_from(next.wait_at_most.as_millis()).ok()?;
        Some((next.candidate.deployment.0, next.candidate.reason, wait))
    }

    #[test]
    fn all_are_tried_once_and_then_again_with_growing_waits() {
        let mut tries = tries(2);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let at = next(&mut tries).expect("one is left");
            tries.failed(candidate(at.0), AttemptOutcome::Reset, Next::Elsewhere);
            seen.push(at);
        }
        let expected = [
            (0, Reason::Home, 0),
            (1, Reason::Home, 0),
            (0, Reason::Retry, 100),
            (1, Reason::Retry, 200),
            (0, Reason::Retry, 400),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn who_was_silent_or_throttled_is_not_asked_again() {
        for outcome in [
            AttemptOutcome::Timeout,
            AttemptOutcome::Throttled,
            AttemptOutcome::Unavailable,
            AttemptOutcome::CredentialRefused,
        ] {
            let mut tries = tries(1);
            next(&mut tries);
            tries.failed(candidate(0), outcome, Next::Elsewhere);
            assert_eq!(next(&mut tries), None, "{outcome:?}");
        }
    }

    #[test]
    fn only_what_follows_a_failure_is_a_retry() {
        let is_retry = |outcome| {
            let mut tries = tries(2);
            tries.next(ready, |_| false);
            tries.failed(candidate(0), outcome, Next::Elsewhere);
            tries.next(ready, |_| false).is_some_and(|next| next.is_retry)
        };
        assert!(is_retry(AttemptOutcome::Timeout) && is_retry(AttemptOutcome::Failed));
        assert!(!is_retry(AttemptOutcome::Throttled) && !is_retry(AttemptOutcome::Unavailable));
    }

    #[test]
    fn of_two_that_ended_side_by_side_either_may_make_the_next_a_retry() {
        let mut tries = tries(4);
        tries.next(ready, |_| false);
        tries.failed(candidate(0), AttemptOutcome::Failed, Next::Elsewhere);
        tries.failed(candidate(1), AttemptOutcome::Throttled, Next::Elsewhere);
        let is_retry = |tries: &mut Tries| tries.next(ready, |_| false).is_some_and(|next| next.is_retry);
        assert!(is_retry(&mut tries));
        tries.failed(candidate(1), AttemptOutcome::Throttled, Next::Elsewhere);
        assert!(!is_retry(&mut tries), "it follows only a 429");
    }

    #[test]
    fn a_provisioned_one_that_failed_is_not_asked_again_with_what_is_too_long_for_it() {
        let mut tries = tries(2);
        let provisioned = |deployment: DeploymentIx| deployment.0 == 0;
        tries.next(ready, provisioned);
        tries.failed(candidate(0), AttemptOutcome::Failed, Next::Elsewhere);
        tries.next(ready, provisioned);
        tries.failed(candidate(1), AttemptOutcome::Rejected, Next::PayPerToken);
        assert_eq!(tries.next(ready, provisioned), None);
    }

    #[test]
    fn a_prompt_too_long_for_provisioned_ones_goes_to_the_others_only() {
        let mut tries = tries(4);
        let provisioned = |deployment: DeploymentIx| deployment.0 < 3;
        tries.next(ready, provisioned);
        tries.failed(candidate(0), AttemptOutcome::Rejected, Next::PayPerToken);
        let next = tries.next(ready, provisioned).map(|next| next.candidate.deployment);
        assert_eq!(next, Some(DeploymentIx(3)));
    }

    #[test]
    fn who_refused_is_not_asked_again_in_another_round() {
        let mut tries = tries(2);
        tries.next(ready, |_| false);
        assert!(tries.has_another(ready, |_| false));
        tries.failed(candidate(0), AttemptOutcome::Rejected, Next::Elsewhere);
        let candidates = [0, 1].map(candidate).into_iter().collect();
        let mut again = Tries::after(tries.into_refusals(), candidates, Duration::ZERO);
        assert_eq!(next(&mut again).map(|next| next.0), Some(1));
        assert!(!again.has_another(ready, |_| false));
        assert_eq!(next(&mut again), None);
    }

    #[test]
    fn beside_a_late_one_only_a_ready_one_is_asked_and_not_again() {
        let mut tries = tries(5);
        tries.candidates[2].reason = Reason::LastResort;
        assert_eq!(next(&mut tries).map(|next| next.0), Some(0));
        let is_ready = |candidate: &Candidate| !matches!(candidate.deployment.0, 1 | 3);
        let mut beside = || {
            tries
                .beside(is_ready, |_| false)
                .map(|candidate| candidate.deployment.0)
        };
        assert_eq!([beside(), beside()], [Some(4), None]);
        let left = [next(&mut tries), next(&mut tries), next(&mut tries), next(&mut tries)];
        assert_eq!(
            left.map(|next| next.map(|next| next.0)),
            [Some(1), Some(2), Some(3), None]
        );
    }

    #[test]
    fn one_whose_breaker_opens_meanwhile_comes_last_and_one_that_rests_or_is_drained_not_at_all() {
        let until = Instant::now();
        let mut tries = tries(4);
        let stands = |deployment: DeploymentIx| match deployment.0 {
            0 => Availability::Ejected(until),
            1 => Availability::Resting(until),
            3 => Availability::Drained(DrainEnd::WhenUndone),
            _ => Availability::Ready,
        };
        let mut next = || tries.next(stands, |_| false).map(|next| next.candidate);
        let order = [next(), next(), next()].map(|candidate| candidate.map(|one| (one.deployment.0, one.reason)));
        assert_eq!(order, [Some((2, Reason::Home)), Some((0, Reason::LastResort)), None]);
    }
}
