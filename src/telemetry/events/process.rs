//! What happens to the process itself: its configuration, its usage store, its end.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use strum::{AsRefStr, IntoStaticStr, VariantArray};
use tracing::{debug, error, info, warn};

use crate::telemetry::events::lines::{Causes, OneLine};
use crate::telemetry::journal::{EventKind, Journal, Note, Severity};
use crate::telemetry::metrics::Metrics;

// === Configuration ===

/// A new configuration is in use.
#[derive(Debug)]
pub struct ConfigReloaded<'a> {
    /// The file.
    pub path: &'a Path,
    /// How many configurations have been in use, this one included.
    pub generation: u64,
}

impl ConfigReloaded<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.journal().note(self.note());
        metrics.config_reloads.with_label_values(&["loaded"]).inc();
        info!(path = %self.path.display(), generation = self.generation, "configuration reloaded");
    }
}

/// A changed configuration was refused; the older one stays in use.
#[derive(Debug)]
pub struct ConfigRefused<'a> {
    /// The file.
    pub path: &'a Path,
    /// Why, each mistake on a line of its own.
    pub error: &'a str,
}

impl ConfigRefused<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.journal().note(self.note());
        metrics.config_reloads.with_label_values(&["refused"]).inc();
        error!(path = %self.path.display(), error = %OneLine(&self.error), "configuration refused, the older one stays in use");
    }
}

/// The file had been refused, and now means what is in use again.
#[derive(Debug)]
pub struct ConfigRestored<'a> {
    /// The file.
    pub path: &'a Path,
}

impl ConfigRestored<'_> {
    /// Logs it.
    pub fn emit(&self) {
        info!(path = %self.path.display(), "configuration is again the one in use");
    }
}

/// Something in a new configuration is legal but probably not meant.
pub struct ConfigDoubtful<'a> {
    /// Which configuration.
    pub generation: u64,
    /// What.
    pub warning: &'a dyn fmt::Display,
}

impl ConfigDoubtful<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(generation = self.generation, "{}", OneLine(self.warning));
    }
}

/// The operating system's watch on the configuration reported an error; the file is looked at all the same.
#[derive(Debug)]
pub struct ConfigWatchFailing<'a> {
    /// What it said.
    pub error: &'a (dyn Error + 'static),
}

impl ConfigWatchFailing<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(error = %Causes(self.error), "the watch on the configuration reported an error");
    }
}

/// The admin listener could not accept a connection, most likely because too many files are open.
#[derive(Debug)]
pub struct AdminAcceptFailed<'a> {
    /// Why.
    pub error: &'a std::io::Error,
}

impl AdminAcceptFailed<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(error = %self.error, "the admin listener cannot accept a connection");
    }
}

/// The task that reloads has ended.
#[derive(Debug)]
pub struct ReloadingStopped<'a> {
    /// Why.
    pub error: &'a (dyn Error + 'static),
}

impl ReloadingStopped<'_> {
    /// Logs it.
    pub fn emit(&self) {
        error!(error = %Causes(self.error), "reloading stopped: restart to change the configuration");
    }
}

// === Usage store ===

/// Writing usage records has begun to fail.
#[derive(Debug)]
pub struct UsageStoreFailing<'a> {
    /// Why.
    pub error: &'a (dyn Error + 'static),
}

impl UsageStoreFailing<'_> {
    /// Logs it; failures are counted by the queue itself.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        error!(error = %Causes(self.error), "usage store fails; records wait in memory and are tried again");
    }
}

/// The usage store works again.
#[derive(Debug)]
pub struct UsageStoreRecovered {
    /// How many tries had failed.
    pub failures: u32,
    /// Records lost meanwhile because the queue was full.
    pub dropped: u64,
}

impl UsageStoreRecovered {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        info!(
            failures = self.failures,
            dropped = self.dropped,
            "usage store works again"
        );
    }
}

/// Writing misses has begun to fail.
#[derive(Debug)]
pub struct MissStoreFailing<'a> {
    /// Why.
    pub error: &'a (dyn Error + 'static),
}

impl MissStoreFailing<'_> {
    /// Logs it. No money is charged by them, so it is no error; records of requests go to the same file and tell of it themselves.
    pub fn emit(&self) {
        warn!(error = %Causes(self.error), "cannot write why prompts were not cached; tried again every ten seconds");
    }
}

/// A trace of what comes is written from now on.
#[derive(Debug)]
pub struct TraceBegun<'a> {
    /// Its file.
    pub path: &'a Path,
    /// Share of conversations that are in it.
    pub share: f64,
    /// Whether the key of its hashes is configured.
    pub has_key: bool,
}

impl TraceBegun<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let key = if self.has_key {
            "configured"
        } else {
            "random: cannot be joined with traces of other gateways, or of another start"
        };
        info!(path = %self.path.display(), share = self.share, key, "a trace is written");
    }
}

/// The process ends before the trace was written.
#[derive(Debug)]
pub struct TraceCutOff;

impl TraceCutOff {
    /// Logs it.
    pub fn emit(&self) {
        warn!("the end of the trace was not written in time and is lost");
    }
}

/// The trace's file cannot be written, or can be again.
#[derive(Debug)]
pub struct TraceChanged<'a> {
    /// Why it cannot; none when it can be again.
    pub error: Option<&'a std::io::Error>,
}

impl TraceChanged<'_> {
    /// Logs it; what is lost is counted.
    pub fn emit(&self) {
        if let Some(error) = self.error {
            warn!(%error, "cannot write the trace; its records are lost until that is mended");
        } else {
            info!("the trace is written again");
        }
    }
}

/// What the usage store knows of deployments, beside their records, could not be read or written.
#[derive(Debug)]
pub struct DeploymentHistoryFailing<'a> {
    /// Why.
    pub error: &'a (dyn Error + 'static),
}

impl DeploymentHistoryFailing<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(
            error = %Causes(self.error),
            "cannot read or write what is known of deployments; the inactivity clock of new ones starts now"
        );
    }
}

/// The process ends with usage records unwritten.
#[derive(Debug)]
pub struct UsageRecordsLost {
    /// How many.
    pub records: u64,
}

impl UsageRecordsLost {
    /// Logs it.
    pub fn emit(&self) {
        error!(
            records = self.records,
            "usage records were not written in time and are lost"
        );
    }
}

// === The process ===

/// The process serves, or begins to end.
#[derive(Debug)]
pub enum ProcessChanged {
    /// It has started.
    Started,
    /// It was told to stop, with so many requests running.
    Draining(usize),
    /// A successor serves, and it ends, with so many requests running.
    Leaving(usize),
}

impl ProcessChanged {
    /// Logs and notes it.
    pub fn emit(&self, journal: &Journal) {
        let text = match self {
            Self::Started => format!("the gateway has started, version {}", env!("CARGO_PKG_VERSION")),
            Self::Draining(running) => {
                info!(running, "draining");
                format!("the gateway was told to stop: it drains, with {running} requests running")
            }
            Self::Leaving(running) => {
                info!(running, "leaving to the successor");
                format!("a successor serves: the gateway ends, with {running} requests running")
            }
        };
        journal.note(Note::new(Severity::Info, EventKind::Process, text));
    }
}

// === The end ===

/// The time of a drain is over, and requests still run.
#[derive(Debug)]
pub struct RequestsCutOff {
    /// How many.
    pub running: usize,
    /// The time they had.
    pub limit: Duration,
}

impl RequestsCutOff {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        warn!(
            running = self.running,
            limit_s = self.limit.as_secs_f64(),
            "requests still running are cut off"
        );
    }
}

/// How a request ends that is cut off, for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CutEnd {
    /// A stream, by an error event.
    ErrorEvent,
    /// A request without an answer, by a 503.
    Refused,
    /// Any other answer that had begun, and a stream whose client takes nothing: by the connection's end.
    ConnectionClosed,
}

/// A running request was cut off since a drain's time is over.
#[derive(Debug)]
pub struct RequestCutOff<'a> {
    /// Which.
    pub request_id: &'a str,
    /// How.
    pub end: CutEnd,
}

impl RequestCutOff<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let end = self.end.as_ref();
        metrics.requests_cut_off.with_label_values(&[end]).inc();
        debug!(request_id = self.request_id, end, "request cut off");
    }
}

/// A drain has cut requests off, and this is what their clients saw.
#[derive(Debug)]
pub struct CutOffDone<'a> {
    /// Where they were counted.
    pub metrics: &'a Metrics,
    /// Requests that end with the process, without a word.
    pub left: usize,
}

impl CutOffDone<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let count = |end: CutEnd| self.metrics.requests_cut_off.with_label_values(&[end.as_ref()]).get();
        warn!(
            error_events = count(CutEnd::ErrorEvent),
            refused = count(CutEnd::Refused),
            connections_closed = count(CutEnd::ConnectionClosed),
            left = self.left,
            "requests were cut off"
        );
    }
}

/// The process ends before something was done that it does last; no usage record is among it.
#[derive(Debug)]
pub struct EndCutShort {
    /// What.
    pub what: &'static str,
}

impl EndCutShort {
    /// Logs it.
    pub fn emit(&self) {
        warn!(what = self.what, "not done in time at the end, and given up");
    }
}

// === A successor ===

/// Another process has asked for the listening sockets.
#[derive(Debug)]
pub struct SuccessorCame {
    /// Its process id, if the system tells.
    pub pid: Option<i32>,
}

impl SuccessorCame {
    /// Logs it.
    pub fn emit(&self) {
        info!(pid = self.pid, "a successor took the listening sockets and starts");
    }
}

/// A successor ended, or went wrong, before it was ready.
#[derive(Debug)]
pub struct SuccessorFailed<'a> {
    /// How.
    pub error: &'a (dyn Error + 'static),
}

impl SuccessorFailed<'_> {
    /// Logs it.
    pub fn emit(&self) {
        error!(error = %Causes(self.error), "no successor took over; this process goes on serving");
    }
}

/// The process cannot be replaced in place.
#[derive(Debug)]
pub struct UpgradeNotOffered<'a> {
    /// Why.
    pub error: &'a (dyn Error + 'static),
}

impl UpgradeNotOffered<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(error = %Causes(self.error), "this process cannot be replaced without refused connections");
    }
}

/// The service manager cannot be told.
#[derive(Debug)]
pub struct ManagerNotTold<'a> {
    /// What.
    pub what: &'static str,
    /// Why not.
    pub error: &'a std::io::Error,
}

impl ManagerNotTold<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(what = self.what, error = %self.error, "cannot tell the service manager");
    }
}

// === Drains by an operator ===

/// What became of an operator's drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub enum DrainChange {
    /// It began, or got another end.
    Began,
    /// It was undone.
    Undone,
    /// Its time is over.
    Expired,
    /// What it names is no longer configured.
    Forgotten,
}

/// A deployment, resource or region was taken out, or put back.
#[derive(Debug)]
pub struct DrainChanged<'a> {
    /// Of which kind the name is.
    pub kind: &'static str,
    /// Which.
    pub name: &'a str,
    /// What became of it.
    pub change: DrainChange,
    /// How long it is to last, where it began and has an end.
    pub lasting: Option<Duration>,
}

impl DrainChanged<'_> {
    /// Logs it.
    pub fn emit(&self, journal: &Journal) {
        journal.note(self.note());
        info!(
            kind = self.kind,
            name = self.name,
            change = self.change.as_ref(),
            for_s = self.lasting.map(|lasting| lasting.as_secs_f64()),
            "drain"
        );
    }
}
