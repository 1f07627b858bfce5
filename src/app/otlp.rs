//! Starts sending traces and metrics to a collector, where the configuration names one.

use std::sync::Arc;

use crate::config::checked::Install;
use crate::core::trace_context::Sampling;
use crate::otlp::running::{self, OtlpError, RunningOtlp};
use crate::proxy::Gateway;
use crate::proxy::tracing::Tracing;
use crate::telemetry::finished::FinishedConsumer;

/// Who is handed finished requests.
type Consumers = Vec<Box<dyn FinishedConsumer>>;

/// Which requests get a place in a trace: none where no traces are sent.
pub(super) fn tracing(install: &Install) -> Option<Tracing> {
    let traces = install.otlp.as_ref()?.traces.as_ref()?;
    Some(Tracing {
        sampling: Sampling::new(traces.share, traces.follow_clients),
    })
}

/// Starts it, if it is wanted: who is to be handed finished requests, and what sends.
///
/// # Errors
/// When certificates or TLS cannot be used.
pub(super) fn start(gateway: &Arc<Gateway>, install: &Install) -> Result<(Consumers, Option<RunningOtlp>), OtlpError> {
    let Some(settings) = &install.otlp else {
        return Ok((Vec::new(), None));
    };
    let asked = Arc::clone(gateway);
    let current = move || Arc::clone(&asked.live.load().config.runtime.snapshot);
    let (consumer, running) = running::start(settings, Box::new(current), &gateway.metrics)?;
    Ok((vec![Box::new(consumer)], Some(running)))
}
