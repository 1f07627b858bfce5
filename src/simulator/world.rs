//! The simulated world at run time: accounts, their deployments and engines, faults, the log, the clock.
//!
//! Built once from a checked scenario and shared by all connections. What changes is behind short locks: each
//! deployment has its own engine and counts, so requests to different deployments never wait for each other. Where there is a control
//! plane, deployments come, change and go by it; a request keeps the one it found.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use crate::simulator::arm::plane::Plane;
use crate::simulator::arm::time;
use crate::simulator::chance::draw;
use crate::simulator::clock::Clock;
use crate::simulator::engine::Engine;
use crate::simulator::faults::FaultBook;
use crate::simulator::meter::Meter;
use crate::simulator::record::{Counts, RequestLog};
use crate::simulator::responses::book::Book;
use crate::simulator::scenario::{AccountSpec, DeploymentSpec, Scenario, ScenarioError};

/// Everything that requests share.
#[derive(Debug)]
pub struct World {
    /// What is played.
    pub scenario: Arc<Scenario>,
    /// Time.
    pub clock: Clock,
    /// Faults in force.
    pub faults: FaultBook,
    /// Recent requests.
    pub log: RequestLog,
    /// Accounts in the scenario's order.
    pub accounts: Vec<Arc<Account>>,
    /// The control plane, where the scenario has one.
    pub arm: Option<Arc<Plane>>,
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
    /// Where it listens, as a URL, once it does.
    url: OnceLock<String>,
    /// Deployments by name.
    deployments: RwLock<BTreeMap<String, Arc<Deployment>>>,
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
    pub engine: Arc<Mutex<Engine>>,
    /// Counts of its requests.
    pub counts: Arc<Mutex<Counts>>,
    /// What it was used for.
    pub meter: Arc<Meter>,
}

impl World {
    /// Builds the world. Faults of the scenario are put in force by the caller, which can report a refusal.
    ///
    /// # Errors
    /// When the control plane does not fit the accounts.
    pub fn new(scenario: Scenario) -> Result<Self, ScenarioError> {
        let scenario = Arc::new(scenario);
        let specs = scenario.accounts.iter();
        let accounts: Vec<_> = specs.map(|spec| Arc::new(Account::new(&scenario, spec))).collect();
        let date = scenario.starts_at.as_deref().and_then(time::parse);
        let clock = Clock::start(date.map(Duration::from_millis));
        let arm = scenario.arm.clone().map(|settings| {
            let plane = Plane::new(Arc::clone(&scenario), settings, &accounts, clock.unix_ms());
            plane.map(Arc::new)
        });
        Ok(Self {
            arm: arm.transpose()?,
            clock,
            faults: FaultBook::new(scenario.seed),
            log: RequestLog::new(scenario.recorded_requests, scenario.record_bodies),
            accounts,
            requests: AtomicU64::new(0),
            scenario,
        })
    }

    /// Lets happen to deployments what is due by now.
    pub fn settle(&self) {
        if let Some(arm) = &self.arm {
            arm.settle(self.clock.unix_ms());
        }
    }

    /// The next request's number, from 1.
    pub fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What is going on.
    pub fn state(&self) -> State {
        self.settle();
        let now = self.clock.now();
        let deployment = |deployment: Arc<Deployment>| {
            let mut engine = deployment.engine.lock();
            DeploymentStatus {
                name: deployment.spec.name.clone(),
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
            deployments: account.all().into_iter().map(deployment).collect(),
        };
        State {
            at_ms: now.as_millis() as u64,
            accounts: self.accounts.iter().map(account).collect(),
        }
    }

    /// Forgets counts, recorded requests, kept responses, caches, used-up limits and faults. Requests under way go on, and deployments
    /// and their bills stay as they are.
    pub fn reset(&self) {
        self.faults.clear();
        self.log.clear();
        if let Some(arm) = &self.arm {
            arm.faults.clear();
        }
        for account in &self.accounts {
            *account.counts.lock() = Counts::default();
            account.responses.lock().clear();
            for deployment in account.all() {
                *deployment.counts.lock() = Counts::default();
                deployment.engine.lock().reset(&deployment.spec);
            }
        }
    }
}

impl Account {
    fn new(scenario: &Scenario, spec: &AccountSpec) -> Self {
        let account = Self {
            region_header: header(spec.shown_region()),
            counts: Mutex::default(),
            responses: Mutex::default(),
            url: OnceLock::new(),
            deployments: RwLock::default(),
            spec: spec.clone(),
        };
        for deployment in &spec.deployments {
            let built = Deployment::new(scenario, &account, deployment.clone(), Arc::default());
            account.put(Arc::new(built));
        }
        account
    }

    /// The deployment of this name.
    pub fn deployment(&self, name: &str) -> Option<Arc<Deployment>> {
        self.deployments.read().get(name).cloned()
    }

    /// All deployments, by name.
    pub fn all(&self) -> Vec<Arc<Deployment>> {
        self.deployments.read().values().cloned().collect()
    }

    /// Serves a deployment from now on, instead of one of the same name.
    pub fn put(&self, deployment: Arc<Deployment>) {
        self.deployments
            .write()
            .insert(deployment.spec.name.clone(), deployment);
    }

    /// Serves it no more; requests under way go on.
    pub fn remove(&self, name: &str) {
        self.deployments.write().remove(name);
    }

    /// Where it listens, as a URL without a path; empty before it does.
    pub fn url(&self) -> &str {
        self.url.get().map_or("", String::as_str)
    }

    /// Says where it listens; the first time counts.
    pub fn listens_at(&self, url: String) {
        // A listener that is opened again has the same address.
        let _ = self.url.set(url);
    }
}

impl Deployment {
    /// A deployment that nobody has used yet.
    pub fn new(scenario: &Scenario, account: &Account, spec: DeploymentSpec, meter: Arc<Meter>) -> Self {
        Self {
            name_header: header(&spec.name),
            session: draw(scenario.seed, (&account.spec.name, &spec.name)),
            engine: Arc::new(Mutex::new(Engine::new(scenario, &spec))),
            counts: Arc::default(),
            meter,
            spec,
        }
    }

    /// The same deployment changed: what is under way, counted and cached stays, unless the model is another.
    pub fn changed(&self, scenario: &Scenario, account: &Account, spec: DeploymentSpec) -> Self {
        let mut changed = Self::new(scenario, account, spec, Arc::clone(&self.meter));
        changed.counts = Arc::clone(&self.counts);
        if changed.spec.model == self.spec.model {
            changed.engine = Arc::clone(&self.engine);
            let (is, was) = (&changed.spec, &self.spec);
            let limits = |spec: &DeploymentSpec| (spec.sku, spec.capacity, spec.requests_per_minute);
            if limits(is) != limits(was) {
                changed.engine.lock().set_limits(is);
            }
        }
        changed
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
