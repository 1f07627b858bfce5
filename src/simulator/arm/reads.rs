//! Deployments and operations as they are read, by ARM's callers and by the control listener.

use serde::Serialize;
use serde_json::Value;

use crate::simulator::arm::calls::ArmCall;
use crate::simulator::arm::entry::Entry;
use crate::simulator::arm::error::ArmError;
use crate::simulator::arm::operation::Operation;
use crate::simulator::arm::plane::Plane;
use crate::simulator::arm::time;
use crate::simulator::arm::writes::Place;

/// What the control listener shows of the control plane.
#[derive(Debug, Serialize)]
pub struct ArmStatus {
    /// The world's date.
    pub at: String,
    /// Whether its listener is open.
    pub open: bool,
    /// Where it listens.
    pub url: String,
    /// Calls so far.
    pub calls_total: u64,
    /// The latest of them, oldest first.
    pub calls: Vec<ArmCall>,
    /// Operations under way.
    pub under_way: Vec<Value>,
    /// All deployments.
    pub deployments: Vec<EntryStatus>,
}

/// What it shows of a deployment.
#[derive(Debug, Serialize)]
pub struct EntryStatus {
    /// Account.
    pub account: String,
    /// Name.
    pub name: String,
    /// Model.
    pub model: String,
    /// Kind.
    pub sku: String,
    /// Capacity in force.
    pub capacity: u32,
    /// `provisioningState`.
    pub state: &'static str,
    /// Whether the data plane knows it.
    pub serves: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether its model has retired.
    pub retired: bool,
    /// When it was made.
    pub created_at: String,
    /// When it was last used, or made.
    pub last_use_at: String,
    /// For how long it was not used, in days.
    pub idle_days: f64,
    /// When it ends by itself if nobody does anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
}

impl Plane {
    /// One deployment.
    ///
    /// # Errors
    /// 404 when it is not there.
    pub fn deployment(&self, place: Place<'_>) -> Result<Value, ArmError> {
        let state = self.state.lock();
        let entry = self.present(&state, place)?;
        Ok(entry.shown(&self.accounts[place.account].id(), place.now_ms, place.pauses))
    }

    /// All deployments of an account.
    pub fn deployments(&self, place: Place<'_>) -> Vec<Value> {
        let state = self.state.lock();
        let id = self.accounts[place.account].id();
        let entries = state.entries[place.account].values();
        entries
            .map(|entry| entry.shown(&id, place.now_ms, place.pauses))
            .collect()
    }

    /// An operation, if it is not forgotten.
    pub fn operation(&self, id: &str) -> Option<Operation> {
        self.state.lock().operations.find(id).cloned()
    }

    /// What the control listener shows.
    pub fn status(&self, now_ms: u64, url: String, open: bool) -> ArmStatus {
        let mut state = self.state.lock();
        self.settle_locked(&mut state, now_ms);
        let (calls_total, calls) = self.calls.list();
        let mut deployments = Vec::new();
        for (managed, entries) in self.accounts.iter().zip(&state.entries) {
            let account = &managed.account.spec.name;
            deployments.extend(entries.values().map(|entry| self.entry_status(account, entry, now_ms)));
        }
        ArmStatus {
            at: time::shown(now_ms),
            open,
            url,
            calls_total,
            calls,
            under_way: state.operations.under_way().map(Operation::shown).collect(),
            deployments,
        }
    }

    fn entry_status(&self, account: &str, entry: &Entry, now_ms: u64) -> EntryStatus {
        let last_use_ms = entry.last_use_ms();
        EntryStatus {
            account: account.to_owned(),
            name: entry.name.clone(),
            model: entry.in_force.model.name.clone(),
            sku: entry.in_force.sku.to_string(),
            capacity: entry.in_force.capacity,
            state: entry.state(now_ms),
            serves: entry.served.is_some() && !entry.paused && !entry.retired,
            paused: entry.paused,
            retired: entry.retired,
            created_at: time::shown(entry.created_ms),
            last_use_at: time::shown(last_use_ms),
            idle_days: now_ms.saturating_sub(last_use_ms) as f64 / time::DAY_MS as f64,
            ends_at: self.ends_ms(entry).map(time::shown),
        }
    }
}
