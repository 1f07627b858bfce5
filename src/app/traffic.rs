//! The running gateway, as whoever looks after its fleet sees it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::config::checked::Checked;
use crate::core::ids::DeploymentId;
use crate::core::topology::DeploymentIx;
use crate::fleet::declaration::{self, Declaration};
use crate::fleet::traffic::{Called, Seen, Standing, Traffic};
use crate::proxy::state::Live;
use crate::proxy::{Gateway, keepalive};
use crate::telemetry::events::care::DeclarationUnusable;

/// A gateway; empty once that has ended.
pub struct OfGateway {
    gateway: Weak<Gateway>,
    /// The configuration whose declaration was told last.
    told: Mutex<Option<Arc<Checked>>>,
}

impl OfGateway {
    /// Of a running one, which it does not keep alive.
    pub fn new(gateway: &Arc<Gateway>) -> Self {
        Self {
            gateway: Arc::downgrade(gateway),
            told: Mutex::new(None),
        }
    }
}

fn find(live: &Live, deployment: &DeploymentId) -> Option<DeploymentIx> {
    let deployments = &live.config.runtime.snapshot.deployments;
    deployments
        .iter()
        .position(|one| one.id == *deployment)
        .map(DeploymentIx)
}

#[async_trait]
impl Traffic for OfGateway {
    fn new_declaration(&self) -> Option<Declaration> {
        let config = Arc::clone(&self.gateway.upgrade()?.live.load().config);
        let mut told = self.told.lock();
        if told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &config)) {
            return None;
        }
        let declaration = declaration::of(&config.runtime);
        *told = Some(config);
        match declaration {
            Ok(declaration) => Some(declaration),
            Err(error) => {
                DeclarationUnusable { error: &error }.emit();
                None
            }
        }
    }

    fn seen(&self) -> Vec<Seen> {
        let Some(gateway) = self.gateway.upgrade() else {
            return Vec::new();
        };
        let (live, now) = (gateway.live.load_full(), Instant::now());
        let configured = live.config.runtime.snapshot.deployments.iter().zip(&live.deployments);
        let known = |ms: i64| Some(ms).filter(|&ms| ms > 0);
        configured
            .map(|(configured, known_of)| Seen {
                deployment: configured.id.clone(),
                in_flight: known_of.state.in_flight.load(Ordering::Relaxed),
                is_drained: known_of.state.drained.get(now).is_some(),
                was_missed: known_of.state.was_missed.take(),
                was_needed: known_of.state.was_needed.take(),
                last_success_at_ms: known(known_of.state.last_success_at_ms.load(Ordering::Relaxed)),
                first_seen_ms: known(known_of.state.first_seen_ms.load(Ordering::Relaxed)),
            })
            .collect()
    }

    fn mark(&self, deployment: &DeploymentId, standing: Standing) {
        let Some(gateway) = self.gateway.upgrade() else { return };
        let live = gateway.live.load_full();
        let Some(deployment) = find(&live, deployment) else {
            return;
        };
        let state = &live.deployments[deployment.0].state;
        let before = state.absent.set(standing.absence);
        if before.is_some() && standing.absence.is_none() {
            state.health.lock().begin_anew(&live.rules, Instant::now());
        }
        state.absent.set_share(standing.share);
        if let Some(created_at_ms) = standing.created_at_ms {
            state.created_at_ms.store(created_at_ms, Ordering::Relaxed);
        }
    }

    fn steer(&self, deployment: &DeploymentId) {
        let Some(gateway) = self.gateway.upgrade() else { return };
        let live = gateway.live.load_full();
        if let Some(deployment) = find(&live, deployment) {
            live.deployments[deployment.0].state.wants_request.make();
        }
    }

    async fn call(&self, deployment: &DeploymentId) -> Result<Called, String> {
        let gateway = self.gateway.upgrade().ok_or("the gateway is ending")?;
        let live = gateway.live.load_full();
        let deployment = find(&live, deployment).ok_or("it is not configured any more")?;
        let called = keepalive::call(&gateway, &live, deployment).await;
        let used = called.map_err(|failed| failed.to_string())?;
        Ok(Called {
            prompt_tokens: used.prompt,
            completion_tokens: used.completion,
        })
    }
}
