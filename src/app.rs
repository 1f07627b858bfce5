//! Wiring: builds every part from a checked configuration, runs them, and ends them in order. The only place that knows all parts.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::admin::history::{EventQueries, HistoryQueries};
use crate::admin::{self, Stop};
use crate::app::handover::{HandoverError, Inherited, Offer};
use crate::app::known::{seed, seen};
use crate::app::logins::Logins;
use crate::app::money::{CountedStore, Prices};
use crate::app::state::ProcessState;
use crate::config::checked::{Checked, TraceSettings};
use crate::config::secrets::{Secret, Variables};
use crate::config::watch::ConfigWatch;
use crate::fleet::care::Board;
use crate::proxy::activity::{Activity, Phase};
use crate::proxy::body::ByteBudget;
use crate::proxy::connections::Connections;
use crate::proxy::front::ClientConnections;
use crate::proxy::misses::{MissLedger, MissWriter};
use crate::proxy::overload::{self, Overload};
use crate::proxy::pins::Pins;
use crate::proxy::refresh::CredentialRefresh;
use crate::proxy::state::Live;
use crate::proxy::{Gateway, listen};
use crate::storage::UsageStore;
use crate::storage::kept::ResponseStore;
use crate::storage::misses::MissStore;
use crate::storage::sqlite::SqliteStore;
use crate::storage::trace::recent::Recent;
use crate::storage::trace::{self, TraceOptions, TraceQueue, TraceWriter};
use crate::storage::writer::{QueueSettings, StoreChange, UsageWriter, usage_queue};
use crate::telemetry::clock;
use crate::telemetry::events::process;
use crate::telemetry::finished::FinishedQueue;
use crate::telemetry::journal::Journal;
use crate::telemetry::logging::LogGuard;
use crate::telemetry::metrics::Metrics;

mod api;
mod care;
mod configuration;
pub mod ending;
pub mod handover;
mod history;
mod known;
mod lives;
mod logins;
mod money;
mod otlp;
mod reload;
mod sources;
mod state;
pub mod systemd;
pub mod traffic;

/// Upstream HTTP/1.1 connections kept idle by the whole process: more than a busy gateway has requests running.
const IDLE_CONNECTIONS_MAX: usize = 4096;

/// How long connections that were accepted last have to become known: to start their tasks, and to shake hands where there is TLS.
/// Nothing tells when they have.
const LAST_ACCEPTED: Duration = Duration::from_millis(100);

/// The same where a successor serves already, so that waiting costs nobody anything: handshakes of distant clients.
const LAST_ACCEPTED_BEFORE_SUCCESSOR: Duration = Duration::from_secs(2);

/// How long clients' idle connections stay open after a successor took over, for their next request to be answered and told to go
/// elsewhere: longer than any may be idle.
const LINGER_MAX: Duration = Duration::from_secs(65);

/// How long a drain waits for a successor that has the sockets and is not ready.
const SUCCESSOR_MAX: Duration = Duration::from_secs(10);

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
    /// The listening sockets by their configured addresses, for a successor.
    sockets: Vec<(SocketAddr, TcpListener)>,
    offer: Option<Offer>,
    stop_traffic: watch::Sender<bool>,
    stop_admin: watch::Sender<Stop>,
    stop_misses: watch::Sender<bool>,
    accepting: JoinSet<()>,
    admin: JoinHandle<()>,
    writer: JoinHandle<()>,
    miss_writer: JoinHandle<()>,
    probe: JoinHandle<()>,
    trace_writer: Option<TraceWriter>,
    /// Who looks after the fleet, where that is wanted.
    care: Option<care::RunningCare>,
    lives: JoinHandle<()>,
    /// Who keeps what the configuration's file holds.
    versions: JoinHandle<()>,
    history: history::RunningHistory,
    /// What sends to a collector, where one is configured.
    otlp: Option<crate::otlp::running::RunningOtlp>,
    store: Arc<SqliteStore>,
    shutdown: crate::config::checked::Shutdown,
    watch: Option<ConfigWatch>,
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
    start_from(checked, source, log, None).await
}

/// The same with the sockets of an older process, as far as the configuration still names their addresses. They are in use when this
/// returns; saying so to the older one is left to the caller.
///
/// # Errors
/// As [`start`].
pub async fn start_from(
    checked: Arc<Checked>,
    source: Option<Source>,
    log: Option<Arc<LogGuard>>,
    mut inherited: Option<&mut Inherited>,
) -> anyhow::Result<Running> {
    // A second installation is refused, which is fine: the first was the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let install = checked.install.clone();
    let mut inherit = |address| inherited.as_mut().and_then(|inherited| inherited.take(address));
    let bound = listen::bind(&install.listeners, &mut inherit)?;
    let admin_listener = match inherit(install.admin.address) {
        Some(socket) => socket,
        None => listen::bind_address(install.admin.address)?,
    };
    let sockets = copies(&bound, install.admin.address, &admin_listener).context("cannot copy a listening socket")?;
    let addresses = bound.iter().map(|bound| bound.address).collect();
    let admin_address = admin_listener
        .local_addr()
        .context("the admin listener has no address")?;

    let store = Arc::new(SqliteStore::open(&install.usage.path).await?);
    let (gateway, writers) = build(&checked, &store).await?;
    let (consumers, otlp) = otlp::start(&gateway, &install)?;
    let logins = Logins::start(&gateway, install.azure.as_ref()).await?;
    let state = Arc::new(ProcessState::new(log));
    let configured = configuration::start(&gateway, &store, (&state, logins.as_ref()), checked, source.as_ref())?;
    let (stop_traffic, traffic_stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(Stop::No);
    let accepting = listen::serve(&gateway, bound, &traffic_stopped)?;
    let (stop_misses, misses_stopped) = watch::channel(false);
    let (board, orders) = (Arc::new(Board::empty()), Arc::default());
    let care = care::start(&gateway, &store, &install, (&board, &orders)).await?;
    let history = history::start(&gateway, &store, &writers.prices, consumers).await?;
    let known = sources::Known {
        prices: writers.prices,
        board,
        desk: configured.desk,
        history: Arc::clone(&history.answers),
        orders,
    };
    let admin = (&install.admin, admin_address.port());
    let sources = Arc::new(sources::admin_sources(&gateway, &state, known, &store, admin)?);
    let admin_listener = tokio::net::TcpListener::from_std(admin_listener)?;
    Ok(Running {
        admin: tokio::spawn(admin::serve(admin_listener, sources, admin_stopped)),
        writer: tokio::spawn(writers.usage.run()),
        miss_writer: tokio::spawn(writers.misses.run(misses_stopped)),
        probe: tokio::spawn(overload::probe(Arc::clone(&gateway))),
        trace_writer: writers.trace,
        care,
        lives: lives::start(&gateway, &store),
        versions: configured.keeping,
        history,
        otlp,
        gateway,
        addresses,
        admin_address,
        state,
        sockets,
        offer: None,
        stop_traffic,
        stop_admin,
        stop_misses,
        accepting,
        store,
        shutdown: install.shutdown,
        watch: configured.watch,
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

    /// What all its requests share.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// What its requests came to.
    pub fn history(&self) -> &dyn HistoryQueries {
        &*self.history.answers
    }

    /// What happened, in words.
    pub fn events(&self) -> &dyn EventQueries {
        &*self.history.answers
    }

    /// How many requests are running.
    pub fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.gateway.activity)
    }

    /// The watch on the configuration's file, if there is one.
    pub fn config_watch(&self) -> Option<&ConfigWatch> {
        self.watch.as_ref()
    }

    /// Offers the listening sockets to a successor that connects to this path; see [`handover`]. Of a process that took over itself, with
    /// `replace`.
    ///
    /// # Errors
    /// When another gateway offers there, or the path cannot be used.
    pub async fn offer_sockets(&mut self, path: &Path, replace: bool) -> Result<(), HandoverError> {
        let sockets = std::mem::take(&mut self.sockets);
        self.offer = Some(handover::offer(path, sockets, replace).await?);
        Ok(())
    }

    /// Resolves when a successor has taken the sockets and is ready; never where they are not offered.
    pub async fn has_successor(&self) {
        match &self.offer {
            Some(offer) => offer.taken().await,
            None => std::future::pending().await,
        }
    }

    /// Ends the gateway: says "not ready" for a while, stops accepting, lets running requests finish within the configured
    /// time, and writes every usage record.
    ///
    /// # Errors
    /// When usage records could not be written in time.
    pub async fn drain(mut self) -> anyhow::Result<()> {
        self.state.is_draining.store(true, Ordering::Release);
        process::ProcessChanged::Draining(self.gateway.activity.running()).emit(self.gateway.metrics.journal());
        self.gateway.activity.enter_phase(Phase::Leaving);
        // Load balancers must see that it is not ready before connections are refused.
        tokio::time::sleep(self.shutdown.delay).await;
        if let Some(offer) = &self.offer {
            // It has the sockets: what comes meanwhile waits for it, or comes here.
            let _ = tokio::time::timeout(SUCCESSOR_MAX, offer.settled()).await;
        }
        self.gateway.activity.enter_phase(Phase::Closing);
        self.stop_accepting(LAST_ACCEPTED).await;
        let limit = self.shutdown.drain;
        self.finish(limit).await
    }

    /// Ends the gateway after a successor took over: stops accepting at once, answers what comes on connections that are open and
    /// lets their clients go to the successor, then as [`Running::drain`].
    ///
    /// # Errors
    /// When usage records could not be written in time.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        self.state.has_successor.store(true, Ordering::Release);
        self.state.is_draining.store(true, Ordering::Release);
        process::ProcessChanged::Leaving(self.gateway.activity.running()).emit(self.gateway.metrics.journal());
        let begun = tokio::time::Instant::now();
        self.gateway.activity.enter_phase(Phase::Leaving);
        self.stop_admin.send_replace(Stop::Accepting);
        self.stop_accepting(LAST_ACCEPTED_BEFORE_SUCCESSOR).await;
        let linger = self.shutdown.drain.min(LINGER_MAX);
        let _ = tokio::time::timeout(linger, self.gateway.clients.none_open()).await;
        self.gateway.activity.enter_phase(Phase::Closing);
        let limit = self.shutdown.drain.saturating_sub(begun.elapsed());
        self.finish(limit).await
    }

    /// Accepts no connection any more, and waits until those that were accepted last are known, which takes them at most so long.
    async fn stop_accepting(&mut self, last: Duration) {
        // As long as anybody holds a copy, connections would be taken that nobody serves.
        self.offer = None;
        self.sockets.clear();
        self.stop_traffic.send_replace(true);
        while self.accepting.join_next().await.is_some() {}
        // Nothing tells when the last that were accepted are known.
        tokio::time::sleep(last).await;
    }
}

/// Copies of the listening sockets, by their configured addresses, in a fixed order: several may have port 0.
fn copies(
    bound: &[listen::Bound],
    admin_address: SocketAddr,
    admin: &TcpListener,
) -> std::io::Result<Vec<(SocketAddr, TcpListener)>> {
    let traffic = bound.iter().map(listen::Bound::copy);
    traffic
        .chain([admin.try_clone().map(|socket| (admin_address, socket))])
        .collect()
}

/// What empties the queues of a gateway, not running yet, and the prices that it counts by.
struct Writers {
    prices: Arc<Prices>,
    usage: UsageWriter,
    misses: MissWriter,
    trace: Option<TraceWriter>,
}

/// Builds what all requests share, with what the store remembers.
async fn build(checked: &Arc<Checked>, store: &Arc<SqliteStore>) -> anyhow::Result<(Arc<Gateway>, Writers)> {
    let install = &checked.install;
    let (capacity, keep_days) = (install.usage.queue, install.usage.keep_days);
    let (metrics, prices) = (Arc::new(Metrics::new()?), Arc::new(Prices::default()));
    let counted = CountedStore {
        store: Arc::clone(store),
        prices: Arc::clone(&prices),
        metrics: Arc::clone(&metrics),
    };
    let (usage, writer) = usage_queue(
        QueueSettings { capacity, keep_days },
        Arc::new(counted),
        clock::now_ms,
        {
            let metrics = Arc::clone(&metrics);
            Box::new(move |change| tell(change, metrics.journal()))
        },
    );
    let live = Live::build(Arc::clone(checked), &metrics, None)?;
    let known = store.deployments().await?;
    seed(&live, &known, clock::now_ms());
    let misses = MissLedger::new(&known, Instant::now());
    let miss_writer = MissWriter::new(&misses, Arc::clone(store) as Arc<dyn MissStore>, clock::now_ms);
    store.note_deployments(&seen(&live)).await?;
    let pins = Pins::load(Arc::clone(store) as Arc<dyn ResponseStore>).await?;
    let (trace, trace_writer) = start_trace(install.trace.as_ref())?.unzip();
    let gateway = Arc::new(Gateway {
        live: ArcSwap::from_pointee(live),
        clients: Arc::new(ClientConnections::default()),
        refresh: CredentialRefresh::default(),
        tokens: CredentialRefresh::default(),
        connections: Connections::start(IDLE_CONNECTIONS_MAX),
        budget: ByteBudget::new(checked.runtime.limits.held_bytes),
        metrics,
        usage,
        pins: Arc::new(pins),
        misses,
        trace,
        recent: Recent::new(install.admin.recent_requests),
        tracing: otlp::tracing(install),
        finished: FinishedQueue::default(),
        when_full: install.usage.when_full,
        activity: Arc::new(Activity::default()),
        overload: Overload::default(),
        drains: parking_lot::Mutex::default(),
        memory: crate::proxy::placing::Memory::default(),
    });
    prices.are_of(&gateway);
    let writers = Writers {
        prices,
        usage: writer,
        misses: miss_writer,
        trace: trace_writer,
    };
    Ok((gateway, writers))
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
    process::TraceBegun {
        path: &settings.path,
        share: settings.share,
        has_key: settings.key.is_some(),
    }
    .emit();
    Ok(Some(started))
}

/// Tells of changes of the usage store.
#[expect(clippy::needless_pass_by_value, reason = "the signature of an observer")]
fn tell(change: StoreChange<'_>, journal: &Journal) {
    match change {
        StoreChange::Failing { error } => process::UsageStoreFailing { error }.emit(journal),
        StoreChange::Recovered { failures, dropped } => {
            process::UsageStoreRecovered { failures, dropped }.emit(journal);
        }
    }
}
