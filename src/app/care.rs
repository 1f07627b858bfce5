//! Starts whoever looks after the fleet, where the configuration says how Azure's control plane is reached.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::traffic::OfGateway;
use crate::azure::transport::Http;
use crate::config::checked::azure::AzureSettings;
use crate::config::checked::{AlertSettings, Install};
use crate::core::fleet::catalogue::{self, Catalogue};
use crate::fleet::alerts::Alerts;
use crate::fleet::audit::Audit;
use crate::fleet::care::orders::Orders;
use crate::fleet::care::{Board, Care, Partners, Settings};
use crate::fleet::connect;
use crate::fleet::plane::patience_of_writes;
use crate::proxy::Gateway;
use crate::storage::sqlite::SqliteStore;
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;

/// How often Azure is looked at: a new or lost deployment is known within this, and ARM allows a subscription far more.
const LOOK_EVERY_MS: i64 = 2 * 60_000;

/// The running task.
pub(super) struct RunningCare {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts it where there is a control plane. Nothing is sent to Azure before this returns.
///
/// # Errors
/// When a credential's files cannot be read, or the store does not tell what an earlier process had begun.
pub(super) async fn start(
    gateway: &Arc<Gateway>,
    store: &Arc<SqliteStore>,
    install: &Install,
    (board, orders): (&Arc<Board>, &Arc<Orders>),
) -> anyhow::Result<Option<RunningCare>> {
    let Some(azure) = &install.azure else { return Ok(None) };
    let alerts = start_alerts(install.alerts.as_ref(), azure, &gateway.metrics)?;
    let audit = Audit::new(Arc::clone(store) as _, "emberway run".to_owned(), |failing| {
        failing.emit();
    });
    let arm = connect::arm_with(azure, Some(Arc::new(audit)), patience_of_writes())
        .context("cannot reach Azure's control plane")?;
    let settings = Settings {
        look_every_ms: LOOK_EVERY_MS,
        process: format!("{} {} {:016x}", replica(), std::process::id(), rand::random::<u64>()),
        replica: replica(),
    };
    let partners = Partners {
        arm: Arc::new(arm),
        traffic: Arc::new(OfGateway::new(gateway)),
        notes: Arc::clone(store) as _,
        lives: Arc::clone(store) as _,
        leases: Arc::clone(store) as _,
        usage: Arc::clone(store) as _,
        metrics: Arc::clone(&gateway.metrics),
        board: Arc::clone(board),
        orders: Arc::clone(orders),
        alerts,
        catalogue: Catalogue::parse(catalogue::EMBEDDED)?,
        now_ms: Arc::new(clock::now_ms),
    };
    let care = Care::new(settings, partners).await?;
    let (stop, stopped) = watch::channel(false);
    Ok(Some(RunningCare {
        stop,
        task: tokio::spawn(care.run(stopped)),
    }))
}

/// Begins to tell people, where the configuration says whom.
fn start_alerts(
    settings: Option<&AlertSettings>,
    azure: &AzureSettings,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Alerts>> {
    let Some(settings) = settings else { return Ok(None) };
    let http = Http::new(azure.ca.as_deref()).context("cannot send alerts")?;
    // Its task ends with the last that puts alerts in.
    let (alerts, _task) = Alerts::start(settings, http, replica(), Arc::clone(metrics));
    Ok(Some(alerts))
}

/// The machine's name: what tells replicas apart.
fn replica() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    named.trim().to_owned()
}

impl RunningCare {
    /// Ends it: it leaves what it is at, which is in the store, and gives its lease back within this time, or without it. Whether it was in
    /// time.
    pub(super) async fn end(self, most: Duration) -> bool {
        self.stop.send_replace(true);
        // Beyond its time the task is dropped with the runtime.
        tokio::time::timeout(most, self.task).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_end_says_whether_it_was_in_time() {
        let most = Duration::from_secs(5);
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let told = stopped.wait_for(|stopped| *stopped).await;
            assert!(told.is_ok_and(|told| *told), "told to end");
        });
        assert!(RunningCare { stop, task }.end(most).await);
        let stuck = RunningCare {
            stop: watch::Sender::new(false),
            task: tokio::spawn(pending()),
        };
        assert!(!stuck.end(most).await);
    }
}
