//! The running gateway, for whoever applies a plan: asked and told by its admin listener.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use parking_lot::Mutex;
use reqwest::Method;
use serde::Deserialize;

use crate::cli::drain;
use crate::cli::operator::Operator;
use crate::core::fleet::key::{AccountKey, DeploymentKey};
use crate::core::fleet::plan::Routing;
use crate::fleet::apply::{Routes, RoutesError};

/// Nobody routes to the fleet.
pub(super) struct NoGateway;

#[async_trait]
impl Routes for NoGateway {
    async fn routing(&self) -> Result<Routing, RoutesError> {
        Ok(Routing::new())
    }

    async fn take_out(&self, _key: &DeploymentKey) -> Result<(), RoutesError> {
        Ok(())
    }

    async fn put_back(&self, _key: &DeploymentKey) -> Result<(), RoutesError> {
        Ok(())
    }
}

/// A gateway's admin listener.
pub struct AdminRoutes {
    operator: Operator,
    resources: BTreeMap<String, AccountKey>,
    force: bool,
    /// What the gateway calls each deployment: two resources may be one account.
    names: Mutex<BTreeMap<DeploymentKey, BTreeSet<String>>>,
}

/// `GET /status`, as far as it matters.
#[derive(Deserialize)]
struct Status {
    deployments: Vec<Shown>,
}

/// A deployment of it.
#[derive(Deserialize)]
struct Shown {
    name: String,
    in_flight: u64,
    drained: bool,
    absent: Option<String>,
}

impl AdminRoutes {
    /// Of managed resources by their names. `force` takes out a pool's last usable deployment too.
    pub fn new(operator: Operator, resources: BTreeMap<String, AccountKey>, force: bool) -> Self {
        Self {
            operator,
            resources,
            force,
            names: Mutex::default(),
        }
    }

    fn key(&self, name: &str) -> Option<DeploymentKey> {
        let (resource, deployment) = name.split_once('/')?;
        Some(DeploymentKey::new(self.resources.get(resource)?.clone(), deployment))
    }

    fn names(&self, key: &DeploymentKey) -> Vec<String> {
        let names = self.names.lock();
        names.get(key).into_iter().flatten().cloned().collect()
    }

    async fn read(&self) -> anyhow::Result<Routing> {
        let text = self.operator.ask(Method::GET, "/status", &[], Vec::new()).await?;
        let status: Status = serde_json::from_str(&text)?;
        let mut routing = Routing::new();
        let mut names: BTreeMap<DeploymentKey, BTreeSet<String>> = BTreeMap::new();
        for shown in status.deployments {
            let Some(key) = self.key(&shown.name) else { continue };
            let is_new = names.entry(key.clone()).or_default().insert(shown.name) && !routing.contains_key(&key);
            let routed = routing.entry(key).or_default();
            // Of two names for one deployment both must be out.
            routed.is_drained = shown.drained && (is_new || routed.is_drained);
            routed.is_absent = shown.absent.is_some() && (is_new || routed.is_absent);
            routed.in_flight = routed
                .in_flight
                .saturating_add(u32::try_from(shown.in_flight).unwrap_or(u32::MAX));
        }
        *self.names.lock() = names;
        Ok(routing)
    }

    async fn undo(&self, key: &DeploymentKey) -> anyhow::Result<()> {
        let text = self.operator.ask(Method::GET, drain::PATH, &[], Vec::new()).await?;
        let out = drain::read(&text)?.drains;
        for name in self.names(key) {
            // A gateway that was restarted has forgotten it.
            if out.iter().any(|drain| drain.kind == "deployment" && drain.name == name) {
                drain::undo(&self.operator, "deployment", &name).await?;
            }
        }
        Ok(())
    }
}

fn failed(error: &anyhow::Error) -> RoutesError {
    RoutesError(format!("{error:#}"))
}

#[async_trait]
impl Routes for AdminRoutes {
    async fn routing(&self) -> Result<Routing, RoutesError> {
        self.read().await.map_err(|error| failed(&error))
    }

    async fn take_out(&self, key: &DeploymentKey) -> Result<(), RoutesError> {
        for name in self.names(key) {
            drain::begin(&self.operator, "deployment", &name, None, self.force)
                .await
                .map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    async fn put_back(&self, key: &DeploymentKey) -> Result<(), RoutesError> {
        self.undo(key).await.map_err(|error| failed(&error))
    }
}
