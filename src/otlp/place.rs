//! Where deployments are: host, port, and what they are called there. Read from the configuration in use, anew when that changes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::ids::DeploymentId;
use crate::core::topology::Snapshot;

/// The configuration in use, whenever it is asked for.
pub type CurrentSnapshot = Box<dyn Fn() -> Arc<Snapshot> + Send + Sync>;

/// Where one deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host that is asked.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// The deployment's own name there, which requests carry as their model.
    pub name: Arc<str>,
    /// Its base model, if the configuration says so.
    pub model: Option<Arc<str>>,
}

/// Where all are.
pub struct Places {
    current: CurrentSnapshot,
    read: Arc<Snapshot>,
    by_deployment: HashMap<DeploymentId, Place>,
}

impl Places {
    /// Those of the configuration in use.
    pub fn new(current: CurrentSnapshot) -> Self {
        let read = current();
        Self {
            by_deployment: places(&read),
            read,
            current,
        }
    }

    /// Looks whether another configuration is in use by now. Costs nothing where it is not.
    pub fn refresh(&mut self) {
        let current = (self.current)();
        if !Arc::ptr_eq(&current, &self.read) {
            self.by_deployment = places(&current);
            self.read = current;
        }
    }

    /// Where a deployment is; none for one that has left the configuration.
    pub fn of(&self, deployment: &DeploymentId) -> Option<&Place> {
        self.by_deployment.get(deployment)
    }
}

fn places(snapshot: &Snapshot) -> HashMap<DeploymentId, Place> {
    let place = |deployment: &crate::core::topology::Deployment| {
        let endpoint = &snapshot.resources[deployment.resource.0].endpoint;
        Place {
            host: endpoint.host.as_str().into(),
            port: endpoint.port,
            name: deployment.name.as_str().into(),
            model: deployment.model.as_deref().map(Arc::from),
        }
    };
    let deployments = snapshot.deployments.iter();
    deployments
        .map(|deployment| (deployment.id.clone(), place(deployment)))
        .collect()
}
