//! Failovers and throttles of ten seconds, told as a sentence for each route and pair of deployments instead of one for each request.

use std::collections::HashMap;

use crate::core::history::sums::is_move;
use crate::core::ids::{DeploymentId, RouteId};
use crate::core::ledger::finished::Finished;
use crate::telemetry::events::traffic::{FailoversSeen, OutcomeSeen, ThrottlesSeen};
use crate::telemetry::journal::Journal;

/// Pairs and deployments that are told in ten seconds; of the others the history's figures tell.
const TOLD_MAX: usize = 32;

/// What is to be told.
#[derive(Debug, Default)]
pub struct Telling {
    moves: HashMap<Moved, u64>,
    /// 429s by route and deployment of requests that ended with one, and the longest rest asked for, in milliseconds.
    throttles: HashMap<(RouteId, DeploymentId), (u64, u64)>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moved {
    route: RouteId,
    from: DeploymentId,
    to: DeploymentId,
    outcome: &'static str,
    status: u16,
}

impl Telling {
    /// Adds a request.
    pub fn add(&mut self, finished: &Finished) {
        let route = &finished.record.route;
        for (index, attempt) in finished.attempts.iter().enumerate() {
            let next = finished.attempts.get(index + 1);
            if let Some(next) = next.filter(|next| is_move(attempt, next)) {
                let moved = Moved {
                    route: route.clone(),
                    from: attempt.deployment.clone(),
                    to: next.deployment.clone(),
                    outcome: attempt.outcome,
                    status: attempt.status,
                };
                if self.moves.len() < TOLD_MAX || self.moves.contains_key(&moved) {
                    *self.moves.entry(moved).or_default() += 1;
                }
            } else if attempt.status == 429 {
                let key = (route.clone(), attempt.deployment.clone());
                if self.throttles.len() < TOLD_MAX || self.throttles.contains_key(&key) {
                    let (count, rest_ms) = self.throttles.entry(key).or_default();
                    *count += 1;
                    *rest_ms = (*rest_ms).max(attempt.retry_after_ms.unwrap_or(0));
                }
            }
        }
    }

    /// Tells what there is, the most first, and begins anew.
    pub fn tell(&mut self, journal: &Journal, now_ms: i64) {
        let mut moves: Vec<_> = self.moves.drain().collect();
        moves.sort_by(|(one, count), (other, others)| others.cmp(count).then_with(|| one.from.cmp(&other.from)));
        for (moved, requests) in moves {
            FailoversSeen {
                route: &moved.route,
                from: &moved.from,
                to: &moved.to,
                seen: OutcomeSeen {
                    outcome: moved.outcome,
                    status: moved.status,
                },
                requests,
            }
            .emit(journal, now_ms);
        }
        let mut throttles: Vec<_> = self.throttles.drain().collect();
        throttles.sort_by(|(one, count), (other, others)| others.cmp(count).then_with(|| one.cmp(other)));
        for ((route, deployment), (requests, rest_ms)) in throttles {
            ThrottlesSeen {
                route: &route,
                deployment: &deployment,
                requests,
                rest_ms,
            }
            .emit(journal, now_ms);
        }
    }
}
