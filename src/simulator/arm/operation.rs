//! Operations that take their time: what is under way, and how it is shown to those who ask.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::simulator::arm::time;

/// Operations that can be asked about; the oldest are forgotten.
const MAX_OPERATIONS: usize = 10_000;

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// What it is asked for by.
    pub id: String,
    /// Subscription it was asked in.
    pub subscription: String,
    /// Region of its account.
    pub location: String,
    /// Index of its account.
    pub account: usize,
    /// Key of its deployment.
    pub key: String,
    /// What it does.
    pub kind: Kind,
    /// When it began.
    pub began_ms: u64,
    /// When it ends or ended.
    pub ends_ms: u64,
    /// How it is.
    pub status: Status,
    /// Code and message with which it will fail or has failed.
    pub failure: Option<(String, String)>,
    /// Whether it keeps its account busy; one that fails because of another does not.
    pub is_exclusive: bool,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Makes a deployment.
    Create,
    /// Changes one.
    Update,
    /// Deletes one.
    Delete,
}

/// How an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Under way.
    InProgress,
    /// Done.
    Succeeded,
    /// Done for.
    Failed,
}

impl Operation {
    /// The body that `Azure-AsyncOperation` leads to.
    pub fn shown(&self) -> Value {
        let Self {
            id,
            subscription,
            location,
            ..
        } = self;
        let mut shown = json!({
            "id": format!("/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/operationsStatus/{id}"),
            "name": id,
            "status": match self.status {
                Status::InProgress => "InProgress",
                Status::Succeeded => "Succeeded",
                Status::Failed => "Failed",
            },
            "startTime": time::shown(self.began_ms),
        });
        if self.status != Status::InProgress {
            shown["endTime"] = json!(time::shown(self.ends_ms));
        }
        if let (Status::Failed, Some((code, message))) = (self.status, &self.failure) {
            shown["error"] = json!({ "code": code, "message": message });
        }
        shown
    }

    /// What `Retry-After` says now: what is left, at most what is usual, at least a second, since 0 makes clients fall back to their
    /// own half minute.
    pub fn retry_after_s(&self, now_ms: u64, usual_s: u64) -> u64 {
        self.ends_ms.saturating_sub(now_ms).div_ceil(1_000).min(usual_s).max(1)
    }
}

/// Operations, the newest last.
#[derive(Debug, Default)]
pub struct Operations {
    kept: VecDeque<Operation>,
}

impl Operations {
    /// Adds one.
    pub fn add(&mut self, operation: Operation) {
        self.kept.push_back(operation);
        if self.kept.len() > MAX_OPERATIONS {
            self.kept.pop_front();
        }
    }

    /// One by its id.
    pub fn find(&self, id: &str) -> Option<&Operation> {
        self.kept.iter().find(|operation| operation.id.eq_ignore_ascii_case(id))
    }

    /// Whether one keeps an account busy.
    pub fn is_busy(&self, account: usize) -> bool {
        self.under_way()
            .any(|operation| operation.account == account && operation.is_exclusive)
    }

    /// Those under way.
    pub fn under_way(&self) -> impl Iterator<Item = &Operation> {
        self.kept
            .iter()
            .filter(|operation| operation.status == Status::InProgress)
    }

    /// Ends one: it succeeds unless it was to fail.
    pub fn end(&mut self, id: &str) -> Option<Operation> {
        let found = self.kept.iter_mut().find(|operation| operation.id == id)?;
        found.status = if found.failure.is_some() {
            Status::Failed
        } else {
            Status::Succeeded
        };
        Some(found.clone())
    }
}
