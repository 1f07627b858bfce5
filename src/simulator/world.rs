//! The simulated world at run time: accounts, their deployments and engines, faults, the log, the clock.
//!
//! Built once from a checked scenario and shared by all connections. What changes is behind short locks: each
//! deployment has its own engine and counts, so requests to different deployments never wait for each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use parking_lot::Mutex;
use serde::Serialize;

use crate::simulator::chance::draw;
use crate::simulator::clock::Clock;
use crate::simulator::engine::Engine;
use crate::simulator::faults::FaultBook;
use crate::simulator::record::{Counts, RequestLog};
use crate::simulator::responses::book::Book;
use crate::simulator::scenario::{AccountSpec, DeploymentSpec, Scenario};

/// Everything that requests share.
#[derive(Debug)]
pub struct World {
    /// What is played.
    pub scenario: Scenario,
    /// Time.
    pub clock: Clock,
    /// Faults in force.
    pub faults: FaultBook,
    /// Recent requests.
    pub log: RequestLog,
    /// Accounts in the scenario's order.
    pub accounts: Vec<Arc<Account>>,
    requests: AtomicU64,
}

/// One account.
#[derive(Debug)]
pub struct Account {
    /// As in the scenario.
    pub spec: AccountSpec,
    /// `x-ms-region`.
    pub region_header: HeaderValue,
    /// Counts of all its requests, also those that reach no deployment.
    pub counts: Mutex<Counts>,
    /// Responses that can be continued.
    pub responses: Mutex<Book>,
    /// Deployments by name.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
}

/// One deployment.
#[derive(Debug)]
pub struct Deployment {
    /// As in the scenario.
    pub spec: DeploymentSpec,
    /// `x-ms-deployment-name`.
    pub name_header: HeaderValue,
    /// Tells serving pools apart in `azureml-model-session`.
    pub session: u64,
    /// Its model.
    pub engine: Mutex<Engine>,
    /// Counts of its requests.
    pub counts: Mutex<Counts>,
}

impl World {
    /// Builds the world. Faults of the scenario are put in force by the caller, which can report a refusal.
    pub fn new(scenario: Scenario) -> Self {
        let accounts = scenario
            .accounts
            .iter()
            .map(|spec| Arc::new(Account::new(&scenario, spec)))
            .collect();
        Self {
            clock: Clock::start(),
            faults: FaultBook::new(scenario.seed),
            log: RequestLog::new(scenario.recorded_requests, scenario.record_bodies),
            accounts,
            requests: AtomicU64::new(0),
            scenario,
        }
    }

    /// The next request's number, from 1.
    pub fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What is going on.
    pub fn state(&self) -> State {
        let now = self.clock.now();
        let deployment = |(name, deployment): (&String, &Arc<Deployment>)| {
            let mut engine = deployment.engine.lock();
            DeploymentStatus {
                name: name.clone(),
                model: deployment.spec.model.clone(),
                sku: deployment.spec.sku.to_string(),
                capacity: deployment.spec.capacity,
                in_flight: engine.in_flight(),
                utilisation: engine.utilisation(now),
                counts: deployment.counts.lock().clone(),
            }
        };
        let account = |account: &Arc<Account>| AccountStatus {
            name: account.spec.name.clone(),
            region: account.spec.region.clone(),
            counts: account.counts.lock().clone(),
            deployments: account.deployments.iter().map(deployment).collect(),
        };
        State {
            at_ms: now.as_millis() as u64,
            accounts: self.accounts.iter().map(account).collect(),
        }
    }

    /// Forgets counts, recorded requests, kept responses, caches, used-up limits and faults. Requests under way go on.
    pub fn reset(&self) {
        self.faults.clear();
        self.log.clear();
        for account in &self.accounts {
            *account.counts.lock() = Counts::default();
            account.responses.lock().clear();
            for deployment in account.deployments.values() {
                *deployment.counts.lock() = Counts::default();
                deployment.engine.lock().reset(&deployment.spec);
            }
        }
    }
}

impl Account {
    fn new(scenario: &Scenario, spec: &AccountSpec) -> Self {
        let deployment = |deployment: &DeploymentSpec| {
            let built = Deployment {
                name_header: header(&deployment.name),
                session: draw(scenario.seed, (&spec.name, &deployment.name)),
                engine: Mutex::new(Engine::new(scenario, deployment)),
                counts: Mutex::default(),
                spec: deployment.clone(),
            };
            (deployment.name.clone(), Arc::new(built))
        };
        Self {
            region_header: header(spec.shown_region()),
            counts: Mutex::default(),
            responses: Mutex::default(),
            deployments: spec.deployments.iter().map(deployment).collect(),
            spec: spec.clone(),
        }
    }
}

/// A scenario's text as a header value; `?` where the text cannot be one.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?"))
}

/// The world's state, as the control listener shows it.
#[derive(Debug, Clone, Serialize)]
pub struct State {
    /// Time since the world began, in milliseconds.
    pub at_ms: u64,
    /// The accounts.
    pub accounts: Vec<AccountStatus>,
}

/// An account's state.
#[derive(Debug, Clone, Serialize)]
pub struct AccountStatus {
    /// Name.
    pub name: String,
    /// Region.
    pub region: String,
    /// Counts of all its requests.
    pub counts: Counts,
    /// Its deployments.
    pub deployments: Vec<DeploymentStatus>,
}

/// A deployment's state.
#[derive(Debug, Clone, Serialize)]
pub struct DeploymentStatus {
    /// Name.
    pub name: String,
    /// Model.
    pub model: String,
    /// Kind.
    pub sku: String,
    /// Capacity in the kind's unit.
    pub capacity: u32,
    /// Requests being served.
    pub in_flight: u32,
    /// Fill of a provisioned bucket; 1 is 100 %.
    pub utilisation: Option<f64>,
    /// Counts.
    pub counts: Counts,
}

impl State {
    /// The status of a deployment.
    pub fn deployment(&self, account: &str, deployment: &str) -> Option<&DeploymentStatus> {
        let account = self.accounts.iter().find(|status| status.name == account)?;
        account.deployments.iter().find(|status| status.name == deployment)
    }
}
