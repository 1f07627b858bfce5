//! What the driver saw: every finished request of the demo, in the act in which it finished.
//!
//! All of them are kept, since a demo sends a few hundred: percentiles are then exact, and every figure is a fold over one
//! list. A load without end belongs to `emberway load`, which keeps histograms.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::load::Observer;
use crate::load::outcome::{FailureKind, Finished};

/// The parts of the demo that send requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// Routing and cache hits.
    Cache,
    /// Load on all regions, shortly before one goes down.
    Before,
    /// A region is down.
    Down,
    /// It is back.
    Back,
    /// Streams are cut on purpose.
    Streams,
}

/// A prompt that many requests begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Head {
    /// The model it is sent to.
    pub route: String,
    /// Its number within the route, from 1.
    pub number: u32,
}

/// One finished request.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it finished.
    pub at: Instant,
    /// In which act.
    pub act: Act,
    /// What its prompt begins with.
    pub head: Head,
    /// How it ended.
    pub finished: Finished,
}

impl Seen {
    /// Whether its whole answer came.
    pub fn is_ok(&self) -> bool {
        self.finished.failure.is_none()
    }

    /// Whether a part of its prompt was found cached.
    pub fn is_hit(&self) -> bool {
        self.finished.tokens.is_some_and(|tokens| tokens.cached > 0)
    }

    /// Whether it is a stream that was cut on purpose after its first byte, and ended by an event that says so. Such a request
    /// is neither a success nor called failed; it is counted apart.
    pub fn is_cut_and_said(&self) -> bool {
        let failure = self.finished.failure.as_ref();
        self.act == Act::Streams
            && failure.is_some_and(|failure| failure.begun && failure.kind == FailureKind::ErrorEvent)
    }

    /// Whether the deployment that answered, if any, is one of this account.
    pub fn is_from(&self, account: &str) -> bool {
        let deployment = self
            .finished
            .deployment
            .as_deref()
            .and_then(|name| name.split_once('/'));
        deployment.is_some_and(|(resource, _)| resource == account)
    }
}

/// The list, while it grows.
#[derive(Debug)]
pub struct Ledger {
    act: Mutex<Act>,
    seen: watch::Sender<Vec<Seen>>,
}

impl Ledger {
    /// An empty one, in the first act.
    pub fn new() -> Self {
        Self {
            act: Mutex::new(Act::Cache),
            seen: watch::Sender::new(Vec::new()),
        }
    }

    /// From now on requests finish in this act.
    pub fn enter(&self, act: Act) {
        *self.act.lock() = act;
    }

    /// What tells this ledger of the requests of one head.
    pub fn observer(self: &Arc<Self>, head: Head) -> Observer {
        let ledger = Arc::clone(self);
        Observer::new(move |finished| ledger.add(Instant::now(), head.clone(), finished.clone()))
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until the requests so far are as wanted.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&[Seen]) -> bool) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.seen.subscribe().wait_for(|seen| wanted(seen)).await;
    }

    fn add(&self, at: Instant, head: Head, finished: Finished) {
        let act = *self.act.lock();
        self.seen.send_modify(|seen| {
            seen.push(Seen {
                at,
                act,
                head,
                finished,
            });
        });
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Made-up requests for the tests of what is folded over them.

    use std::time::Duration;

    use super::*;
    use crate::load::outcome::{Failure, Tokens};

    /// A request that went well: 100 prompt tokens of which 60 cached, 10 of an answer, in 20 ms.
    pub(in crate::demo) fn seen(act: Act, head: u32, deployment: &str) -> Seen {
        Seen {
            at: Instant::now(),
            act,
            head: Head {
                route: "support-bot".to_owned(),
                number: head,
            },
            finished: Finished {
                finished_at_ms: 0,
                request_id: None,
                status: Some(200),
                streamed: true,
                failure: None,
                latency: Duration::from_millis(20),
                first_token: Some(Duration::from_millis(5)),
                gateway: Some(Duration::from_micros(300)),
                attempts: Some(1),
                deployment: Some(deployment.to_owned()),
                tokens: Some(Tokens {
                    prompt: 100,
                    cached: 60,
                    completion: 10,
                }),
            },
        }
    }

    /// One that did not.
    pub(in crate::demo) fn failed(act: Act, kind: FailureKind, begun: bool) -> Seen {
        let mut seen = seen(act, 1, "a/x");
        seen.finished.failure = Some(Failure {
            kind,
            begun,
            status: Some(200),
            code: None,
        });
        seen.finished.tokens = None;
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stream_cut_on_purpose_is_counted_apart() {
        let check = |act, kind, begun| testing::failed(act, kind, begun).is_cut_and_said();
        assert!(check(Act::Streams, FailureKind::ErrorEvent, true));
        assert!(!check(Act::Streams, FailureKind::CutStream, true), "it was not said");
        assert!(!check(Act::Streams, FailureKind::HttpError, false), "it had not begun");
        assert!(
            !check(Act::Cache, FailureKind::ErrorEvent, true),
            "nothing was cut on purpose"
        );
        assert!(!testing::seen(Act::Streams, 1, "a/x").is_cut_and_said());
    }

    #[test]
    fn an_account_is_the_whole_first_part_of_a_deployments_name() {
        let seen = testing::seen(Act::Down, 1, "sim-east/x");
        assert!(seen.is_from("sim-east"));
        assert!(!seen.is_from("sim"));
    }

    #[tokio::test]
    async fn requests_fall_into_the_act_of_their_end_and_wake_who_waits() {
        let ledger = Arc::new(Ledger::new());
        let waiting = tokio::spawn({
            let ledger = Arc::clone(&ledger);
            async move {
                ledger
                    .wait_for(|seen| seen.iter().any(|seen| seen.act == Act::Down))
                    .await;
            }
        });
        let one = testing::seen(Act::Cache, 1, "a/x");
        ledger.add(one.at, one.head.clone(), one.finished.clone());
        ledger.enter(Act::Down);
        ledger.add(one.at, one.head, one.finished);
        waiting.await.expect("wakes");
        let acts: Vec<_> = ledger.seen().iter().map(|seen| seen.act).collect();
        assert_eq!(acts, [Act::Cache, Act::Down]);
    }
}
