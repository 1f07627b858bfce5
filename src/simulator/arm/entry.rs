//! One deployment as ARM knows it: what it should be, what is in force, how far it is, and how it is shown.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::simulator::arm::bill::{Tally, Terms};
use crate::simulator::arm::time;
use crate::simulator::arm::wanted::ModelRef;
use crate::simulator::meter::Meter;
use crate::simulator::scenario::{DeploymentSpec, DeploymentState, Sku};
use crate::simulator::world::Deployment;

/// A deployment.
#[derive(Debug)]
pub struct Entry {
    /// Its name, as it was created.
    pub name: String,
    /// What it should be.
    pub desired: Properties,
    /// What it is; the same as `desired` unless an operation is under way.
    pub in_force: Properties,
    /// How far it is.
    pub phase: Phase,
    /// Whether it was paused.
    pub paused: bool,
    /// Whether its model has retired.
    pub retired: bool,
    /// When it was made; the inactivity rule and the bill begin here.
    pub created_ms: u64,
    /// When it was last changed.
    pub modified_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// Who changed it last.
    pub modified_by: String,
    /// Counts changes; the etag.
    pub revision: u64,
    /// When the data plane knows it; none before it succeeded.
    pub serves_from_ms: Option<u64>,
    /// What the data plane serves, once it does.
    pub served: Option<Arc<Deployment>>,
    /// What it was used for.
    pub meter: Arc<Meter>,
    /// Its bill.
    pub tally: Tally,
}

/// What a deployment is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Properties {
    /// Its model.
    pub model: ModelRef,
    /// Id of the model that it is or was trained from: what prices, quota and retirement go by.
    pub base: String,
    /// Whether it is fine-tuned.
    pub fine_tuned: bool,
    /// Kind.
    pub sku: Sku,
    /// Capacity.
    pub capacity: u32,
    /// Requests a minute of pay-per-token kinds.
    pub requests_per_minute: u32,
    /// Members of `properties` that are only shown again.
    pub shown: Map<String, Value>,
    /// Tags.
    pub tags: Map<String, Value>,
    /// Where it spills over to.
    pub spillover: Option<String>,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is being made.
    Creating {
        /// When that began.
        since_ms: u64,
    },
    /// It is there.
    Ready,
    /// It is there and being changed.
    Updating,
    /// It is there and being deleted.
    Deleting,
    /// It could not be made.
    Failed,
}

/// How long a creation is shown as accepted.
const ACCEPTED_MS: u64 = 1_000;

impl Entry {
    /// `provisioningState`.
    pub fn state(&self, now_ms: u64) -> &'static str {
        match self.phase {
            Phase::Creating { since_ms } if now_ms < since_ms + ACCEPTED_MS => "Accepted",
            Phase::Creating { .. } => "Creating",
            Phase::Ready => "Succeeded",
            Phase::Updating => "Accepted",
            Phase::Deleting => "Deleting",
            Phase::Failed => "Failed",
        }
    }

    /// The resource. `id` is that of its account.
    pub fn shown(&self, account_id: &str, now_ms: u64, pauses: bool) -> Value {
        let Properties {
            model, sku, capacity, ..
        } = &self.desired;
        let mut shown_model = json!({ "format": "OpenAI", "name": model.name, "version": model.version });
        for (name, value) in [("source", &model.source), ("sourceAccount", &model.source_account)] {
            if let Some(id) = value {
                shown_model[name] = json!(id);
            }
        }
        let mut properties = json!({
            "model": shown_model,
            "provisioningState": self.state(now_ms),
            "versionUpgradeOption": "OnceNewDefaultVersionAvailable",
            "raiPolicyName": "Microsoft.DefaultV2",
            "currentCapacity": self.in_force.capacity,
            "capabilities": { "chatCompletion": "true", "responses": "true" },
            "rateLimits": rate_limits(&self.in_force),
        });
        if pauses {
            properties["deploymentState"] = json!(if self.paused { "Paused" } else { "Running" });
        }
        if let Some(name) = &self.desired.spillover {
            properties["spilloverDeploymentName"] = json!(name);
        }
        for (name, value) in &self.desired.shown {
            properties[name] = value.clone();
        }
        let mut resource = json!({
            "id": format!("{account_id}/deployments/{}", self.name),
            "type": "Microsoft.CognitiveServices/accounts/deployments",
            "name": self.name,
            "etag": format!("\"{:016x}\"", self.created_ms ^ (self.revision << 48)),
            "sku": { "name": sku.to_string(), "capacity": capacity },
            "systemData": {
                "createdBy": self.created_by, "createdByType": "Application", "createdAt": time::shown(self.created_ms),
                "lastModifiedBy": self.modified_by, "lastModifiedByType": "Application",
                "lastModifiedAt": time::shown(self.modified_ms),
            },
            "properties": properties,
        });
        if !self.desired.tags.is_empty() {
            resource["tags"] = Value::Object(self.desired.tags.clone());
        }
        resource
    }

    /// When it was made or last used, the later.
    pub fn last_use_ms(&self) -> u64 {
        self.meter.last_success_ms().unwrap_or(0).max(self.created_ms)
    }

    /// What it is charged by now.
    pub fn terms(&self, pause_stops_hosting: bool) -> Terms {
        let is = &self.in_force;
        Terms {
            model: is.base.clone(),
            fine_tuned: is.fine_tuned,
            sku: is.sku,
            capacity: is.capacity,
            hosted: self.phase != Phase::Failed && !(self.paused && pause_stops_hosting),
        }
    }

    /// What the data plane should serve.
    pub fn spec(&self) -> DeploymentSpec {
        let is = &self.in_force;
        let like = self.served.as_ref().map(|served| &served.spec);
        DeploymentSpec {
            name: self.name.clone(),
            model: is.model.name.clone(),
            sku: is.sku,
            capacity: is.capacity,
            requests_per_minute: (!is.sku.is_provisioned()).then_some(is.requests_per_minute),
            spillover_deployment: is.spillover.clone(),
            state: match (self.retired, self.paused) {
                (true, _) => DeploymentState::Retired,
                (false, true) => DeploymentState::Paused,
                (false, false) => DeploymentState::Ok,
            },
            ..like.cloned().unwrap_or_default()
        }
    }
}

/// `rateLimits`: requests over ten seconds where that is a whole number, as the service says them, tokens over a minute.
fn rate_limits(properties: &Properties) -> Value {
    if properties.sku.is_provisioned() {
        return json!([]);
    }
    let requests = properties.requests_per_minute;
    let (period, count) = if requests.is_multiple_of(6) {
        (10, requests / 6)
    } else {
        (60, requests)
    };
    json!([
        { "key": "request", "renewalPeriod": period, "count": count },
        { "key": "token", "renewalPeriod": 60, "count": u64::from(properties.capacity) * 1_000 },
    ])
}
