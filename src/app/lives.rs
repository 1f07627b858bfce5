//! What gateways on one usage file tell each other, each hour: which deployments are configured that no control plane is asked about,
//! since nothing else tells that they are there, and when deployments last answered, so that an idle one is called by one gateway only.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::app::seed;
use crate::config::checked::Checked;
use crate::core::ledger::life::{Sighting, There};
use crate::proxy::Gateway;
use crate::storage::UsageStore as _;
use crate::storage::lives::LifeStore as _;
use crate::storage::sqlite::SqliteStore;
use crate::telemetry::clock;
use crate::telemetry::events::care::LivesFailing;
use crate::telemetry::events::process::DeploymentHistoryFailing;

/// How often. A deployment that leaves the configuration is reckoned until the last time before.
const EVERY: Duration = Duration::from_hours(1);

/// Starts it; the first time is at once. It ends with the gateway.
pub(super) fn start(gateway: &Arc<Gateway>, store: &Arc<SqliteStore>) -> JoinHandle<()> {
    let (gateway, store): (Weak<Gateway>, _) = (Arc::downgrade(gateway), Arc::clone(store));
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(live) = gateway.upgrade().map(|gateway| gateway.live.load_full()) else {
                return;
            };
            let seen = configured(&live.config, clock::now_ms());
            if let Err(error) = store.note_lives(&seen).await {
                LivesFailing { error: &error }.emit();
            }
            match store.deployments().await {
                Ok(known) => seed(&live, &known, clock::now_ms()),
                Err(error) => DeploymentHistoryFailing { error: &error }.emit(),
            }
        }
    })
}

/// What a configuration says is there. Where its account is looked at, only looks count.
fn configured(config: &Checked, now_ms: i64) -> Vec<Sighting> {
    let (snapshot, care) = (&config.runtime.snapshot, &config.runtime.care);
    let deployments = snapshot.deployments.iter();
    let is_looked_at = |resource: usize| {
        let account = care.accounts.get(resource).and_then(Option::as_ref);
        config.install.azure.is_some() && account.is_some()
    };
    deployments
        .filter(|deployment| !is_looked_at(deployment.resource.0))
        .map(|deployment| Sighting {
            deployment: deployment.id.clone(),
            at_ms: now_ms,
            there: Some(There {
                created_at_ms: deployment.created_at_ms,
                sku: deployment.sku,
                capacity: deployment.capacity,
            }),
        })
        .collect()
}
