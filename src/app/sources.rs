//! What the admin listener tells and does: closures over the running gateway, so that `admin` knows nothing of `proxy`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::admin::Sources;
use crate::admin::access::{Access, SetupError};
use crate::admin::api::answer::Refusal;
use crate::admin::care::{CaredStatus, FleetStatus};
use crate::admin::drains::{DrainAsked, DrainShown};
use crate::admin::needs;
use crate::admin::status::{AlarmStatus, ConfigStatus, DeploymentStatus, FailureStatus, PoolStatus, Status};
use crate::app::api;
use crate::app::configuration::Desk;
use crate::app::history::answers::Answers;
use crate::app::money::Prices;
use crate::app::state::ProcessState;
use crate::config::checked::admin::AdminListener;
use crate::core::ids::Region;
use crate::core::recovery::drain::{DrainKind, DrainTarget};
use crate::fleet::care::Board;
use crate::fleet::care::orders::Orders;
use crate::proxy::drains::{self, DrainRefused};
use crate::proxy::{Gateway, explain, view};
use crate::storage::sqlite::SqliteStore;
use crate::telemetry::clock;
use crate::telemetry::view::{CareView, FleetView};

/// What is known beside the gateway itself.
pub(super) struct Known {
    /// What deployments cost.
    pub(super) prices: Arc<Prices>,
    /// What looking after the fleet knows.
    pub(super) board: Arc<Board>,
    /// The configuration, as it is changed.
    pub(super) desk: Arc<Desk>,
    /// What requests came to, and what happened.
    pub(super) history: Arc<Answers>,
    /// What operators want made again.
    pub(super) orders: Arc<Orders>,
}

/// What the admin listener reads.
pub(super) fn admin_sources(
    gateway: &Arc<Gateway>,
    state: &Arc<ProcessState>,
    known: Known,
    store: &Arc<SqliteStore>,
    (admin, admin_port): (&AdminListener, u16),
) -> Result<Sources, SetupError> {
    let api = api::sources(admin, gateway, state, &known, store);
    let Known { prices, board, .. } = known;
    let for_metrics_too = Arc::clone(&board);
    let [for_metrics, for_status, for_explain, for_drains] = std::array::from_fn(|_| Arc::clone(gateway));
    let (metrics_state, status_state) = (Arc::clone(state), Arc::clone(state));
    Ok(Sources {
        metrics: Box::new(move || {
            let now_ms = clock::now_ms();
            let mut view = full_view(&for_metrics, &metrics_state, now_ms);
            view.hosting = prices.hosting(&view);
            view.care = for_metrics_too.load_full();
            for_metrics
                .metrics
                .render(now_ms, &view)
                .map_err(|error| error.to_string())
        }),
        status: Box::new(move || status(&for_status, &status_state, board.load_full().as_deref())),
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
        drains: Box::new(move |asked| change_drains(&for_drains, asked)),
        access: Access::new(admin, admin_port, &gateway.metrics)?,
        api,
    })
}

/// Does what an operator wants with drains, and tells which there are then.
fn change_drains(gateway: &Arc<Gateway>, asked: DrainAsked) -> Result<Vec<DrainShown>, Refusal> {
    let now = Instant::now();
    let target = |kind: &str, name: String| match kind.parse::<DrainKind>() {
        Ok(kind) => Ok(DrainTarget { kind, name }),
        Err(_) => Err(Refusal::bad(
            "`kind` must be `deployment`, `resource` or `region`",
            "unknown_kind",
        )),
    };
    let done = match asked {
        DrainAsked::List => Ok(()),
        DrainAsked::Begin {
            kind,
            name,
            for_s,
            force,
        } => {
            let lasting = for_s.map(Duration::from_secs);
            drains::begin(gateway, target(&kind, name)?, lasting, force, now)
        }
        DrainAsked::Undo { kind, name } => drains::undo(gateway, target(&kind, name)?),
    };
    done.map_err(|refused| {
        let message = refused.to_string();
        match refused {
            DrainRefused::Unknown { .. } => Refusal::not_found(message, "unknown_name"),
            DrainRefused::NotDrained { .. } => Refusal::not_found(message, "not_drained"),
            DrainRefused::LastUsable { .. } => Refusal::conflict(message, "last_usable_deployment"),
            DrainRefused::Lasting => Refusal::bad(message, "bad_duration"),
        }
    })?;
    let shown = drains::all(gateway, now).into_iter().map(|(target, left)| DrainShown {
        kind: target.kind.as_ref().to_owned(),
        name: target.name,
        left_s: left.map(|left| left.as_secs_f64()),
    });
    Ok(shown.collect())
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

fn by_name(by_region: Vec<(Region, f64)>) -> BTreeMap<String, f64> {
    let named = |(region, value): (Region, f64)| (region.to_string(), value);
    by_region.into_iter().map(named).collect()
}

pub(super) fn status(gateway: &Gateway, state: &ProcessState, care: Option<&CareView>) -> Status {
    let now_ms = clock::now_ms();
    let view = view::fleet_view(gateway, Instant::now(), now_ms);
    let is_draining = state.is_draining.load(Ordering::Acquire);
    let mut status = Status {
        at: clock::rfc3339(now_ms),
        at_ms: now_ms,
        started_at: clock::rfc3339(state.started_at_ms),
        started_at_ms: state.started_at_ms,
        // Whoever asks this process on a connection of old is served by its successor next.
        ready: !is_draining || state.has_successor.load(Ordering::Acquire),
        draining: is_draining,
        version: env!("CARGO_PKG_VERSION"),
        requests_running: gateway.activity.running(),
        config: state.config_status(),
        fleet: care.map(FleetStatus::from),
        pools: view
            .pools
            .into_iter()
            .map(|pool| PoolStatus {
                name: pool.pool.to_string(),
                deployments: pool.deployments,
                usable: pool.usable,
                regions: pool.regions.iter().map(ToString::to_string).collect(),
                sent_tokens: pool.sent_tokens,
                limit_without: by_name(pool.limit_without),
                headroom: by_name(pool.headroom),
            })
            .collect(),
        deployments: view
            .deployments
            .into_iter()
            .map(|deployment| DeploymentStatus {
                name: deployment.deployment.to_string(),
                region: deployment.region.to_string(),
                in_flight: deployment.in_flight,
                breaker: deployment.breaker.into(),
                alarm: deployment.alarm.map(AlarmStatus::from),
                limit_tokens_per_minute: deployment.limit_tokens_per_minute,
                limit_used: deployment.limit_used,
                cache_life_s: deployment.cache_life_s,
                cooling_until: deployment.cooling_until_ms.map(clock::rfc3339),
                cooling_until_ms: deployment.cooling_until_ms,
                drained: deployment.drained.is_some(),
                drained_until_ms: deployment.drained.and_then(|drained| drained.until_ms),
                absent: deployment.absent.map(<&str>::from),
                last_success_at: deployment.last_success_at_ms.map(clock::rfc3339),
                last_success_at_ms: deployment.last_success_at_ms,
                deletion_at: deployment.deletion_at_ms.map(clock::rfc3339),
                deletion_at_ms: deployment.deletion_at_ms,
                care: care.and_then(|care| CaredStatus::of(care, &deployment.deployment)),
                last_failure: deployment.last_failure.map(|failure| FailureStatus {
                    at: clock::rfc3339(failure.at_ms),
                    outcome: failure.outcome.into(),
                    status: failure.status,
                }),
            })
            .collect(),
        needs: Vec::new(),
    };
    status.needs = needs::needs(&status);
    status
}

impl ProcessState {
    pub(super) fn config_status(&self) -> ConfigStatus {
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
