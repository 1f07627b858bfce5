//! Starts sending traces and metrics to a collector, where the configuration names one.

use std::sync::Arc;

use crate::config::checked::Install;
use crate::core::trace_context::Sampling;
use crate::otlp::consumer::OtlpConsumer;
use crate::otlp::running::{self, OtlpError, RunningOtlp};
use crate::proxy::Gateway;
use crate::proxy::tracing::Tracing;

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
pub(super) fn start(
    gateway: &Arc<Gateway>,
    install: &Install,
) -> Result<(Option<OtlpConsumer>, Option<RunningOtlp>), OtlpError> {
    let Some(settings) = &install.otlp else {
        return Ok((None, None));
    };
    let asked = Arc::clone(gateway);
    let current = move || Arc::clone(&asked.live.load().config.runtime.snapshot);
    let (consumer, running) = running::start(settings, Box::new(current), &gateway.metrics)?;
    Ok((Some(consumer), Some(running)))
}
