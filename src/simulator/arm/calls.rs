//! The latest calls of the control plane, so that tests can count them: how often, and what was written.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

/// Calls kept.
const MAX_CALLS: usize = 1_000;

/// One call. Queries are left out: nothing secret is in them, but nothing of interest either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArmCall {
    /// When, in the world's milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Status it was answered with.
    pub status: u16,
}

/// The latest of them.
#[derive(Debug, Default)]
pub struct Calls {
    kept: Mutex<(u64, VecDeque<ArmCall>)>,
}

impl Calls {
    /// Keeps one.
    pub fn keep(&self, call: ArmCall) {
        let mut kept = self.kept.lock();
        kept.0 += 1;
        kept.1.push_back(call);
        if kept.1.len() > MAX_CALLS {
            kept.1.pop_front();
        }
    }

    /// How many there were, and the latest, oldest first.
    pub fn list(&self) -> (u64, Vec<ArmCall>) {
        let kept = self.kept.lock();
        (kept.0, kept.1.iter().cloned().collect())
    }
}
