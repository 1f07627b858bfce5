//! What a reload changes, in words for the log, and what it must not change.
//!
//! Both functions take the configuration apart field by field without `..`, so that a field added later cannot be
//! forgotten here. Secrets are compared by digest and never shown.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};

use crate::config::checked::admin::AdminListener;
use crate::config::checked::azure::{AzureSettings, Care, DeclaredDeployment};
use crate::config::checked::{Credential, Install, Limits, LogSettings, Runtime, Shutdown, UsageSettings};
use crate::config::secrets::Secret;
use crate::core::admission::limit::LimitRule;
use crate::core::recovery::health::Rules;
use crate::core::topology::{
    ApiForm, Client, ClientIx, Deployment, Endpoint, Member, Pool, Price, Resource, Route, RouteAccess, Snapshot,
};

/// One difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What differs, such as ``pool `support` ``.
    pub subject: String,
    /// How.
    pub kind: ChangeKind,
}

/// How two configurations differ about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// One of its fields has another value.
    Field {
        /// Which field.
        name: &'static str,
        /// Old and new value; none for secrets.
        values: Option<(String, String)>,
    },
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match &self.kind {
            ChangeKind::Added => write!(f, "{subject} added"),
            ChangeKind::Removed => write!(f, "{subject} removed"),
            ChangeKind::Field { name, values: None } => write!(f, "{subject}: {name} changed"),
            ChangeKind::Field {
                name,
                values: Some((old, new)),
            } => write!(f, "{subject}: {name} changed from {old} to {new}"),
        }
    }
}

/// Every difference between two reloadable halves, ordered by subject. Empty when they mean the same.
pub fn changes(old: &Runtime, new: &Runtime) -> Vec<Change> {
    let old = facts(old);
    let new = facts(new);
    let mut changes = Vec::new();
    for (subject, fields) in &old {
        match new.get(subject) {
            None => changes.push(Change {
                subject: subject.clone(),
                kind: ChangeKind::Removed,
            }),
            Some(others) => compare(subject, fields, others, &mut changes),
        }
    }
    let added = new.keys().filter(|subject| !old.contains_key(*subject));
    changes.extend(added.map(|subject| Change {
        subject: subject.clone(),
        kind: ChangeKind::Added,
    }));
    changes.sort_by(|left, right| left.subject.cmp(&right.subject));
    changes
}

/// Which settings differ that only a restart can change, as paths in the file.
pub fn needs_restart(old: &Install, new: &Install) -> Vec<&'static str> {
    let Install {
        listeners,
        admin:
            AdminListener {
                address,
                token,
                tokens,
                oidc,
                configure,
                recent_requests,
                // No file says it.
                is_demo: _,
            },
        usage:
            UsageSettings {
                path,
                queue,
                when_full,
                keep_days,
            },
        trace,
        azure,
        alerts,
        otlp,
        shutdown: Shutdown { delay, drain },
        log: LogSettings { filter, format },
    } = old;
    let differs = [
        ("listeners", *listeners != new.listeners),
        ("admin.address", *address != new.admin.address),
        ("admin.token", *token != new.admin.token),
        ("admin.tokens", *tokens != new.admin.tokens),
        ("admin.oidc", *oidc != new.admin.oidc),
        ("admin.configure", *configure != new.admin.configure),
        ("admin.recent_requests", *recent_requests != new.admin.recent_requests),
        ("usage.path", *path != new.usage.path),
        ("usage.queue", *queue != new.usage.queue),
        ("usage.when_full", *when_full != new.usage.when_full),
        ("usage.keep_days", *keep_days != new.usage.keep_days),
        ("trace", *trace != new.trace),
        ("azure", !is_same_plane(azure.as_ref(), new.azure.as_ref())),
        ("alerts", *alerts != new.alerts),
        ("telemetry.otlp", *otlp != new.otlp),
        ("shutdown.delay", *delay != new.shutdown.delay),
        ("shutdown.drain", *drain != new.shutdown.drain),
        ("log.filter", *filter != new.log.filter),
        ("log.format", *format != new.log.format),
    ];
    differs
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(field, _)| *field)
        .collect()
}

/// Whether the control plane is the same but for its kill switch, which is reloaded.
fn is_same_plane(old: Option<&AzureSettings>, new: Option<&AzureSettings>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => {
            let writes = new.writes;
            AzureSettings { writes, ..old.clone() } == *new
        }
        (old, new) => old == new,
    }
}

/// A field's value: what is compared, and whether it may be shown.
struct Fact {
    name: &'static str,
    text: String,
    is_secret: bool,
}

type Facts = BTreeMap<String, Vec<Fact>>;

fn compare(subject: &str, old: &[Fact], new: &[Fact], changes: &mut Vec<Change>) {
    // A subject's facts are always the same fields in the same order.
    for (old, new) in old.iter().zip(new) {
        if old.text != new.text {
            changes.push(Change {
                subject: subject.to_owned(),
                kind: ChangeKind::Field {
                    name: old.name,
                    values: (!old.is_secret).then(|| (old.text.clone(), new.text.clone())),
                },
            });
        }
    }
}

fn fact(name: &'static str, value: impl Debug) -> Fact {
    plain_fact(name, format!("{value:?}"))
}

fn optional_fact(name: &'static str, value: Option<impl Display>) -> Fact {
    plain_fact(name, value.map_or_else(|| "none".to_owned(), |value| value.to_string()))
}

fn plain_fact(name: &'static str, text: String) -> Fact {
    Fact {
        name,
        text,
        is_secret: false,
    }
}

fn secret_fact(name: &'static str, digests: impl Debug) -> Fact {
    Fact {
        name,
        text: format!("{digests:?}"),
        is_secret: true,
    }
}

/// The reloadable half as named things with plain fields: indices, which shift when something is added, become names.
fn facts(runtime: &Runtime) -> Facts {
    let Runtime {
        snapshot,
        client_keys,
        credentials,
        care,
        limits,
        health,
    } = runtime;
    let Care {
        accounts,
        deployments: declared,
        equivalents,
        writes,
    } = care;
    let Snapshot {
        clients,
        routes,
        pools,
        deployments,
        resources,
        route_by_model: _, // names and aliases of `routes`
        replicas,
    } = &**snapshot;
    let mut facts = Facts::new();
    facts.insert("limits".to_owned(), limit_facts(limits));
    facts.insert("health".to_owned(), health_facts(health));
    facts.insert("gateways".to_owned(), vec![fact("replicas", replicas)]);
    facts.insert("azure".to_owned(), vec![fact("writes", writes)]);
    for (position, client) in clients.iter().enumerate() {
        let keys = client_keys.iter().filter(|key| key.client == ClientIx(position));
        let mut digests: Vec<_> = keys.map(|key| key.digest).collect();
        digests.sort_unstable();
        facts.insert(
            format!("client `{}`", client.id),
            client_facts(snapshot, client, &digests),
        );
    }
    for route in routes {
        facts.insert(format!("route `{}`", route.id), route_facts(snapshot, route));
    }
    for (pool, equivalents) in pools.iter().zip(equivalents) {
        facts.insert(format!("pool `{}`", pool.id), pool_facts(snapshot, pool, equivalents));
    }
    for (deployment, declared) in deployments.iter().zip(declared) {
        let mut fields = deployment_facts(deployment);
        fields.extend(declared_facts(declared));
        facts.insert(format!("deployment `{}`", deployment.id), fields);
    }
    for ((resource, credential), account) in resources.iter().zip(credentials).zip(accounts) {
        let mut fields = resource_facts(resource, credential);
        fields.push(optional_fact("account", account.as_ref()));
        facts.insert(format!("resource `{}`", resource.id), fields);
    }
    facts
}

fn limit_facts(limits: &Limits) -> Vec<Fact> {
    let Limits {
        body_bytes,
        held_bytes,
        body_time,
        head_time,
        connections,
        running_requests,
        max_delay,
    } = limits;
    vec![
        fact("body_size", body_bytes),
        fact("held_bodies", held_bytes),
        fact("body_time", body_time),
        fact("head_time", head_time),
        fact("connections", connections),
        fact("running_requests", running_requests),
        fact("max_delay", max_delay),
    ]
}

fn health_facts(health: &Rules) -> Vec<Fact> {
    let Rules {
        consecutive_failures,
        failure_ratio,
        ratio_requests,
        open_for,
        slow_start,
        max_ejected,
        throttle_default,
        throttle_max,
    } = health;
    vec![
        fact("consecutive_failures", consecutive_failures),
        fact("failure_ratio", failure_ratio),
        fact("ratio_requests", ratio_requests),
        fact("open_for", open_for),
        fact("slow_start", slow_start),
        fact("max_ejected", max_ejected),
        fact("throttle_default", throttle_default),
        fact("throttle_max", throttle_max),
    ]
}

fn client_facts(snapshot: &Snapshot, client: &Client, digests: &[[u8; 32]]) -> Vec<Fact> {
    let Client {
        id: _,
        routes,
        debug_headers,
        priority,
        limits,
    } = client;
    let routes = match routes {
        RouteAccess::All => "all".to_owned(),
        RouteAccess::Only(routes) => {
            let names: Vec<&str> = routes.iter().map(|route| &**snapshot.routes[route.0].id).collect();
            format!("{names:?}")
        }
    };
    vec![
        plain_fact("routes", routes),
        fact("debug_headers", debug_headers),
        plain_fact("priority", priority.as_ref().to_owned()),
        plain_fact("limits", use_limits_text(limits)),
        secret_fact("keys", digests),
    ]
}

fn route_facts(snapshot: &Snapshot, route: &Route) -> Vec<Fact> {
    let Route {
        id: _,
        aliases,
        pool,
        residency,
        policy,
        failover,
        timeouts,
        waiting,
        limits,
        client_limits,
    } = route;
    vec![
        fact("aliases", aliases),
        plain_fact("pool", format!("`{}`", snapshot.pools[pool.0].id)),
        optional_fact("residency", residency.as_ref().map(texts::residency)),
        plain_fact("policy", policy.as_ref().to_owned()),
        plain_fact("failover", texts::failover(failover)),
        plain_fact("timeouts", texts::timeouts(timeouts)),
        plain_fact("waiting", texts::waiting(waiting)),
        plain_fact("limits", use_limits_text(limits)),
        plain_fact("client_limits", use_limits_text(client_limits)),
    ]
}

/// Limits as the file has them.
fn use_limits_text(rule: &LimitRule) -> String {
    let LimitRule {
        requests_per_minute,
        tokens_per_minute,
        concurrency,
    } = rule;
    let members = [
        ("requests_per_minute", requests_per_minute),
        ("tokens_per_minute", tokens_per_minute),
        ("concurrency", concurrency),
    ];
    let known = members
        .iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{name}: {limit}")));
    let known = known.collect::<Vec<_>>().join(", ");
    if known.is_empty() {
        return "none".to_owned();
    }
    format!("{{{known}}}")
}

fn pool_facts(snapshot: &Snapshot, pool: &Pool, equivalents: &[Vec<String>]) -> Vec<Fact> {
    let Pool { id: _, tiers } = pool;
    let shown = |tier: &Vec<Member>| {
        let parts = texts::shares(tier.iter().map(|member| member.weight));
        let named = tier.iter().zip(parts);
        let named = named.map(|(member, share)| format!("{} {share}", snapshot.deployments[member.deployment.0].id));
        format!("[{}]", named.collect::<Vec<_>>().join(", "))
    };
    let tiers: Vec<String> = tiers.iter().map(shown).collect();
    vec![
        plain_fact("tiers", tiers.join(", then ")),
        fact("equivalent_models", equivalents),
    ]
}

fn deployment_facts(deployment: &Deployment) -> Vec<Fact> {
    let Deployment {
        id: _, // holds the resource's name and its own
        name: _,
        resource: _,
        sku,
        capacity,
        model,
        cache_keys,
        stream_usage,
        created_at_ms,
        inactivity_days,
        price,
    } = deployment;
    let created_at = created_at_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    vec![
        fact("sku", sku),
        optional_fact("capacity", *capacity),
        optional_fact("model", model.as_deref()),
        plain_fact("prompt_cache_key", cache_keys.as_ref().to_owned()),
        fact("stream_usage", stream_usage),
        optional_fact("created_at", created_at),
        optional_fact("inactivity_days", *inactivity_days),
        optional_fact("price", price.as_ref().map(price_text)),
    ]
}

fn declared_facts(declared: &DeclaredDeployment) -> Vec<Fact> {
    let DeclaredDeployment {
        model,
        settings,
        inactivity,
    } = declared;
    vec![
        optional_fact("deployed model", model.as_ref().map(texts::declared_model)),
        optional_fact("rai_policy_name", settings.rai_policy_name.as_deref()),
        optional_fact("inactivity", inactivity.map(texts::inactivity)),
    ]
}

/// A price as the file has it.
fn price_text(price: &Price) -> String {
    let known = price
        .members()
        .into_iter()
        .filter_map(|(name, price)| price.map(|price| format!("{name}: {price}")));
    format!("{{{}}}", known.collect::<Vec<_>>().join(", "))
}

fn resource_facts(resource: &Resource, credential: &Credential) -> Vec<Fact> {
    let Resource {
        id: _,
        region,
        endpoint,
        api,
    } = resource;
    let Endpoint {
        tls,
        host: _, // part of the authority
        port,
        authority,
        base_path,
        http2,
    } = endpoint;
    let scheme = if *tls { "https" } else { "http" };
    let api = match api {
        ApiForm::Classic { api_version } => format!("classic {api_version}"),
        ApiForm::V1 => "v1".to_owned(),
    };
    let digest = |secret: &Secret| secret.digest();
    let credential = match credential {
        Credential::ApiKey(secret) => ("api_key", digest(secret)),
        Credential::Bearer(secret) => ("token", digest(secret)),
        Credential::Entra(login) => ("entra", digest(&Secret::new(format!("{login:?}")))),
    };
    vec![
        plain_fact("region", format!("`{region}`")),
        plain_fact("endpoint", format!("`{scheme}://{authority}{base_path}`")),
        fact("port", port),
        fact("http2", http2),
        plain_fact("api", api),
        secret_fact("credential", credential),
    ]
}

mod texts;

#[cfg(test)]
mod tests;
