//! What the process knows of itself, for whoever asks and for reloads.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::config::watch::ReloadStatus;
use crate::telemetry::clock;
use crate::telemetry::logging::LogGuard;

/// What the admin listener tells of the process itself.
pub(super) struct ProcessState {
    pub(super) is_draining: AtomicBool,
    pub(super) has_successor: AtomicBool,
    pub(super) reload: ArcSwapOption<ArcSwap<ReloadStatus>>,
    pub(super) started_at_ms: i64,
    pub(super) log: Option<Arc<LogGuard>>,
}

impl ProcessState {
    /// Of one that starts now.
    pub(super) fn new(log: Option<Arc<LogGuard>>) -> Self {
        Self {
            is_draining: AtomicBool::new(false),
            has_successor: AtomicBool::new(false),
            reload: ArcSwapOption::empty(),
            started_at_ms: clock::now_ms(),
            log,
        }
    }
}
