//! What was begun: all that must outlive a crash so that nothing is done twice.
//!
//! An entry is written down *before* its request is sent. So after a crash there is, for each deployment, at most one write of which it
//! is not known whether Azure got it; what Azure shows a while later decides that. One entry a deployment, the last.

use serde::{Deserialize, Serialize};

use crate::core::calendar::DAY_MS;
use crate::core::fleet::key::DeploymentKey;
use crate::core::fleet::step::{Step, StepKind};

/// How long an entry that is done is kept.
const KEPT_MS: i64 = DAY_MS;

/// What was begun, and what is taken out of routing on its account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    entries: Vec<Entry>,
    drains: Vec<BegunDrain>,
}

/// A write that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of which deployment.
    pub key: DeploymentKey,
    /// Which write.
    pub kind: StepKind,
    /// When the deployment that it changes or deletes was created.
    pub incarnation_ms: Option<i64>,
    /// When it was begun, in milliseconds since the Unix epoch; its request was sent after that, or never.
    pub begun_at_ms: i64,
    /// How often it was begun since it last was done.
    pub tries: u32,
    /// What Azure answered; none while that is not known.
    pub answer: Option<Answered>,
    /// When Azure showed what it was for.
    pub done_at_ms: Option<i64>,
}

/// What Azure answered, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// In milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What.
    pub answer: Answer,
}

/// What Azure answered to a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It does it, or has done it.
    Taken,
    /// Another write of the account runs (409 `RequestConflict`).
    Conflict,
    /// Too many requests; not before this time, in milliseconds since the Unix epoch.
    Throttled {
        /// When.
        retry_at_ms: i64,
    },
    /// It failed in a way that may pass (5xx, an operation that ended as `Failed`).
    Failed,
    /// It is refused and will be again: no right, no quota, not offered.
    Refused {
        /// Azure's word for it.
        code: String,
    },
}

/// A deployment that was taken out of routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunDrain {
    /// Which.
    pub key: DeploymentKey,
    /// When, in milliseconds since the Unix epoch.
    pub begun_at_ms: i64,
}

impl Journal {
    /// A deployment's entry.
    pub fn entry(&self, key: &DeploymentKey) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == *key)
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What was taken out of routing and is not back.
    pub fn drains(&self) -> &[BegunDrain] {
        &self.drains
    }

    /// When a deployment was taken out of routing.
    pub fn drained_at_ms(&self, key: &DeploymentKey) -> Option<i64> {
        let drain = self.drains.iter().find(|drain| drain.key == *key);
        drain.map(|drain| drain.begun_at_ms)
    }

    /// Writes down that a step is begun. To be stored before the step is done.
    pub fn begin(&mut self, step: &Step, now_ms: i64) {
        match step.kind {
            StepKind::Drain if self.drained_at_ms(&step.key).is_none() => self.drains.push(BegunDrain {
                key: step.key.clone(),
                begun_at_ms: now_ms,
            }),
            // It is in the list until it is done; doing it twice is the same as once.
            StepKind::Drain | StepKind::Rejoin => {}
            kind => self.begin_write(step, kind, now_ms),
        }
    }

    fn begin_write(&mut self, step: &Step, kind: StepKind, now_ms: i64) {
        let before = self.entry(&step.key);
        let again = before.filter(|entry| entry.kind == kind && entry.done_at_ms.is_none());
        let tries = again.map_or(0, |entry| entry.tries).saturating_add(1);
        self.entries.retain(|entry| entry.key != step.key);
        self.entries.push(Entry {
            key: step.key.clone(),
            kind,
            incarnation_ms: step.incarnation_ms,
            begun_at_ms: now_ms,
            tries,
            answer: None,
            done_at_ms: None,
        });
    }

    /// Writes down what Azure answered. Without an entry nothing happens.
    pub fn answered(&mut self, key: &DeploymentKey, answer: Answer, now_ms: i64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == *key) {
            entry.answer = Some(Answered { at_ms: now_ms, answer });
        }
    }

    /// Writes down that a deployment is back in routing.
    pub fn rejoined(&mut self, key: &DeploymentKey) {
        self.drains.retain(|drain| drain.key != *key);
    }

    /// Forgets what was refused or tried too often: whoever starts anew may try anew.
    pub fn forgive(&mut self) {
        for entry in &mut self.entries {
            entry.tries = entry.tries.min(1);
        }
        let is_refused = |entry: &Entry| {
            let answer = entry.answer.as_ref().map(|answered| &answered.answer);
            matches!(answer, Some(Answer::Refused { .. }))
        };
        self.entries.retain(|entry| !is_refused(entry));
    }

    /// Writes down that Azure shows what a write was for.
    pub(super) fn done(&mut self, key: &DeploymentKey, now_ms: i64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == *key) {
            entry.done_at_ms.get_or_insert(now_ms);
        }
    }

    /// Drops what is done for long.
    pub(super) fn forget_old(&mut self, now_ms: i64) {
        let is_old = |entry: &Entry| {
            entry
                .done_at_ms
                .is_some_and(|done| now_ms.saturating_sub(done) > KEPT_MS)
        };
        self.entries.retain(|entry| !is_old(entry));
    }
}
