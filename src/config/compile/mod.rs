//! Turns the file as written into checked types: names resolved, addresses parsed, secrets fetched.
//!
//! Every mistake is reported, not only the first. What leaves this module is not validated again anywhere.

mod admin;
mod alerts;
mod azure;
mod care;
mod clients;
mod context;
mod endpoint;
mod fleet;
mod install;
mod names;
mod regions;
mod residency;
mod routes;
mod telemetry;
mod tls;
mod use_limits;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::billed;
use crate::config::checked::azure::ControlPlane;
use crate::config::checked::{Checked, Limits, Runtime};
use crate::config::compile::context::Context;
use crate::config::document::Document;
use crate::config::errors::{Pointer, Problem};
use crate::config::raw::{RawConfig, RawHealth, RawLimits};
use crate::config::secrets::Variables;
use crate::core::ledger::book::Billed;
use crate::core::recovery::health::Rules;
use crate::core::topology::Snapshot;

/// Where usage records go, without a look at anything else.
///
/// # Errors
/// When a reference in the path cannot be resolved.
pub(super) fn usage_path(
    raw: &RawConfig,
    document: &Document,
    directory: &Path,
    variables: &Variables,
) -> Result<PathBuf, Vec<Problem>> {
    let mut context = Context::new(document, directory, variables, &[]);
    let usage = install::compile_usage(&mut context, &raw.usage, &Pointer::root().key("usage"));
    if context.problems.is_empty() {
        Ok(usage.path)
    } else {
        Err(context.problems)
    }
}

/// What the file says of the control plane, without a look at anything else.
///
/// # Errors
/// Every mistake in that part.
pub(super) fn control_plane(
    raw: &RawConfig,
    document: &Document,
    directory: &Path,
    variables: &Variables,
) -> Result<ControlPlane, Vec<Problem>> {
    let mut context = Context::new(document, directory, variables, &[]);
    let at = Pointer::root().key("azure");
    let azure = raw
        .azure
        .as_ref()
        .and_then(|raw| azure::compile(&mut context, raw, &at));
    let care = care::compile(&mut context, &raw.resources, raw.azure.as_ref(), azure.as_ref());
    if !context.problems.is_empty() {
        return Err(context.problems);
    }
    let named = raw.resources.iter().zip(care.accounts);
    let accounts = named.filter_map(|(resource, account)| Some((resource.name.0.clone(), account?)));
    Ok(ControlPlane {
        azure,
        accounts: accounts.collect(),
    })
}

/// What the price of deployments depends on, without a look at anything else.
///
/// # Errors
/// Every mistake in that part.
pub(super) fn billed(
    raw: &RawConfig,
    document: &Document,
    directory: &Path,
    variables: &Variables,
) -> Result<Vec<Billed>, Vec<Problem>> {
    let mut context = Context::new(document, directory, variables, &[]);
    let catalogue = billed::catalogue();
    let billed = fleet::compile_billed(&mut context, &raw.resources, catalogue.as_ref());
    if context.problems.is_empty() {
        Ok(billed)
    } else {
        Err(context.problems)
    }
}

/// Compiles a file whose shape is right. Relative paths start at `directory`; what `repaired` holds is not judged.
///
/// # Errors
/// Every problem found.
pub(super) fn compile(
    raw: &RawConfig,
    document: &Document,
    directory: &Path,
    variables: &Variables,
    repaired: &[Pointer],
) -> Result<Checked, Vec<Problem>> {
    let mut context = Context::new(document, directory, variables, repaired);
    let install = install::compile(&mut context, raw);
    let limits = compile_limits(&mut context, &raw.limits);
    let health = compile_health(&mut context, &raw.health);
    let mut fleet = fleet::compile(&mut context, &raw.resources, &raw.pools, raw.azure.as_ref());
    let mut care = care::compile(&mut context, &raw.resources, raw.azure.as_ref(), install.azure.as_ref());
    care.writes = raw.azure.as_ref().is_some_and(|azure| azure.writes);
    care.equivalents = raw.pools.iter().map(|pool| pool.equivalent_models.clone()).collect();
    care::warn_of_unlike(&mut context, &fleet, &care);
    let (mut routes, route_by_model) = routes::compile(&mut context, &raw.routes, &raw.defaults, &fleet.pool_names);
    let access = clients::compile(&mut context, &raw.clients, &routes);
    fleet::warn_of_idle(&mut context, &fleet, &routes);
    let fenced = residency::compile(&mut context, &raw.routes, &mut routes, &fleet);
    if !context.problems.is_empty() {
        return Err(context.problems);
    }
    fleet.pools.extend(fenced);
    let snapshot = Snapshot {
        clients: access.clients,
        routes,
        pools: fleet.pools,
        deployments: fleet.deployments,
        resources: fleet.resources,
        route_by_model,
        replicas: raw.replicas,
    };
    let runtime = Runtime {
        snapshot: Arc::new(snapshot),
        client_keys: access.keys,
        credentials: fleet.credentials,
        care,
        limits,
        health,
    };
    Ok(Checked {
        install,
        runtime,
        warnings: context.warnings,
    })
}

fn compile_limits(context: &mut Context<'_>, raw: &RawLimits) -> Limits {
    let at = Pointer::root().key("limits");
    if raw.body_size.bytes() == 0 {
        context.error(&at.key("body_size"), "`0` bytes let no request in", None);
    }
    if raw.held_bodies.bytes() < raw.body_size.bytes() {
        context.error(
            &at.key("held_bodies"),
            format!("`{}` is less than `limits.body_size`", raw.held_bodies.text()),
            format!("`{}` or more, or one body never finds room", raw.body_size.text()),
        );
    }
    Limits {
        body_bytes: raw.body_size.bytes(),
        held_bytes: raw.held_bodies.bytes(),
        body_time: context.positive(&at.key("body_time"), &raw.body_time),
        head_time: context.positive(&at.key("head_time"), &raw.head_time),
        connections: raw.connections,
        running_requests: raw.running_requests,
        max_delay: context.duration(&at.key("max_delay"), &raw.max_delay),
    }
}

fn compile_health(context: &mut Context<'_>, raw: &RawHealth) -> Rules {
    let at = Pointer::root().key("health");
    if raw.throttle_default.value() > raw.throttle_max.value() {
        context.error(
            &at.key("throttle_default"),
            format!("`{}` is longer than `health.throttle_max`", raw.throttle_default.text()),
            format!("`{}` or less", raw.throttle_max.text()),
        );
    }
    Rules {
        consecutive_failures: raw.consecutive_failures,
        failure_ratio: raw.failure_ratio,
        ratio_requests: raw.ratio_requests,
        open_for: context.positive(&at.key("open_for"), &raw.open_for),
        slow_start: context.duration(&at.key("slow_start"), &raw.slow_start),
        max_ejected: raw.max_ejected,
        throttle_default: context.positive(&at.key("throttle_default"), &raw.throttle_default),
        throttle_max: context.positive(&at.key("throttle_max"), &raw.throttle_max),
    }
}
