//! The end of a process, after its last request: what is done, in which order, and for how long at most.
//!
//! First whoever looks after the fleet leaves what it is at, which is in the store, and gives its lease back, so that another gateway goes
//! on at once. Usage records do not wait for that: their writer goes on meanwhile, some times a second, as it does all the time. Then they
//! are waited for, those of calls for the fleet among them. All that follows shares one deadline, side by side: a collector that does not
//! answer takes no time from a store that does, and neither keeps the process beyond [`BEYOND_DRAIN_MAX`], which is what service managers
//! are to be told. What was given up is named in the log.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::{LAST_ACCEPTED, Running};
use crate::admin::Stop;
use crate::telemetry::batch;
use crate::telemetry::events::process;

/// How long running requests are given to be cut off in an orderly way when the drain's time is over.
const CUT_OFF_MAX: Duration = Duration::from_secs(1);

/// How long whoever looks after the fleet may take to leave that and give its lease back.
pub const CARE_MAX: Duration = Duration::from_secs(5);

/// How long the last usage records may take to be written.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// How long all the rest may take together: history, misses, the trace, what is sent to a collector, and closing the store.
const REST_MAX: Duration = Duration::from_secs(5);

/// How long threads are waited for that still read a file or look a name up. Nothing depends on them any more.
pub const THREADS_MAX: Duration = Duration::from_millis(500);

/// How much longer than `shutdown.delay` and `shutdown.drain` the process lives at most once it was told to stop; with a successor that
/// has the sockets and is not ready, [`SUCCESSOR_MAX`](super::SUCCESSOR_MAX) more. The manual, the unit of systemd and a test say so.
pub const BEYOND_DRAIN_MAX: Duration = LAST_ACCEPTED
    .saturating_add(CUT_OFF_MAX)
    .saturating_add(CARE_MAX)
    .saturating_add(FLUSH_MAX)
    .saturating_add(REST_MAX)
    .saturating_add(THREADS_MAX)
    .saturating_add(batch::LAST_MAX);

impl Running {
    /// Lets running requests finish within a limit, and writes what is to be written.
    pub(super) async fn finish(mut self, limit: Duration) -> anyhow::Result<()> {
        self.end_requests(limit).await;
        self.stop_admin.send_replace(Stop::Serving);
        if let Some(care) = self.care.take() {
            in_time("giving back the lease of the fleet", care.end(CARE_MAX).await);
        }
        self.stop_misses.send_replace(true);
        // Before all that follows what is billed by: whoever ends the process before the rest is done takes none of it.
        let flushed = self.gateway.usage.flush(FLUSH_MAX).await;
        if let Err(lost) = &flushed {
            process::UsageRecordsLost { records: lost.left }.emit();
        }
        self.end_the_rest(Instant::now() + REST_MAX).await?;
        tracing::info!("drained");
        Ok(flushed?)
    }

    async fn end_requests(&self, limit: Duration) {
        let activity = &self.gateway.activity;
        if timeout(limit, activity.none_running()).await.is_ok() {
            return;
        }
        let running = activity.running();
        let limit = self.shutdown.drain;
        process::RequestsCutOff { running, limit }.emit(self.gateway.metrics.journal());
        activity.cut_off();
        let _ = timeout(CUT_OFF_MAX, activity.none_running()).await;
        process::CutOffDone {
            metrics: &self.gateway.metrics,
            left: activity.running(),
        }
        .emit();
    }

    /// Writes, sends and closes what there is besides usage, all of it until one moment.
    ///
    /// # Errors
    /// When the store cannot be closed; that it is not in time is no error, since nothing is lost by it.
    async fn end_the_rest(self, until: Instant) -> anyhow::Result<()> {
        let (otlp, store) = (self.otlp, self.store);
        let handed_on = async {
            let unwritten = self.history.hand_on_last(until).await;
            let sending = async {
                if let Some(otlp) = otlp {
                    in_time("sending to the collector", otlp.end(left(until)).await);
                }
            };
            let closing = async {
                // It writes what is left once and ends; what that cannot write in time is no record of a request.
                let misses = async { in_time("misses", timeout_at(until, self.miss_writer).await.is_ok()) };
                tokio::join!(unwritten.write_last(until), misses);
                for keeps_writing in [self.writer, self.lives, self.versions] {
                    keeps_writing.abort();
                }
                let closed = timeout_at(until, store.close()).await;
                in_time("closing the usage store", closed.is_ok());
                closed.unwrap_or(Ok(()))
            };
            tokio::join!(closing, sending).0
        };
        let tracing = async {
            if let Some(writer) = self.trace_writer
                && !writer.finish(left(until)).await
            {
                process::TraceCutOff.emit();
            }
        };
        let (closed, ()) = tokio::join!(handed_on, tracing);
        self.probe.abort();
        self.admin.abort();
        Ok(closed?)
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Tells of what was not done in time.
pub(super) fn in_time(what: &'static str, is_done: bool) {
    if !is_done {
        process::EndCutShort { what }.emit();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::SUCCESSOR_MAX;
    use super::*;
    use crate::config::load;

    const SMALL: &str = "listeners: [{ address: 127.0.0.1:0 }]\nclients: [{ name: c, keys: ['${env:KEY}'] }]\nresources:\n  - { name: r, \
        region: x, endpoint: 'http://127.0.0.1:1', credential: { api_key: '${env:KEY}' }, deployments: [{ name: a, sku: Standard, capacity: 1 }] }\n\
        pools: [{ name: p, tiers: [[r/a]] }]\nroutes: [{ name: r, pool: p }]\n";

    #[test]
    fn the_manual_and_the_unit_give_the_process_all_the_time_that_it_may_take() {
        let read = |path| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            std::fs::read_to_string(path).expect("a file of the repository")
        };
        let beyond_s = BEYOND_DRAIN_MAX.as_secs_f64().ceil();
        let stated = format!("`delay` + `drain` + {beyond_s} s");
        let manual = read("docs/operations.md");
        assert_eq!(
            manual.matches(&stated).count(),
            3,
            "{stated}: signals, systemd, container"
        );

        let variables = |_: &str| Some("a-secret-of-sufficient-length".to_owned());
        let checked = load::compile_text(SMALL, Path::new("small.yaml"), &variables).expect("compiles");
        let shutdown = checked.install.shutdown;
        let needed = shutdown.delay + shutdown.drain + SUCCESSOR_MAX + BEYOND_DRAIN_MAX;
        let unit = read("packaging/emberway.service");
        let given = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
        let given = given.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        assert!(given.is_some_and(|given| given >= needed), "{given:?} for {needed:?}");
    }
}
