//! Wiring: builds every part from a checked configuration, runs them, and ends them in order. The only place that knows all parts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::admin::{self, AlarmStatus, ConfigStatus, DeploymentStatus, FailureStatus, PoolStatus, Sources, Status};
use crate::config::checked::{Checked, TraceSettings};
use crate::config::secrets::{Secret, Variables};
use crate::config::watch::{self as config_watch, ConfigWatch, ReloadStatus};
use crate::proxy::activity::Activity;
use crate::proxy::body::ByteBudget;
use crate::proxy::connections::Connections;
use crate::proxy::front::ClientConnections;
use crate::proxy::misses::{MissLedger, MissWriter};
use crate::proxy::overload::{self, Overload};
use crate::proxy::state::Live;
use crate::proxy::{Gateway, explain, listen, view};
use crate::storage::misses::MissStore;
use crate::storage::sqlite::SqliteStore;
use crate::storage::trace::{self, TraceOptions, TraceQueue, TraceWriter};
use crate::storage::writer::{QueueSettings, StoreChange, UsageWriter, usage_queue};
use crate::storage::{DeploymentSeen, DeploymentTotals, UsageStore};
use crate::telemetry::clock;
use crate::telemetry::events::process;
use crate::telemetry::logging::LogGuard;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::view::FleetView;

/// Upstream HTTP/1.1 connections kept idle by the whole process: more than a busy gateway has requests running.
const IDLE_CONNECTIONS_MAX: usize = 4096;

/// How long connections that were accepted last have to become known: to start their tasks, and to shake hands where there is TLS.
/// Nothing tells when they have.
const LAST_ACCEPTED: Duration = Duration::from_millis(100);

/// How long the last usage records may take to be written at the end.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// How long running requests are given to be cut off in an orderly way when the drain's time is over.
const CUT_OFF_MAX: Duration = Duration::from_secs(1);

/// Where the configuration came from, for reloading it.
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// How its references are resolved.
    pub variables: Arc<Variables>,
}

/// A running gateway. Dropping it leaves requests and the usage writer to run until the runtime ends; [`Running::drain`] ends all in
/// order.
pub struct Running {
    gateway: Arc<Gateway>,
    addresses: Vec<SocketAddr>,
    admin_address: SocketAddr,
    state: Arc<ProcessState>,
    stop_traffic: watch::Sender<bool>,
    stop_admin: watch::Sender<bool>,
    accepting: JoinSet<()>,
    admin: JoinHandle<()>,
    writer: JoinHandle<()>,
    miss_writer: JoinHandle<()>,
    probe: JoinHandle<()>,
    trace_writer: Option<TraceWriter>,
    store: Arc<SqliteStore>,
    shutdown: crate::config::checked::Shutdown,
    watch: Option<ConfigWatch>,
}

/// What the admin listener tells of the process itself.
struct ProcessState {
    is_draining: AtomicBool,
    reload: ArcSwapOption<ArcSwap<ReloadStatus>>,
    started_at_ms: i64,
    log: Option<Arc<LogGuard>>,
}

/// Starts a gateway on the current runtime. Every address is bound when this returns. With a `source`, the configuration is
/// reloaded when its file changes and on SIGHUP.
///
/// # Errors
/// When an address is taken, a certificate or secret cannot be used, or the usage store cannot be opened.
pub async fn start(
    checked: Arc<Checked>,
    source: Option<Source>,
    log: Option<Arc<LogGuard>>,
) -> anyhow::Result<Running> {
    // A second installation is refused, which is fine: the first was the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let install = checked.install.clone();
    let bound = listen::bind(&install.listeners)?;
    let admin_listener = listen::bind_address(install.admin.address)?;
    let addresses = bound.iter().map(|bound| bound.address).collect();
    let admin_address = admin_listener
        .local_addr()
        .context("the admin listener has no address")?;

    let store = Arc::new(SqliteStore::open(&install.usage.path).await?);
    let (gateway, writers) = build(&checked, &store).await?;
    let state = Arc::new(ProcessState {
        is_draining: AtomicBool::new(false),
        reload: ArcSwapOption::empty(),
        started_at_ms: clock::now_ms(),
        log,
    });
    let watch = source
        .map(|source| watch_config(&gateway, &store, &state, checked, &source))
        .transpose()?;
    let (stop_traffic, traffic_stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);
    let accepting = listen::serve(&gateway, bound, &traffic_stopped)?;
    let miss_writer = tokio::spawn(writers.misses.run(admin_stopped.clone()));
    let sources = Arc::new(admin_sources(&gateway, &state, install.admin.token));
    let admin_listener = tokio::net::TcpListener::from_std(admin_listener)?;
    Ok(Running {
        admin: tokio::spawn(admin::serve(admin_listener, sources, admin_stopped)),
        writer: tokio::spawn(writers.usage.run()),
        miss_writer,
        probe: tokio::spawn(overload::probe(Arc::clone(&gateway))),
        trace_writer: writers.trace,
        gateway,
        addresses,
        admin_address,
        state,
        stop_traffic,
        stop_admin,
        accepting,
        store,
        shutdown: install.shutdown,
        watch,
    })
}

impl Running {
    /// Where clients connect, in the configuration's order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// How many requests are running.
    pub fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.gateway.activity)
    }

    /// The watch on the configuration's file, if there is one.
    pub fn config_watch(&self) -> Option<&ConfigWatch> {
        self.watch.as_ref()
    }

    /// Ends the gateway: says "not ready" for a while, stops accepting, lets running requests finish within the configured
    /// time, and writes every usage record.
    ///
    /// # Errors
    /// When usage records could not be written in time.
    pub async fn drain(mut self) -> anyhow::Result<()> {
        self.state.is_draining.store(true, Ordering::Release);
        tracing::info!(running = self.gateway.activity.running(), "draining");
        // Load balancers must see that it is not ready before connections are refused.
        tokio::time::sleep(self.shutdown.delay).await;
        self.stop_traffic.send_replace(true);
        while self.accepting.join_next().await.is_some() {}
        tokio::time::sleep(LAST_ACCEPTED).await;
        let drained = tokio::time::timeout(self.shutdown.drain, self.gateway.activity.none_running()).await;
        if drained.is_err() {
            let running = self.gateway.activity.running();
            let limit = self.shutdown.drain;
            process::RequestsCutOff { running, limit }.emit();
            self.gateway.activity.cut_off();
            let _ = tokio::time::timeout(CUT_OFF_MAX, self.gateway.activity.none_running()).await;
        }
        self.stop_admin.send_replace(true);
        let flushed = self.gateway.usage.flush(FLUSH_MAX).await;
        if let Err(lost) = &flushed {
            process::UsageRecordsLost { records: lost.left }.emit();
        }
        // It writes what is left once and ends; what that cannot write in time is no record of a request.
        let _ = tokio::time::timeout(FLUSH_MAX, self.miss_writer).await;
        if let Some(trace_writer) = self.trace_writer.take()
            && !trace_writer.finish(FLUSH_MAX).await
        {
            process::TraceCutOff.emit();
        }
        self.writer.abort();
        self.probe.abort();
        self.admin.abort();
        self.store.close().await?;
        tracing::info!("drained");
        Ok(flushed?)
    }
}

/// What empties the queues of a gateway, not running yet.
struct Writers {
    usage: UsageWriter,
    misses: MissWriter,
    trace: Option<TraceWriter>,
}

/// Builds what all requests share, with what the store remembers.
async fn build(checked: &Arc<Checked>, store: &Arc<SqliteStore>) -> anyhow::Result<(Arc<Gateway>, Writers)> {
    let install = &checked.install;
    let (capacity, keep_days) = (install.usage.queue, install.usage.keep_days);
    let (usage, writer) = usage_queue(
        QueueSettings { capacity, keep_days },
        Arc::clone(store) as Arc<dyn UsageStore>,
        clock::now_ms,
        Box::new(tell),
    );
    let metrics = Arc::new(Metrics::new()?);
    let live = Live::build(Arc::clone(checked), &metrics, None)?;
    let known = store.deployments().await?;
    seed(&live, &known, clock::now_ms());
    let misses = MissLedger::new(&known, Instant::now());
    let miss_writer = MissWriter::new(&misses, Arc::clone(store) as Arc<dyn MissStore>, clock::now_ms);
    store.note_deployments(&seen(&live)).await?;
    let (trace, trace_writer) = start_trace(install.trace.as_ref())?.unzip();
    let gateway = Gateway {
        live: ArcSwap::from_pointee(live),
        clients: Arc::new(ClientConnections::default()),
        connections: Connections::start(IDLE_CONNECTIONS_MAX),
        budget: ByteBudget::new(checked.runtime.limits.held_bytes),
        metrics,
        usage,
        misses,
        trace,
        when_full: install.usage.when_full,
        activity: Arc::new(Activity::default()),
        overload: Overload::default(),
        memory: crate::proxy::placing::Memory::default(),
    };
    let writers = Writers {
        usage: writer,
        misses: miss_writer,
        trace: trace_writer,
    };
    Ok((Arc::new(gateway), writers))
}

/// Begins the trace, if one is to be kept.
fn start_trace(settings: Option<&TraceSettings>) -> anyhow::Result<Option<(TraceQueue, TraceWriter)>> {
    let Some(settings) = settings else { return Ok(None) };
    let options = TraceOptions {
        path: settings.path.clone(),
        share: settings.share,
        key: settings.key.as_ref().map_or_else(rand::random, Secret::digest),
        rotate_bytes: settings.rotate_bytes as u64,
        keep: settings.keep,
    };
    let path = settings.path.display();
    let observer = Box::new(|error: Option<&std::io::Error>| process::TraceChanged { error }.emit());
    let started = trace::start(options, observer)
        .with_context(|| format!("cannot write the trace `{path}`; its folder must exist and be writable"))?;
    Ok(Some(started))
}

/// Tells of changes of the usage store.
#[expect(clippy::needless_pass_by_value, reason = "the signature of an observer")]
fn tell(change: StoreChange<'_>) {
    match change {
        StoreChange::Failing { error } => process::UsageStoreFailing { error }.emit(),
        StoreChange::Recovered { failures, dropped } => process::UsageStoreRecovered { failures, dropped }.emit(),
    }
}

/// Gives deployments that are new to this process what the store remembers of them; the others know better already.
fn seed(live: &Live, known: &[DeploymentTotals], now_ms: i64) {
    for (deployment, live) in live.config.runtime.snapshot.deployments.iter().zip(&live.deployments) {
        let known = known.iter().find(|known| known.deployment == deployment.id);
        let last_success = known.and_then(|known| known.last_success_at_ms).unwrap_or(0);
        live.state.last_success_at_ms.fetch_max(last_success, Ordering::Relaxed);
        live.state
            .note_first_seen(known.map_or(now_ms, |known| known.first_seen_ms));
    }
}

/// What the store should remember of the deployments, whether or not they are ever called.
fn seen(live: &Live) -> Vec<DeploymentSeen> {
    let deployments = live.config.runtime.snapshot.deployments.iter().zip(&live.deployments);
    deployments
        .map(|(deployment, live)| DeploymentSeen {
            deployment: deployment.id.clone(),
            seen_at_ms: live.state.first_seen_ms.load(Ordering::Relaxed),
            created_at_ms: deployment.created_at_ms,
            last_success_at_ms: None,
        })
        .collect()
}

/// Watches the configuration; a new one replaces the running picture at once.
fn watch_config(
    gateway: &Arc<Gateway>,
    store: &Arc<SqliteStore>,
    state: &Arc<ProcessState>,
    initial: Arc<Checked>,
    source: &Source,
) -> anyhow::Result<ConfigWatch> {
    let on_reload = {
        let (gateway, store) = (Arc::clone(gateway), Arc::clone(store));
        move |checked: Arc<Checked>| put_to_use(Arc::clone(&gateway), Arc::clone(&store), checked).boxed()
    };
    let watch = config_watch::spawn(
        &source.path,
        initial,
        Arc::clone(&source.variables),
        Box::new(on_reload),
    )?;
    state.reload.store(Some(watch.status()));
    count_reloads(gateway, &watch, source.path.clone());
    Ok(watch)
}

/// Replaces the running picture by that of another configuration.
///
/// # Errors
/// Why it cannot be used; the older one stays then.
async fn put_to_use(gateway: Arc<Gateway>, store: Arc<SqliteStore>, checked: Arc<Checked>) -> Result<(), String> {
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
    let deployments = seen(&live);
    gateway.budget.resize(live.config.runtime.limits.held_bytes);
    gateway.live.store(Arc::new(live));
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
        let mut generation = status.load().generation;
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
            generation = now.generation;
        }
    });
}

/// What the admin listener reads.
fn admin_sources(gateway: &Arc<Gateway>, state: &Arc<ProcessState>, token: Option<Secret>) -> Sources {
    let [for_metrics, for_status, for_explain] = std::array::from_fn(|_| Arc::clone(gateway));
    let (metrics_state, status_state) = (Arc::clone(state), Arc::clone(state));
    Sources {
        metrics: Box::new(move || {
            let now_ms = clock::now_ms();
            let view = full_view(&for_metrics, &metrics_state, now_ms);
            for_metrics
                .metrics
                .render(now_ms, &view)
                .map_err(|error| error.to_string())
        }),
        status: Box::new(move || status(&for_status, &status_state)),
        explain: Box::new(move |client, body, headers| {
            let moment = explain::Moment {
                now: Instant::now(),
                now_ms: clock::now_ms(),
            };
            match explain::explain(&for_explain, client, body, headers, moment) {
                // Structs of strings and numbers always serialise.
                Ok(explanation) => Ok(serde_json::to_vec(&explanation).unwrap_or_default()),
                Err(refused) => Err((refused.status, refused.body)),
            }
        }),
        token,
    }
}

fn full_view(gateway: &Gateway, state: &ProcessState, now_ms: i64) -> FleetView {
    let reload = state.config_status();
    FleetView {
        config_generation: reload.generation,
        config_reload_failed: reload.last_error.is_some(),
        log_lines_dropped: state.log.as_ref().map_or(0, |log| log.dropped_lines()),
        ..view::fleet_view(gateway, Instant::now(), now_ms)
    }
}

fn status(gateway: &Gateway, state: &ProcessState) -> Status {
    let view = view::fleet_view(gateway, Instant::now(), clock::now_ms());
    let is_draining = state.is_draining.load(Ordering::Acquire);
    Status {
        ready: !is_draining,
        draining: is_draining,
        version: env!("CARGO_PKG_VERSION"),
        requests_running: gateway.activity.running(),
        config: state.config_status(),
        pools: view
            .pools
            .into_iter()
            .map(|pool| PoolStatus {
                name: pool.pool.to_string(),
                deployments: pool.deployments,
                usable: pool.usable,
            })
            .collect(),
        deployments: view
            .deployments
            .into_iter()
            .map(|deployment| DeploymentStatus {
                name: deployment.deployment.to_string(),
                in_flight: deployment.in_flight,
                breaker: deployment.breaker.into(),
                alarm: deployment.alarm.map(AlarmStatus::from),
                limit_tokens_per_minute: deployment.limit_tokens_per_minute,
                limit_used: deployment.limit_used,
                cache_life_s: deployment.cache_life_s,
                cooling_until: deployment.cooling_until_ms.map(clock::rfc3339),
                cooling_until_ms: deployment.cooling_until_ms,
                last_success_at: deployment.last_success_at_ms.map(clock::rfc3339),
                last_success_at_ms: deployment.last_success_at_ms,
                deletion_at: deployment.deletion_at_ms.map(clock::rfc3339),
                deletion_at_ms: deployment.deletion_at_ms,
                last_failure: deployment.last_failure.map(|failure| FailureStatus {
                    at: clock::rfc3339(failure.at_ms),
                    outcome: failure.outcome.into(),
                    status: failure.status,
                }),
            })
            .collect(),
    }
}

impl ProcessState {
    fn config_status(&self) -> ConfigStatus {
        match self.reload.load_full() {
            Some(status) => {
                let status = status.load();
                ConfigStatus {
                    generation: status.generation,
                    loaded_at: clock::rfc3339(status.loaded_at_ms),
                    loaded_at_ms: status.loaded_at_ms,
                    last_error: status.last_error.clone(),
                }
            }
            None => ConfigStatus {
                generation: 1,
                loaded_at: clock::rfc3339(self.started_at_ms),
                loaded_at_ms: self.started_at_ms,
                last_error: None,
            },
        }
    }
}
