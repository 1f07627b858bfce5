//! Reloads the configuration when its file changes or on SIGHUP, whole or not at all.
//!
//! A reload compiles the file, refuses changes that need a restart by naming them, and hands the new configuration to
//! a callback. Whatever goes wrong, the configuration in use stays, the status says so and the log says why.
//!
//! The file's *directory* is watched, so that editors that write a new file and rename it, and Kubernetes, which
//! swaps a symbolic link beside the file, are noticed. Any event there leads to one comparison of the file's
//! content after `DEBOUNCE`; unchanged content goes no further, so other files in the directory cost little. Files
//! behind `${file:…}` are not watched: after changing only those, send SIGHUP. So too where the file alone is mounted into
//! a container, since its changes cause no event in the directory there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::config::checked::Checked;
use crate::config::diff::{self, Change};
use crate::config::errors::ConfigErrors;
use crate::config::load;
use crate::config::secrets::Variables;
use crate::telemetry::events::process;

/// How long after a change the file is read. Writers use several steps; this waits for the last.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// How the latest reload went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadStatus {
    /// Counts configurations that were put to use, the first one included.
    pub generation: u64,
    /// When the configuration in use was loaded, in milliseconds since the Unix epoch.
    pub loaded_at_ms: i64,
    /// When loading was last tried, in milliseconds since the Unix epoch.
    pub last_attempt_ms: i64,
    /// Why the latest attempt failed; none when the file as it is now is in use.
    pub last_error: Option<String>,
    /// SHA-256 of the text that was tried last; none where it could not be read, and before the first attempt.
    pub tried: Option<[u8; 32]>,
}

/// Why a reload was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file does not compile.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
    /// It changes settings that are fixed at start.
    #[error("a restart is needed to change `{}`", .0.join("`, `"))]
    NeedsRestart(Vec<&'static str>),
    /// It compiles and could not be put to use all the same.
    #[error("the file compiles but cannot be put to use: {0}")]
    Unusable(String),
}

/// Puts a new configuration to use, or says why that cannot be done. It should do little more, since the next reload waits
/// for it.
pub type OnReload = Box<dyn Fn(Arc<Checked>) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Why the file cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The operating system refuses to report changes of the directory.
    #[error("cannot watch `{directory}` for changes")]
    Directory {
        /// The file's directory.
        directory: PathBuf,
        /// What it said.
        #[source]
        source: notify::Error,
    },
    /// SIGHUP cannot be received.
    #[error("cannot listen for SIGHUP")]
    Signal(#[source] std::io::Error),
}

/// A running watch; it ends when this is dropped.
#[derive(Debug)]
pub struct ConfigWatch {
    status: Arc<ArcSwap<ReloadStatus>>,
    attempts: watch::Receiver<u64>,
    ordered: Arc<Notify>,
    written: Arc<Notify>,
    refused: Arc<Notify>,
    task: JoinHandle<()>,
    /// Reports nothing once dropped.
    _watcher: RecommendedWatcher,
}

impl ConfigWatch {
    /// How the latest reload went, for health, metrics and the admin listener.
    pub fn status(&self) -> Arc<ArcSwap<ReloadStatus>> {
        Arc::clone(&self.status)
    }

    /// Counts attempts, successful or not, for those who wait for the next one.
    pub fn attempts(&self) -> watch::Receiver<u64> {
        self.attempts.clone()
    }

    /// Asks for a reload, as SIGHUP does, even if the file has not changed. Does not wait for it.
    pub fn reload(&self) {
        self.ordered.notify_one();
    }

    /// For whoever writes the file by way of this process.
    pub fn hand(&self) -> Hand {
        Hand {
            status: self.status(),
            attempts: self.attempts(),
            written: Arc::clone(&self.written),
        }
    }

    /// How to say that a credential was refused: the file and what it refers to are read, and put to use if they say anything else.
    pub fn credential_refused(&self) -> Box<dyn Fn() + Send + Sync> {
        let refused = Arc::clone(&self.refused);
        Box::new(move || refused.notify_one())
    }
}

/// Says that the file was written, and hears what came of it. Cloning gives another one.
#[derive(Debug, Clone)]
pub struct Hand {
    status: Arc<ArcSwap<ReloadStatus>>,
    attempts: watch::Receiver<u64>,
    written: Arc<Notify>,
}

impl Hand {
    /// How the latest reload went.
    pub fn status(&self) -> Arc<ReloadStatus> {
        self.status.load_full()
    }

    /// The file was just written with a text of this SHA-256: it is read at once, and put to use if it means anything else. How that went;
    /// none if the text was not tried within `limit`, as when somebody else wrote the file meanwhile.
    pub async fn written(&self, sha256: [u8; 32], limit: Duration) -> Option<Arc<ReloadStatus>> {
        let mut attempts = self.attempts.clone();
        self.written.notify_one();
        let tried = async {
            loop {
                let status = self.status();
                if status.tried == Some(sha256) {
                    return Some(status);
                }
                // An error means that the watch has ended.
                attempts.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, tried).await.ok().flatten()
    }

    /// Waits for the next attempt; false when there will be none.
    pub async fn next_attempt(&mut self) -> bool {
        self.attempts.changed().await.is_ok()
    }
}

impl Drop for ConfigWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts watching the file that `initial` was loaded from; must be called within a Tokio runtime. `on_reload` gets each
/// new configuration.
///
/// # Errors
/// When the operating system refuses to report changes or signals.
pub fn spawn(
    path: &Path,
    initial: Arc<Checked>,
    variables: Arc<Variables>,
    on_reload: OnReload,
) -> Result<ConfigWatch, WatchError> {
    let changed = Arc::new(Notify::new());
    let watcher = watch_directories(path, Arc::clone(&changed))?;
    let hangup = signal(SignalKind::hangup()).map_err(WatchError::Signal)?;
    // The file may have changed between being loaded and being watched.
    changed.notify_one();
    let now = now_ms();
    let status = Arc::new(ArcSwap::from_pointee(ReloadStatus {
        generation: 1,
        loaded_at_ms: now,
        last_attempt_ms: now,
        last_error: None,
        tried: None,
    }));
    let [ordered, written, refused] = std::array::from_fn(|_| Arc::new(Notify::new()));
    let (attempt_counter, attempts) = watch::channel(0);
    let reloader = Reloader {
        path: path.to_owned(),
        current: initial,
        variables,
        seen: Seen::Nothing,
        status: Arc::clone(&status),
        attempts: attempt_counter,
    };
    let causes = Causes {
        changed,
        ordered: Arc::clone(&ordered),
        written: Arc::clone(&written),
        refused: Arc::clone(&refused),
        hangup,
    };
    let task = tokio::spawn(run(reloader, causes, on_reload));
    Ok(ConfigWatch {
        status,
        attempts,
        ordered,
        written,
        refused,
        task,
        _watcher: watcher,
    })
}

/// Watches the file's directory and, where the file is a symbolic link, its target's.
fn watch_directories(path: &Path, changed: Arc<Notify>) -> Result<RecommendedWatcher, WatchError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let failed = |directory: &Path| {
        let directory = directory.to_owned();
        move |source| WatchError::Directory { directory, source }
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
        // Reading the file is an event too; reacting to it would never end.
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(_) => changed.notify_one(),
        Err(error) => {
            process::ConfigWatchFailing { error: &error }.emit();
            changed.notify_one();
        }
    })
    .map_err(failed(&directory))?;
    watcher
        .watch(&directory, RecursiveMode::NonRecursive)
        .map_err(failed(&directory))?;
    let target = path.canonicalize().ok();
    if let Some(target) = target.as_deref().and_then(Path::parent)
        && directory.canonicalize().is_ok_and(|directory| directory != target)
    {
        watcher
            .watch(target, RecursiveMode::NonRecursive)
            .map_err(failed(target))?;
    }
    Ok(watcher)
}

/// Where causes to read the file come from.
struct Causes {
    changed: Arc<Notify>,
    ordered: Arc<Notify>,
    written: Arc<Notify>,
    refused: Arc<Notify>,
    hangup: Signal,
}

async fn run(mut reloader: Reloader, mut causes: Causes, on_reload: OnReload) {
    loop {
        let cause = tokio::select! {
            () = causes.changed.notified() => {
                // A file is written in several steps, and nothing tells which is the last.
                tokio::time::sleep(DEBOUNCE).await;
                Cause::Changed
            }
            Some(()) = causes.hangup.recv() => Cause::Ordered,
            () = causes.ordered.notified() => Cause::Ordered,
            () = causes.written.notified() => Cause::Changed,
            () = causes.refused.notified() => Cause::CredentialRefused,
        };
        reloader = match tokio::task::spawn_blocking(move || reloader.attempt(cause)).await {
            Ok((mut reloader, Some(attempt))) => {
                reloader.conclude(attempt, &on_reload).await;
                reloader
            }
            Ok((reloader, None)) => reloader,
            Err(error) => {
                process::ReloadingStopped { error: &error }.emit();
                return;
            }
        };
    }
}

/// Why the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It may have changed.
    Changed,
    /// An operator wants it loaded, changed or not.
    Ordered,
    /// What it refers to may have changed: a resource refuses its credential.
    CredentialRefused,
}

/// What the file was when it was tried last.
#[derive(Debug, PartialEq)]
enum Seen {
    Nothing,
    Unreadable,
    /// Digest of its text.
    Text([u8; 32]),
}

impl Seen {
    fn digest(&self) -> Option<[u8; 32]> {
        match self {
            Self::Text(digest) => Some(*digest),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}

/// What came of trying to load the file.
enum Attempt {
    /// Another configuration, with what it changes.
    Fresh(Arc<Checked>, Vec<Change>),
    /// The file means what is in use already.
    Unchanged,
    Refused(ReloadError),
}

/// The state between reloads.
struct Reloader {
    path: PathBuf,
    current: Arc<Checked>,
    variables: Arc<Variables>,
    seen: Seen,
    status: Arc<ArcSwap<ReloadStatus>>,
    attempts: watch::Sender<u64>,
}

impl Reloader {
    /// Tries to load the file if there is cause to.
    fn attempt(mut self, cause: Cause) -> (Self, Option<Attempt>) {
        let text = load::read(&self.path);
        let seen = match &text {
            Ok(text) => Seen::Text(Sha256::digest(text).into()),
            Err(_) => Seen::Unreadable,
        };
        if cause == Cause::Changed && seen == self.seen {
            return (self, None);
        }
        self.seen = seen;
        let compiled = text
            .map_err(|problem| ConfigErrors {
                file: self.path.clone(),
                problems: vec![problem],
            })
            .and_then(|text| load::compile_text(&text, &self.path, &*self.variables));
        let attempt = match compiled.map_err(ReloadError::from).and_then(|fresh| self.admit(fresh)) {
            Ok((fresh, changes)) if cause == Cause::Ordered || !changes.is_empty() => Attempt::Fresh(fresh, changes),
            Ok(_) => Attempt::Unchanged,
            Err(error) => Attempt::Refused(error),
        };
        (self, Some(attempt))
    }

    /// Lets a compiled configuration in unless it changes what only a restart can.
    fn admit(&self, fresh: Checked) -> Result<(Arc<Checked>, Vec<Change>), ReloadError> {
        let fixed = diff::needs_restart(&self.current.install, &fresh.install);
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed));
        }
        let changes = diff::changes(&self.current.runtime, &fresh.runtime);
        Ok((Arc::new(fresh), changes))
    }

    /// Puts the new configuration to use, if there is one, and then shows how the attempt went.
    async fn conclude(&mut self, attempt: Attempt, on_reload: &OnReload) {
        let outcome = match attempt {
            Attempt::Unchanged => {
                if self.status.load().last_error.is_some() {
                    process::ConfigRestored { path: &self.path }.emit();
                }
                Ok(self.unchanged_status(None))
            }
            Attempt::Refused(error) => Err(error),
            Attempt::Fresh(fresh, changes) => match on_reload(Arc::clone(&fresh)).await {
                Ok(()) => Ok(self.accept(fresh, &changes)),
                Err(why) => Err(ReloadError::Unusable(why)),
            },
        };
        self.publish(outcome.unwrap_or_else(|error| self.unchanged_status(Some(error.to_string()))));
    }

    fn accept(&mut self, fresh: Arc<Checked>, changes: &[Change]) -> ReloadStatus {
        let now = now_ms();
        let generation = self.status.load().generation + 1;
        for change in changes {
            tracing::info!(generation, "{change}");
        }
        for warning in &fresh.warnings {
            process::ConfigDoubtful { generation, warning }.emit();
        }
        self.current = fresh;
        ReloadStatus {
            generation,
            loaded_at_ms: now,
            last_attempt_ms: now,
            last_error: None,
            tried: self.seen.digest(),
        }
    }

    /// The status when the configuration in use stays.
    fn unchanged_status(&self, last_error: Option<String>) -> ReloadStatus {
        let status = self.status.load();
        ReloadStatus {
            generation: status.generation,
            loaded_at_ms: status.loaded_at_ms,
            last_attempt_ms: now_ms(),
            last_error,
            tried: self.seen.digest(),
        }
    }

    /// Shows how the attempt went, after the new configuration is in use.
    fn publish(&self, status: ReloadStatus) {
        self.status.store(Arc::new(status));
        self.attempts.send_modify(|count| *count += 1);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an edge: the time is only shown, nothing is decided by it"
)]
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
