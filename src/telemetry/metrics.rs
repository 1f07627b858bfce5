//! The metrics themselves: made from [`definitions`](super::definitions), counted by [`events`](super::events), rendered for Prometheus.
//!
//! What requests count goes through [`series`](super::series), which looks labels up once. What has its state
//! elsewhere is set while rendering, from a [`FleetView`]. The registry is our own, never the library's global one, so
//! that tests can have as many as they like.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::telemetry::definitions as define;
use crate::telemetry::definitions::kind::{Definition, Kind};
use crate::telemetry::journal::Journal;
use crate::telemetry::metrics::care::CareGauges;
use crate::telemetry::metrics::otlp::OtlpCounters;
use crate::telemetry::view::{DeploymentView, FleetView};

mod care;
mod otlp;

/// Content type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric of the process, and the journal: what events are emitted into.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    journal: Arc<Journal>,
    pub(super) requests: IntCounterVec,
    pub(super) time_to_first_byte: HistogramVec,
    pub(super) gateway_overhead: HistogramVec,
    pub(super) retry_budget_spent: IntCounterVec,
    pub(super) waits: IntCounterVec,
    pub(super) wait: HistogramVec,
    pub(super) residency_contradicted: IntCounterVec,
    pub(super) refusals: IntCounterVec,
    pub(super) client_limited: IntCounterVec,
    pub(super) shed: IntCounterVec,
    pub(super) scheduling_delay: Histogram,
    pub(super) requests_cut_off: IntCounterVec,
    pub(super) auth_failures: IntCounterVec,
    pub(super) admin_auth_failures: IntCounterVec,
    pub(super) operation_duration: HistogramVec,
    pub(super) time_to_first_chunk: HistogramVec,
    pub(super) tokens: IntCounterVec,
    pub(super) cache_expected: IntCounterVec,
    pub(super) cache_missed: IntCounterVec,
    pub(super) attempts: IntCounterVec,
    pub(super) maybe_billed_twice: IntCounterVec,
    pub(super) cache_keys_sent: IntCounterVec,
    pub(super) upstream_connections: IntCounterVec,
    pub(super) config_reloads: IntCounterVec,
    pub(super) fleet_looks: IntCounterVec,
    pub(super) rebuilds: IntCounterVec,
    pub(super) keepalives: IntCounterVec,
    pub(super) alerts: IntCounterVec,
    pub(super) token_usd: CounterVec,
    pub(super) cache_saved_usd: CounterVec,
    pub(super) otlp: OtlpCounters,
    /// Set while rendering; the lock keeps two scrapes at once from mixing their views.
    scraped: Mutex<Scraped>,
}

/// Metrics whose state lives elsewhere.
#[derive(Debug)]
struct Scraped {
    requests_in_flight: IntGaugeVec,
    requests_waiting: IntGaugeVec,
    held_body_bytes: IntGauge,
    client_connections: IntGauge,
    client_connections_refused: IntCounter,
    deployment_in_flight: IntGaugeVec,
    breaker_state: IntGaugeVec,
    resource_breaker_state: IntGaugeVec,
    alarm: IntGaugeVec,
    cooling: GaugeVec,
    drained: IntGaugeVec,
    absent: IntGaugeVec,
    limit_tokens: IntGaugeVec,
    limit_used: GaugeVec,
    cache_life: GaugeVec,
    placement_blocks: IntGauge,
    placement_blocks_max: IntGauge,
    placement_bytes: IntGauge,
    placement_head_homes: IntGaugeVec,
    last_success_age: GaugeVec,
    inactivity_deletion: GaugeVec,
    hosting_usd: GaugeVec,
    care: CareGauges,
    pool_deployments: IntGaugeVec,
    pool_usable: IntGaugeVec,
    headroom: GaugeVec,
    config_generation: IntGauge,
    config_reload_failed: IntGauge,
    usage_accepted: IntCounter,
    usage_written: IntCounter,
    usage_dropped: IntCounter,
    usage_batches: IntCounter,
    usage_write_errors: IntCounter,
    misses_dropped: IntCounter,
    finished_dropped: IntCounter,
    trace_written: IntCounter,
    trace_dropped: IntCounter,
    log_lines_dropped: IntCounter,
}

impl Metrics {
    /// Makes and registers every metric.
    ///
    /// # Errors
    /// When two have the same name or a name is malformed: a mistake in the definitions.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        register_process(&registry)?;
        let build_info = int_gauge_vec(&registry, &define::BUILD_INFO)?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            requests: counter_vec(&registry, &define::REQUESTS)?,
            time_to_first_byte: histogram_vec(&registry, &define::TIME_TO_FIRST_BYTE)?,
            gateway_overhead: histogram_vec(&registry, &define::GATEWAY_OVERHEAD)?,
            retry_budget_spent: counter_vec(&registry, &define::RETRY_BUDGET_SPENT)?,
            waits: counter_vec(&registry, &define::WAITS)?,
            wait: histogram_vec(&registry, &define::WAIT_SECONDS)?,
            residency_contradicted: counter_vec(&registry, &define::RESIDENCY_CONTRADICTED)?,
            refusals: counter_vec(&registry, &define::REFUSALS)?,
            client_limited: counter_vec(&registry, &define::CLIENT_LIMITED)?,
            shed: counter_vec(&registry, &define::SHED)?,
            scheduling_delay: histogram(&registry, &define::SCHEDULING_DELAY)?,
            requests_cut_off: counter_vec(&registry, &define::REQUESTS_CUT_OFF)?,
            auth_failures: counter_vec(&registry, &define::AUTH_FAILURES)?,
            admin_auth_failures: counter_vec(&registry, &define::ADMIN_AUTH_FAILURES)?,
            operation_duration: histogram_vec(&registry, &define::OPERATION_DURATION)?,
            time_to_first_chunk: histogram_vec(&registry, &define::TIME_TO_FIRST_CHUNK)?,
            tokens: counter_vec(&registry, &define::TOKENS)?,
            cache_expected: counter_vec(&registry, &define::CACHE_EXPECTED_TOKENS)?,
            cache_missed: counter_vec(&registry, &define::CACHE_MISSED_TOKENS)?,
            attempts: counter_vec(&registry, &define::ATTEMPTS)?,
            maybe_billed_twice: counter_vec(&registry, &define::MAYBE_BILLED_TWICE)?,
            cache_keys_sent: counter_vec(&registry, &define::CACHE_KEYS_SENT)?,
            upstream_connections: counter_vec(&registry, &define::UPSTREAM_CONNECTIONS)?,
            config_reloads: counter_vec(&registry, &define::CONFIG_RELOADS)?,
            fleet_looks: counter_vec(&registry, &define::FLEET_LOOKS)?,
            rebuilds: counter_vec(&registry, &define::REBUILDS)?,
            keepalives: counter_vec(&registry, &define::KEEPALIVES)?,
            alerts: from_the_start(counter_vec(&registry, &define::ALERTS)?, &define::ALERT_RESULTS),
            token_usd: float_counter_vec(&registry, &define::TOKEN_USD)?,
            cache_saved_usd: float_counter_vec(&registry, &define::CACHE_SAVED_USD)?,
            otlp: OtlpCounters::new(&registry)?,
            scraped: Mutex::new(Scraped::new(&registry)?),
            registry,
            journal: Arc::default(),
        })
    }

    /// Where events are noted in words.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Every metric in Prometheus' text format, as of `now_ms` (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// When the library cannot encode them, which it can.
    pub fn render(&self, now_ms: i64, view: &FleetView) -> prometheus::Result<String> {
        let scraped = self.scraped.lock();
        scraped.show(now_ms, view);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Scraped {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            requests_in_flight: int_gauge_vec(registry, &define::REQUESTS_IN_FLIGHT)?,
            requests_waiting: int_gauge_vec(registry, &define::REQUESTS_WAITING)?,
            held_body_bytes: int_gauge(registry, &define::HELD_BODY_BYTES)?,
            client_connections: int_gauge(registry, &define::CLIENT_CONNECTIONS)?,
            client_connections_refused: counter(registry, &define::CLIENT_CONNECTIONS_REFUSED)?,
            deployment_in_flight: int_gauge_vec(registry, &define::DEPLOYMENT_IN_FLIGHT)?,
            breaker_state: int_gauge_vec(registry, &define::BREAKER_STATE)?,
            resource_breaker_state: int_gauge_vec(registry, &define::RESOURCE_BREAKER_STATE)?,
            alarm: int_gauge_vec(registry, &define::ALARM)?,
            cooling: gauge_vec(registry, &define::COOLING)?,
            drained: int_gauge_vec(registry, &define::DRAINED)?,
            absent: int_gauge_vec(registry, &define::ABSENT)?,
            limit_tokens: int_gauge_vec(registry, &define::LIMIT_TOKENS)?,
            limit_used: gauge_vec(registry, &define::LIMIT_USED)?,
            cache_life: gauge_vec(registry, &define::CACHE_LIFE)?,
            placement_blocks: int_gauge(registry, &define::PLACEMENT_BLOCKS)?,
            placement_blocks_max: int_gauge(registry, &define::PLACEMENT_BLOCKS_MAX)?,
            placement_bytes: int_gauge(registry, &define::PLACEMENT_BYTES)?,
            placement_head_homes: int_gauge_vec(registry, &define::PLACEMENT_HEAD_HOMES)?,
            last_success_age: gauge_vec(registry, &define::LAST_SUCCESS_AGE)?,
            inactivity_deletion: gauge_vec(registry, &define::INACTIVITY_DELETION)?,
            hosting_usd: gauge_vec(registry, &define::HOSTING_USD)?,
            care: CareGauges::new(registry)?,
            pool_deployments: int_gauge_vec(registry, &define::POOL_DEPLOYMENTS)?,
            pool_usable: int_gauge_vec(registry, &define::POOL_USABLE)?,
            headroom: gauge_vec(registry, &define::HEADROOM)?,
            config_generation: int_gauge(registry, &define::CONFIG_GENERATION)?,
            config_reload_failed: int_gauge(registry, &define::CONFIG_RELOAD_FAILED)?,
            usage_accepted: counter(registry, &define::USAGE_ACCEPTED)?,
            usage_written: counter(registry, &define::USAGE_WRITTEN)?,
            usage_dropped: counter(registry, &define::USAGE_DROPPED)?,
            usage_batches: counter(registry, &define::USAGE_BATCHES)?,
            usage_write_errors: counter(registry, &define::USAGE_WRITE_ERRORS)?,
            misses_dropped: counter(registry, &define::MISSES_DROPPED)?,
            finished_dropped: counter(registry, &define::FINISHED_DROPPED)?,
            trace_written: counter(registry, &define::TRACE_WRITTEN)?,
            trace_dropped: counter(registry, &define::TRACE_DROPPED)?,
            log_lines_dropped: counter(registry, &define::LOG_LINES_DROPPED)?,
        })
    }

    fn show(&self, now_ms: i64, view: &FleetView) {
        self.forget_fleet();
        for route in &view.routes {
            let gauge = self.requests_in_flight.with_label_values(&[&**route.route]);
            gauge.set(signed(route.in_flight));
            self.requests_waiting
                .with_label_values(&[&**route.route])
                .set(signed(route.waiting));
        }
        for pool in &view.pools {
            self.pool_deployments
                .with_label_values(&[&**pool.pool])
                .set(signed(pool.deployments));
            self.pool_usable
                .with_label_values(&[&**pool.pool])
                .set(signed(pool.usable));
            for (region, ratio) in &pool.headroom {
                let labels = &[&**pool.pool, &***region];
                self.headroom.with_label_values(labels).set(*ratio);
            }
        }
        for deployment in &view.deployments {
            self.show_deployment(now_ms, deployment);
        }
        for (deployment, hour_usd) in &view.hosting {
            self.hosting_usd.with_label_values(&[&***deployment]).set(*hour_usd);
        }
        self.care.show(now_ms, view.care.as_deref());
        for resource in &view.resources {
            self.resource_breaker_state
                .with_label_values(&[&**resource.resource])
                .set(resource.breaker.value());
        }
        self.placement_blocks.set(signed(view.placement.blocks));
        self.placement_blocks_max.set(signed(view.placement.blocks_max));
        self.placement_bytes.set(signed(view.placement.bytes));
        for (head, homes) in &view.placement.heads {
            self.placement_head_homes.with_label_values(&[head]).set(signed(*homes));
        }
        self.held_body_bytes.set(signed(view.held_body_bytes));
        self.client_connections.set(signed(view.client_connections));
        raise(&self.client_connections_refused, view.client_connections_refused);
        self.config_generation.set(signed(view.config_generation));
        self.config_reload_failed.set(i64::from(view.config_reload_failed));
        raise(&self.usage_accepted, view.usage.accepted);
        raise(&self.usage_written, view.usage.written);
        raise(&self.usage_dropped, view.usage.dropped);
        raise(&self.usage_batches, view.usage.batches);
        raise(&self.usage_write_errors, view.usage.write_errors);
        raise(&self.misses_dropped, view.misses_dropped);
        raise(&self.finished_dropped, view.finished_dropped);
        raise(&self.trace_written, view.trace.written);
        raise(&self.trace_dropped, view.trace.dropped);
        raise(&self.log_lines_dropped, view.log_lines_dropped);
    }

    /// Forgets what the last scrape showed, so that what left the configuration leaves the metrics.
    fn forget_fleet(&self) {
        self.requests_in_flight.reset();
        self.requests_waiting.reset();
        self.pool_deployments.reset();
        self.pool_usable.reset();
        self.headroom.reset();
        self.deployment_in_flight.reset();
        self.breaker_state.reset();
        self.resource_breaker_state.reset();
        self.alarm.reset();
        self.cooling.reset();
        self.drained.reset();
        self.absent.reset();
        self.limit_tokens.reset();
        self.limit_used.reset();
        self.cache_life.reset();
        self.placement_head_homes.reset();
        self.last_success_age.reset();
        self.inactivity_deletion.reset();
        self.hosting_usd.reset();
    }

    fn show_deployment(&self, now_ms: i64, view: &DeploymentView) {
        let labels = &[&**view.deployment];
        self.deployment_in_flight
            .with_label_values(labels)
            .set(signed(view.in_flight));
        self.breaker_state.with_label_values(labels).set(view.breaker.value());
        if let Some(alarm) = view.alarm {
            self.alarm.with_label_values(&[labels[0], alarm.as_ref()]).set(1);
        }
        let cooling = view
            .cooling_until_ms
            .map_or(0.0, |until| seconds(until.saturating_sub(now_ms).max(0)));
        self.cooling.with_label_values(labels).set(cooling);
        self.drained
            .with_label_values(labels)
            .set(view.drained.is_some().into());
        if let Some(absence) = view.absent {
            self.absent.with_label_values(&[labels[0], absence.as_ref()]).set(1);
        }
        self.cache_life.with_label_values(labels).set(view.cache_life_s);
        if let Some(limit) = view.limit_tokens_per_minute {
            self.limit_tokens.with_label_values(labels).set(signed(limit));
        }
        if let Some(used) = view.limit_used {
            self.limit_used.with_label_values(labels).set(used);
        }
        if let Some(at) = view.last_success_at_ms {
            let age = seconds(now_ms.saturating_sub(at).max(0));
            self.last_success_age.with_label_values(labels).set(age);
        }
        if let Some(at) = view.deletion_at_ms {
            let left = seconds(at.saturating_sub(now_ms));
            self.inactivity_deletion.with_label_values(labels).set(left);
        }
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Brings a counter up to a total counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn opts(definition: &Definition) -> Opts {
    Opts::new(definition.name, definition.help)
}

fn counter(registry: &Registry, definition: &Definition) -> prometheus::Result<IntCounter> {
    let metric = IntCounter::with_opts(opts(definition))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter_vec(registry: &Registry, definition: &Definition) -> prometheus::Result<IntCounterVec> {
    let metric = IntCounterVec::new(opts(definition), definition.labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// The same with its series at 0 already: of what is rare, `increase` would not see the first.
fn from_the_start(family: IntCounterVec, words: &[&str]) -> IntCounterVec {
    for word in words {
        family.with_label_values(&[word]);
    }
    family
}

fn float_counter_vec(registry: &Registry, definition: &Definition) -> prometheus::Result<CounterVec> {
    let metric = CounterVec::new(opts(definition), definition.labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn int_gauge(registry: &Registry, definition: &Definition) -> prometheus::Result<IntGauge> {
    let metric = IntGauge::with_opts(opts(definition))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn int_gauge_vec(registry: &Registry, definition: &Definition) -> prometheus::Result<IntGaugeVec> {
    let metric = IntGaugeVec::new(opts(definition), definition.labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge_vec(registry: &Registry, definition: &Definition) -> prometheus::Result<GaugeVec> {
    let metric = GaugeVec::new(opts(definition), definition.labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram_vec(registry: &Registry, definition: &Definition) -> prometheus::Result<HistogramVec> {
    let metric = HistogramVec::new(histogram_opts(definition), definition.labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(registry: &Registry, definition: &Definition) -> prometheus::Result<Histogram> {
    let metric = Histogram::with_opts(histogram_opts(definition))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram_opts(definition: &Definition) -> HistogramOpts {
    let opts = HistogramOpts::new(definition.name, definition.help);
    match definition.kind {
        Kind::Histogram(buckets) => opts.buckets(buckets.to_vec()),
        Kind::Counter | Kind::Gauge => opts,
    }
}

/// CPU time, memory and file descriptors of this process.
#[cfg(target_os = "linux")]
fn register_process(registry: &Registry) -> prometheus::Result<()> {
    use prometheus::process_collector::ProcessCollector;
    registry.register(Box::new(ProcessCollector::for_self()))
}

/// The library reads `/proc`, which only Linux has.
#[cfg(not(target_os = "linux"))]
fn register_process(_registry: &Registry) -> prometheus::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
