//! The control plane's state: deployments of all accounts, operations, quota, and what happens to them as the world's time goes on.
//!
//! Nothing runs by itself. [`Plane::settle`] brings everything up to a time, event by event in the order in which they are due, and
//! is called before anything looks: so a clock that is moved by two months passes through the same states as one that was waited
//! for. With nothing due it costs one atomic read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::simulator::arm::bill::{Bill, DeploymentBill, End, Ended, Gone, Tally};
use crate::simulator::arm::calls::Calls;
use crate::simulator::arm::catalogue::{Catalogue, is_fine_tuned};
use crate::simulator::arm::entry::{Entry, Phase, Properties};
use crate::simulator::arm::faults::ArmFaults;
use crate::simulator::arm::operation::Operations;
use crate::simulator::arm::path::AccountId;
use crate::simulator::arm::settings::ArmSettings;
use crate::simulator::arm::throttle::Throttle;
use crate::simulator::arm::time;
use crate::simulator::arm::wanted::ModelRef;
use crate::simulator::scenario::{DeploymentState, FineTunedSpec, Scenario, ScenarioError};
use crate::simulator::world::{Account, Deployment};

/// The control plane.
#[derive(Debug)]
pub struct Plane {
    /// Its settings.
    pub settings: ArmSettings,
    /// The models there are.
    pub catalogue: Catalogue,
    /// The accounts in the scenario's order.
    pub accounts: Vec<Managed>,
    /// What goes wrong on purpose.
    pub faults: ArmFaults,
    /// How much was asked.
    pub throttle: Throttle,
    /// What was asked lately.
    pub calls: Calls,
    pub(super) scenario: Arc<Scenario>,
    pub(super) state: Mutex<State>,
    next_due_ms: AtomicU64,
}

/// An account as ARM knows it.
#[derive(Debug)]
pub struct Managed {
    /// Its subscription.
    pub subscription: String,
    /// Its resource group.
    pub group: String,
    /// Its tenant.
    pub tenant: String,
    /// The data plane.
    pub account: Arc<Account>,
}

/// What changes.
#[derive(Debug)]
pub struct State {
    /// For each account its deployments by name in lower case.
    pub entries: Vec<BTreeMap<String, Entry>>,
    /// Operations.
    pub operations: Operations,
    /// Bills of what is gone.
    pub gone: Gone,
    /// Number of the next operation.
    pub sequence: u64,
}

impl Managed {
    /// Its ARM id.
    pub fn id(&self) -> String {
        let Self {
            subscription, group, ..
        } = self;
        let name = &self.account.spec.name;
        format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}"
        )
    }

    /// Its region.
    pub fn location(&self) -> &str {
        &self.account.spec.region
    }

    /// A fine-tuned model that was trained in it, by id or by that of a checkpoint.
    pub fn trained(&self, id: &str) -> Option<&FineTunedSpec> {
        let models = &self.account.spec.fine_tuned_models;
        models
            .iter()
            .find(|spec| spec.model == id || spec.checkpoints.iter().any(|checkpoint| checkpoint == id))
    }
}

impl Plane {
    /// Takes over the deployments that the accounts begin with.
    ///
    /// # Errors
    /// When an account names a subscription that is not there.
    pub fn new(
        scenario: Arc<Scenario>,
        settings: ArmSettings,
        accounts: &[Arc<Account>],
        now_ms: u64,
    ) -> Result<Self, ScenarioError> {
        let mut managed = Vec::with_capacity(accounts.len());
        for account in accounts {
            let subscription = account
                .spec
                .subscription
                .clone()
                .unwrap_or_else(|| settings.subscription.clone());
            let group = account.spec.resource_group.clone();
            let tenant = settings
                .tenant_of(&subscription)
                .ok_or_else(|| ScenarioError::Invalid {
                    path: format!("accounts.{}.subscription", account.spec.name),
                    problem: "must be one of `arm`".to_owned(),
                })?;
            managed.push(Managed {
                tenant: tenant.to_owned(),
                group: group.unwrap_or_else(|| settings.resource_group.clone()),
                account: Arc::clone(account),
                subscription,
            });
        }
        let plane = Self {
            catalogue: Catalogue::shipped(&settings.retirements)?,
            faults: ArmFaults::default(),
            throttle: Throttle::default(),
            calls: Calls::default(),
            state: Mutex::new(State {
                entries: Vec::new(),
                operations: Operations::default(),
                gone: Gone::default(),
                sequence: 0,
            }),
            next_due_ms: AtomicU64::new(0),
            accounts: managed,
            scenario,
            settings,
        };
        let entries = plane
            .accounts
            .iter()
            .map(|account| plane.existing(account, now_ms))
            .collect();
        plane.state.lock().entries = entries;
        plane.settle(now_ms);
        Ok(plane)
    }

    /// The deployments that an account begins with.
    fn existing(&self, managed: &Managed, now_ms: u64) -> BTreeMap<String, Entry> {
        let present = managed.account.all().into_iter();
        let present = present.filter(|served| served.spec.state != DeploymentState::Deleted);
        let entry = |served: Arc<Deployment>| {
            let spec = &served.spec;
            let created_ms = now_ms.saturating_sub((spec.age_days * time::DAY_MS as f64) as u64);
            let properties = self.existing_properties(managed, &served);
            let mut entry = Entry {
                name: spec.name.clone(),
                desired: properties.clone(),
                in_force: properties,
                phase: Phase::Ready,
                paused: spec.state == DeploymentState::Paused,
                retired: spec.state == DeploymentState::Retired,
                created_ms,
                modified_ms: created_ms,
                created_by: "scenario".to_owned(),
                modified_by: "scenario".to_owned(),
                revision: 1,
                serves_from_ms: Some(created_ms),
                meter: Arc::clone(&served.meter),
                tally: Tally::default(),
                served: Some(Arc::clone(&served)),
            };
            entry.tally = Tally::open(entry.terms(self.settings.rules.pause_stops_hosting), created_ms);
            (spec.name.to_ascii_lowercase(), entry)
        };
        present.map(entry).collect()
    }

    fn existing_properties(&self, managed: &Managed, served: &Deployment) -> Properties {
        let spec = &served.spec;
        let fine_tuned = is_fine_tuned(&spec.model);
        let owner = self.accounts.iter().find(|other| other.trained(&spec.model).is_some());
        let source = owner
            .filter(|owner| owner.account.spec.name != managed.account.spec.name)
            .map(Managed::id);
        let base = owner
            .and_then(|owner| owner.trained(&spec.model))
            .map(FineTunedSpec::base_model);
        let version = if fine_tuned { "1" } else { "" };
        Properties {
            model: ModelRef {
                name: spec.model.clone(),
                version: version.to_owned(),
                source,
                source_account: None,
            },
            base: base.unwrap_or_else(|| spec.model.clone()),
            fine_tuned,
            sku: spec.sku,
            capacity: spec.capacity,
            requests_per_minute: spec.requests_per_minute.unwrap_or(spec.capacity.saturating_mul(6)),
            shown: serde_json::Map::default(),
            tags: serde_json::Map::default(),
            spillover: spec.spillover_deployment.clone(),
        }
    }

    /// The account of an id, as far as it exists; names compare without regard to case.
    pub fn find(&self, id: &AccountId) -> Option<usize> {
        self.accounts.iter().position(|managed| {
            managed.subscription.eq_ignore_ascii_case(&id.subscription)
                && managed.group.eq_ignore_ascii_case(&id.group)
                && managed.account.spec.name.eq_ignore_ascii_case(&id.name)
        })
    }

    /// Brings everything up to a time.
    pub fn settle(&self, now_ms: u64) {
        if now_ms < self.next_due_ms.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state.lock();
        self.settle_locked(&mut state, now_ms);
    }

    pub(super) fn settle_locked(&self, state: &mut State, now_ms: u64) {
        let next = loop {
            match self.next_event(state) {
                Some(event) if event.at_ms <= now_ms => self.happen(state, event),
                Some(event) => break event.at_ms,
                None => break u64::MAX,
            }
        };
        self.next_due_ms.store(next, Ordering::Release);
    }

    /// Takes a deployment away at once, here and from the data plane, and closes its bill.
    pub(super) fn remove(&self, state: &mut State, account: usize, key: &str, at_ms: u64, by: End) -> bool {
        let Some(entry) = state.entries[account].remove(key) else {
            return false;
        };
        self.accounts[account].account.remove(&entry.name);
        let ended = Ended {
            deleted_at: time::shown(at_ms),
            deleted_by: by,
        };
        state.gone.keep(self.bill_of(account, &entry, at_ms, Some(ended)));
        true
    }

    /// Deletes a deployment behind everybody's back; false when it is not there.
    pub fn vanish(&self, account: &str, deployment: &str, now_ms: u64) -> bool {
        let found = self
            .accounts
            .iter()
            .position(|managed| managed.account.spec.name == account);
        let Some(index) = found else { return false };
        let mut state = self.state.lock();
        self.settle_locked(&mut state, now_ms);
        self.remove(
            &mut state,
            index,
            &deployment.to_ascii_lowercase(),
            now_ms,
            End::Control,
        )
    }

    /// What everything costs up to a time.
    pub fn bill(&self, now_ms: u64) -> Bill {
        let mut state = self.state.lock();
        self.settle_locked(&mut state, now_ms);
        let mut present = Vec::new();
        for (account, entries) in state.entries.iter().enumerate() {
            present.extend(entries.values().map(|entry| self.bill_of(account, entry, now_ms, None)));
        }
        state.gone.bill(present, now_ms)
    }

    fn bill_of(&self, account: usize, entry: &Entry, now_ms: u64, end: Option<Ended>) -> DeploymentBill {
        let lines = entry.tally.lines(&self.settings.prices, now_ms, entry.meter.read());
        DeploymentBill {
            account: self.accounts[account].account.spec.name.clone(),
            deployment: entry.name.clone(),
            model: entry.in_force.model.name.clone(),
            created_at: time::shown(entry.created_ms),
            end,
            total: lines.iter().map(|line| line.total).sum(),
            lines,
        }
    }

    /// Shows a deployment to the data plane as it now is, and begins a new stretch of its bill if that changed.
    pub(super) fn publish(&self, account: usize, entry: &mut Entry, at_ms: u64) {
        let terms = entry.terms(self.settings.rules.pause_stops_hosting);
        entry
            .tally
            .change(&self.settings.prices, terms, at_ms, entry.meter.read());
        if entry.serves_from_ms.is_none_or(|from| from > at_ms) {
            return;
        }
        let account = &self.accounts[account].account;
        let served = match &entry.served {
            Some(served) => served.changed(&self.scenario, account, entry.spec()),
            None => Deployment::new(&self.scenario, account, entry.spec(), Arc::clone(&entry.meter)),
        };
        let served = Arc::new(served);
        account.put(Arc::clone(&served));
        entry.served = Some(served);
    }
}
