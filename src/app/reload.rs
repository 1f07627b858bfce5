//! Puts a changed configuration to use, and tells how that went.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::app::known::{seed, seen};
use crate::app::logins::Logins;
use crate::app::state::ProcessState;
use crate::app::{Source, systemd};
use crate::config::checked::Checked;
use crate::config::watch::{self as config_watch, ConfigWatch};
use crate::proxy::refresh::How;
use crate::proxy::state::Live;
use crate::proxy::{Gateway, drains};
use crate::storage::sqlite::SqliteStore;
use crate::storage::{DeploymentSeen, UsageStore as _};
use crate::telemetry::clock;
use crate::telemetry::events::process;

/// Watches the configuration; a new one replaces the running picture at once.
pub(super) fn watch_config(
    gateway: &Arc<Gateway>,
    store: &Arc<SqliteStore>,
    (state, logins): (&Arc<ProcessState>, Option<&Arc<Logins>>),
    initial: Arc<Checked>,
    source: &Source,
) -> anyhow::Result<ConfigWatch> {
    let on_reload = {
        let (gateway, store, logins) = (Arc::clone(gateway), Arc::clone(store), logins.cloned());
        move |checked: Arc<Checked>| {
            put_to_use(Arc::clone(&gateway), Arc::clone(&store), logins.clone(), checked).boxed()
        }
    };
    let watch = config_watch::spawn(
        &source.path,
        initial,
        Arc::clone(&source.variables),
        Box::new(on_reload),
    )?;
    state.reload.store(Some(watch.status()));
    gateway.refresh.by(How {
        ask: watch.credential_refused(),
        loaded: watch.attempts(),
    });
    count_reloads(gateway, &watch, source.path.clone());
    Ok(watch)
}

/// Replaces the running picture by that of another configuration.
///
/// # Errors
/// Why it cannot be used; the older one stays then.
async fn put_to_use(
    gateway: Arc<Gateway>,
    store: Arc<SqliteStore>,
    logins: Option<Arc<Logins>>,
    checked: Arc<Checked>,
) -> Result<(), String> {
    let previous = gateway.live.load_full();
    let live = Live::build(checked, &gateway.metrics, Some(&previous)).map_err(|error| error.to_string())?;
    if live.has_unknown_deployment() {
        let known = store.deployments().await.unwrap_or_else(|error| {
            // Not worth refusing a configuration for: the inactivity clock of a deployment that comes back starts anew.
            process::DeploymentHistoryFailing { error: &error }.emit();
            Vec::new()
        });
        seed(&live, &known, clock::now_ms());
    }
    if let Some(logins) = logins {
        logins.fill(&live).await;
    }
    let deployments = seen(&live);
    gateway.budget.resize(live.config.runtime.limits.held_bytes);
    drains::put_to_use(&gateway, live);
    remember(store, deployments);
    Ok(())
}

/// Writes down what the store should remember, beside the reload that brought it.
fn remember(store: Arc<SqliteStore>, deployments: Vec<DeploymentSeen>) {
    tokio::spawn(async move {
        if let Err(error) = store.note_deployments(&deployments).await {
            // Their first call is recorded in any case; until then their inactivity clock starts anew with the process.
            process::DeploymentHistoryFailing { error: &error }.emit();
        }
    });
}

/// Logs and counts every attempt to reload.
fn count_reloads(gateway: &Arc<Gateway>, watch: &ConfigWatch, path: PathBuf) {
    let (mut attempts, status) = (watch.attempts(), watch.status());
    let gateway = Arc::clone(gateway);
    tokio::spawn(async move {
        let (mut generation, mut was_refused) = (status.load().generation, false);
        while attempts.changed().await.is_ok() {
            let now = status.load();
            match &now.last_error {
                Some(error) => process::ConfigRefused { path: &path, error }.emit(&gateway.metrics),
                None if now.generation != generation => {
                    process::ConfigReloaded {
                        path: &path,
                        generation: now.generation,
                    }
                    .emit(&gateway.metrics);
                }
                None => {}
            }
            // A look at a file that means what it meant is nothing to tell.
            if now.generation != generation || now.last_error.is_some() || was_refused {
                systemd::reloaded(now.last_error.is_some());
            }
            (generation, was_refused) = (now.generation, now.last_error.is_some());
        }
    });
}
