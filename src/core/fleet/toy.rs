//! Fleets for tests: a small Azure Resource Manager in virtual time, and what is declared of it.
//!
//! It takes one write an account at a time, shows everything late, takes its time over writes, fails by a list, and complains of
//! what nobody should ask of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::fleet::actual::{AccountView, Actual, ActualDeployment, DeploymentSettings, Provisioning};
use crate::core::fleet::declared::{Declared, DeclaredDeployment, DeclaredPool, PoolMember};
use crate::core::fleet::journal::Answer;
use crate::core::fleet::key::{AccountKey, DeploymentKey, ModelRef};
use crate::core::fleet::plan::{Routed, Routing};
use crate::core::fleet::policy::Policy;
use crate::core::fleet::step::{Step, StepKind};
use crate::core::ids::{DeploymentId, PoolId, Region};
use crate::core::topology::Sku;

/// How long requests run on in what is drained.
const IN_FLIGHT_MS: i64 = 20_000;

/// `account/name`.
pub(crate) fn key(name: &str) -> DeploymentKey {
    let (account, name) = name.split_once('/').expect("account/name");
    DeploymentKey::new(AccountKey::new(&format!("/subscriptions/s/accounts/{account}")), name)
}

/// A fine-tuned model that differs by its last letters.
pub(crate) fn model(end: &str) -> ModelRef {
    ModelRef::fine_tuned(&format!("gpt-4.1-mini-2025-04-14.ft-{end}"))
}

/// What should be: name, model, capacity. All are of one pool, `all`.
pub(crate) fn declared(rows: &[(&str, &str, u32)]) -> Declared {
    let deployments: Vec<DeclaredDeployment> = rows
        .iter()
        .map(|(name, end, capacity)| DeclaredDeployment {
            settings: DeploymentSettings::default(),
            key: key(name),
            id: DeploymentId::from(*name),
            azure_name: name.rsplit('/').next().expect("a name").to_owned(),
            region: Region::from("swedencentral"),
            model: Some(model(end)),
            source: None,
            sku: Sku::Standard,
            capacity: Some(*capacity),
            policy: Policy::Keep,
            quota: None,
        })
        .collect();
    let members = deployments.iter().map(|deployment| PoolMember {
        id: deployment.id.clone(),
        key: Some(deployment.key.clone()),
    });
    Declared {
        accounts: vec![key("a/x").account, key("b/x").account],
        pools: vec![DeclaredPool {
            id: PoolId::from("all"),
            members: members.collect(),
            equivalents: Vec::new(),
        }],
        deployments,
    }
}

/// A deployment as Azure shows it.
pub(crate) fn shown(end: &str, capacity: u32, state: Provisioning) -> ActualDeployment {
    ActualDeployment {
        settings: DeploymentSettings::default(),
        model: model(end),
        sku_name: "Standard".to_owned(),
        capacity: Some(capacity),
        state,
        is_paused: false,
        created_at_ms: Some(0),
        retires_at_ms: None,
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// As it should.
    None,
    /// 503, and nothing was done.
    NotDone,
    /// 503, and it was done all the same.
    DoneUnsaid,
    /// It is taken, and ends as `Failed`.
    EndsFailed,
    /// 429.
    Throttled,
}

type Deployments = BTreeMap<DeploymentKey, ActualDeployment>;

/// The control plane, with what routing knows.
pub(crate) struct Toy {
    /// In milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// How late it shows what has changed.
    pub lag_ms: i64,
    /// How long a write takes.
    pub write_ms: i64,
    /// What becomes of the next requests.
    pub faults: Vec<Fault>,
    /// Deployments made from nothing, how often each.
    pub made: BTreeMap<DeploymentKey, u32>,
    /// Deployments deleted.
    pub deleted: BTreeSet<DeploymentKey>,
    /// Requests that asked for what was there already.
    pub needless: u32,
    declared: Declared,
    live: Deployments,
    passing: Vec<(i64, DeploymentKey, Fault)>,
    history: Vec<(i64, Deployments)>,
    routed: BTreeMap<DeploymentKey, Option<i64>>,
}

impl Toy {
    pub(crate) fn new(declared: &Declared, live: &[(&str, ActualDeployment)], routed: &[&str]) -> Self {
        let live: Deployments = live.iter().map(|(name, actual)| (key(name), actual.clone())).collect();
        Self {
            now_ms: 1_000_000,
            lag_ms: 20_000,
            write_ms: 90_000,
            faults: Vec::new(),
            made: BTreeMap::new(),
            deleted: BTreeSet::new(),
            needless: 0,
            declared: declared.clone(),
            history: vec![(0, live.clone())],
            live,
            passing: Vec::new(),
            routed: routed.iter().map(|name| (key(name), None)).collect(),
        }
    }

    pub(crate) fn live(&self) -> &Deployments {
        &self.live
    }

    /// What it shows now.
    pub(crate) fn actual(&self) -> Actual {
        let until = self.now_ms - self.lag_ms;
        let (_, shown) = self.history.iter().rfind(|(at, _)| *at <= until).expect("a beginning");
        let mut actual = Actual::default();
        for account in &self.declared.accounts {
            let of_account = shown.iter().filter(|(key, _)| key.account == *account);
            let view = AccountView {
                seen_at_ms: self.now_ms,
                deployments: of_account
                    .map(|(key, deployment)| (key.clone(), deployment.clone()))
                    .collect(),
            };
            actual.accounts.insert(account.clone(), view);
        }
        actual
    }

    /// Where requests are sent.
    pub(crate) fn routing(&self) -> Routing {
        let routed = |drained: &Option<i64>| Routed {
            is_absent: false,
            is_drained: drained.is_some(),
            in_flight: drained.map_or(2, |since| if self.now_ms - since < IN_FLIGHT_MS { 2 } else { 0 }),
        };
        self.routed
            .iter()
            .map(|(key, drained)| (key.clone(), routed(drained)))
            .collect()
    }

    /// The gateway restarts: what it had taken out of routing is in again.
    pub(crate) fn forget_drains(&mut self) {
        self.routed.values_mut().for_each(|drained| *drained = None);
    }

    /// Time passes, and writes come to their end.
    pub(crate) fn advance(&mut self, to_ms: i64) {
        self.now_ms = self.now_ms.max(to_ms);
        let now_ms = self.now_ms;
        let mut ended: Vec<_> = self.passing.extract_if(.., |(at, ..)| *at <= now_ms).collect();
        ended.sort();
        for (at, key, fault) in ended {
            if self
                .live
                .get(&key)
                .is_some_and(|live| live.state == Provisioning::Deleting)
            {
                self.live.remove(&key);
            } else if let Some(live) = self.live.get_mut(&key) {
                let failed = fault == Fault::EndsFailed;
                live.state = if failed {
                    Provisioning::Failed
                } else {
                    Provisioning::Succeeded
                };
            }
            self.history.push((at, self.live.clone()));
        }
    }

    /// Does a step and says what is answered; none for what is no write.
    pub(crate) fn perform(&mut self, step: &Step) -> Option<Answer> {
        match step.kind {
            StepKind::Drain => {
                let drained = self.routed.get_mut(&step.key).expect("only what is routed is drained");
                drained.get_or_insert(self.now_ms);
                None
            }
            StepKind::Rejoin => {
                self.routed.insert(step.key.clone(), None);
                None
            }
            _ => Some(self.write(step)),
        }
    }

    fn write(&mut self, step: &Step) -> Answer {
        let fault = if self.faults.is_empty() {
            Fault::None
        } else {
            self.faults.remove(0)
        };
        if fault == Fault::Throttled {
            return Answer::Throttled {
                retry_at_ms: self.now_ms + 45_000,
            };
        }
        if fault == Fault::NotDone {
            return Answer::Failed;
        }
        let is_passing = |(key, live): (&DeploymentKey, &ActualDeployment)| {
            key.account == step.key.account && live.state.is_passing()
        };
        if self.live.iter().any(is_passing) {
            return Answer::Conflict;
        }
        if step.kind == StepKind::Delete {
            self.delete(step);
        } else {
            self.put(step, fault);
        }
        self.history.push((self.now_ms, self.live.clone()));
        if fault == Fault::DoneUnsaid {
            Answer::Failed
        } else {
            Answer::Taken
        }
    }

    fn delete(&mut self, step: &Step) {
        let key = &step.key;
        assert!(self.declared.find(key).is_none(), "{key} is declared");
        assert!(self.is_out(key), "{key} is routed to");
        for wanted in &self.declared.deployments {
            let live = self.live.get(&wanted.key).expect("made before anything is deleted");
            assert!(
                live.is_serving() && Some(&live.model) == wanted.model.as_ref(),
                "{key} before {}",
                wanted.id
            );
        }
        if let Some(live) = self.live.get_mut(key) {
            live.state = Provisioning::Deleting;
            self.deleted.insert(key.clone());
            self.passing
                .push((self.now_ms + self.write_ms, key.clone(), Fault::None));
        } else {
            self.needless += 1;
        }
    }

    fn put(&mut self, step: &Step, fault: Fault) {
        let wanted = self
            .declared
            .find(&step.key)
            .expect("only what is declared is written")
            .clone();
        let model = wanted.model.expect("a model");
        let has = self.live.get(&step.key);
        if has.is_none() {
            *self.made.entry(step.key.clone()).or_default() += 1;
        }
        if has.is_some_and(|has| has.is_serving() && has.model == model && has.capacity == wanted.capacity) {
            self.needless += 1;
            return;
        }
        if has.is_some_and(|has| has.is_serving() && has.model != model) {
            assert!(
                self.is_out(&step.key),
                "{} is routed to while its model is replaced",
                step.key
            );
        }
        let created_at_ms = has.map_or(Some(self.now_ms), |has| has.created_at_ms);
        let live = ActualDeployment {
            settings: DeploymentSettings::default(),
            model,
            sku_name: "Standard".to_owned(),
            capacity: wanted.capacity,
            state: Provisioning::Creating,
            is_paused: false,
            created_at_ms,
            retires_at_ms: None,
        };
        self.live.insert(step.key.clone(), live);
        self.passing
            .push((self.now_ms + self.write_ms, step.key.clone(), fault));
    }

    fn is_out(&self, key: &DeploymentKey) -> bool {
        self.routed.get(key).is_none_or(Option::is_some)
    }
}
