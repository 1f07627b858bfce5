//! Starts sending traces and metrics to a collector, where the configuration names one.

use crate::config::checked::Install;
use crate::core::trace_context::Sampling;
use crate::proxy::tracing::Tracing;

/// Which requests get a place in a trace: none where no traces are sent.
pub(super) fn tracing(install: &Install) -> Option<Tracing> {
    let traces = install.otlp.as_ref()?.traces.as_ref()?;
    Some(Tracing {
        sampling: Sampling::new(traces.share, traces.follow_clients),
    })
}
