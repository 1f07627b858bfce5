//! Entries of one `model_name` become a pool and a route; aliases and fallbacks are added to them.
//!
//! Tiers are by `order`, what has the weight 0 behind the others of its order, then the tiers of the groups that are fallen back to. So a
//! fallback is answered under the name that was asked for, by another model: that is what LiteLLM does too.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::import::fleet::{name_of, unique};
use crate::config::import::models::Entry;
use crate::config::import::report::{Grade, Report};
use crate::config::import::settings::{ATTEMPTS_MAX, Settings, deadline, text, timeouts};
use crate::config::import::source::Node;
use crate::config::raw::fleet::{RawMember, RawPool, RawRoute, RawWeighted};
use crate::config::raw::rules::{RawFailover, RawTimeouts, RawUseLimits, RawWaiting};
use crate::config::scalars::{DeploymentRef, ModelName, Name};

/// Most tiers of a pool.
const TIERS_MAX: usize = 16;
/// Longest model name.
const MODEL_CHARS_MAX: usize = 128;
/// Most aliases of a route.
const ALIASES_MAX: usize = 64;
/// Attempts where nothing is said of them.
const ATTEMPTS_BUILT_IN: u32 = 3;

/// A deployment's place in a tier.
#[derive(Debug, Clone)]
struct Member {
    reference: String,
    weight: Option<f64>,
}

/// Entries of one name.
struct Group<'a> {
    model_name: &'a str,
    entries: Vec<Entry<'a>>,
    tiers: Vec<Vec<Member>>,
    route: RawRoute,
}

/// Makes pools and routes, and tells of names, weights, aliases and fallbacks.
pub(super) fn build<'a>(
    entries: Vec<Entry<'a>>,
    settings: &Settings<'a>,
    report: &mut Report,
) -> (Vec<RawPool>, Vec<RawRoute>) {
    let mut groups = collect(entries, settings, report);
    add_aliases(&mut groups, settings, report);
    add_fallbacks(&mut groups, settings, report);
    let pools = groups.iter().map(|group| RawPool {
        name: group.route.pool.clone(),
        tiers: group
            .tiers
            .iter()
            .map(|tier| tier.iter().map(member).collect())
            .collect(),
        equivalent_models: Vec::new(),
    });
    let pools = pools.collect();
    (pools, groups.into_iter().map(|group| group.route).collect())
}

fn member(member: &Member) -> RawMember {
    let deployment = DeploymentRef(member.reference.clone());
    match member.weight {
        Some(weight) => RawMember::Weighted(RawWeighted { deployment, weight }),
        None => RawMember::Plain(deployment),
    }
}

/// Groups in the order of their first entries.
fn collect<'a>(entries: Vec<Entry<'a>>, settings: &Settings<'a>, report: &mut Report) -> Vec<Group<'a>> {
    let mut sorted: Vec<(&str, Vec<Entry<'_>>)> = Vec::new();
    for entry in entries {
        match sorted.iter_mut().find(|(name, _)| *name == entry.model_name) {
            Some((_, entries)) => entries.push(entry),
            None => sorted.push((entry.model_name, vec![entry])),
        }
    }
    let mut groups: Vec<Group<'_>> = Vec::with_capacity(sorted.len());
    for (model_name, entries) in sorted {
        let pools: Vec<&str> = groups.iter().map(|group| group.route.pool.0.as_str()).collect();
        let pool = unique(&name_of(model_name), &pools);
        let routes: Vec<&str> = groups.iter().map(|group| group.route.name.0.as_str()).collect();
        let route = if is_model_name(model_name) {
            model_name.to_owned()
        } else {
            unique(&name_of(model_name), &routes)
        };
        for (index, entry) in entries.iter().enumerate() {
            tell_name(report, entry, &route, &pool, index == 0);
        }
        let tiers = tiers(&entries, settings, report);
        let route = route_of(route, pool, &entries, settings, report);
        groups.push(Group {
            model_name,
            entries,
            tiers,
            route,
        });
    }
    groups
}

fn tell_name(report: &mut Report, entry: &Entry<'_>, route: &str, pool: &str, is_first: bool) {
    if route != entry.model_name {
        let remark = format!(
            "clients must ask for `{route}`: a name here has letters, digits, `-`, `_`, `.` and `:` alone, so that it fits into a path"
        );
        report.tell(&entry.named, Grade::Manual, remark);
    } else if is_first {
        report.tell(
            &entry.named,
            Grade::Exact,
            format!("route `{route}`, with pool `{pool}`"),
        );
    } else {
        report.tell(&entry.named, Grade::Exact, format!("another member of pool `{pool}`"));
    }
}

/// Members by order, lowest first; those without one come last.
fn tiers(entries: &[Entry<'_>], settings: &Settings<'_>, report: &mut Report) -> Vec<Vec<Member>> {
    let mut by_order: BTreeMap<i64, Vec<&Entry<'_>>> = BTreeMap::new();
    let mut known: Vec<&str> = Vec::new();
    for entry in entries {
        if known.contains(&entry.reference.as_str()) {
            let remark = "the same deployment twice in a group: it is a member once";
            report.tell(&entry.named, Grade::Approximate, remark);
        } else {
            known.push(&entry.reference);
            by_order.entry(entry.order.unwrap_or(i64::MAX)).or_default().push(entry);
        }
    }
    let tiers = by_order.values().flat_map(|entries| weighed(entries, settings, report));
    bounded(tiers.collect())
}

/// The tier of one order, by one measure as LiteLLM's shuffle has it, weight or else requests a minute; and a tier of those that have no
/// share by it.
fn weighed(entries: &[&Entry<'_>], settings: &Settings<'_>, report: &mut Report) -> Vec<Vec<Member>> {
    let by_weight = entries.iter().any(|entry| entry.weight.is_some());
    let by_rpm = !by_weight && entries.iter().any(|entry| entry.rpm.is_some());
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for entry in entries {
        if let Some((_, node)) = &entry.weight {
            let grade = if settings.policy.is_none() {
                Grade::Exact
            } else {
                Grade::Approximate
            };
            report.tell(node, grade, "the member's `weight` in its tier");
        }
        if let Some((_, node)) = &entry.rpm {
            let remark = if by_rpm {
                "the member's `weight` in its tier; no bound: Azure's own limit follows from `capacity`, and `limits` bound a route"
            } else {
                "not used: `weight` decides in this group, and Azure's own limit follows from `capacity`"
            };
            report.tell(node, Grade::Approximate, remark);
        }
        let measure = if by_weight { &entry.weight } else { &entry.rpm };
        let weight = measure
            .as_ref()
            .map(|(number, _)| number.min(1e9))
            .filter(|number| *number > 0.0);
        let member = Member {
            reference: entry.reference.clone(),
            weight,
        };
        if (by_weight || by_rpm) && weight.is_none() {
            let remark =
                "no share where others of its order have one: a tier behind them, for when none of them can be used";
            report.tell(&entry.named, Grade::Approximate, remark);
            rest.push(member);
        } else {
            first.push(member);
        }
    }
    [first, rest].into_iter().filter(|tier| !tier.is_empty()).collect()
}

/// At most as many tiers as a pool may have; the rest joins the last.
fn bounded(mut tiers: Vec<Vec<Member>>) -> Vec<Vec<Member>> {
    let rest = tiers.split_off(tiers.len().min(TIERS_MAX));
    if let Some(last) = tiers.last_mut() {
        last.extend(rest.into_iter().flatten());
    }
    tiers
}

fn route_of<'a>(
    name: String,
    pool: String,
    entries: &[Entry<'a>],
    settings: &Settings<'a>,
    report: &mut Report,
) -> RawRoute {
    let retries = entries.iter().filter_map(|entry| entry.retries).max();
    let of_group = settings
        .group_retries
        .iter()
        .find(|(group, _)| entries.first().is_some_and(|entry| entry.model_name == *group));
    let retries = retries.or(of_group.map(|(_, retries)| *retries));
    let whole: Option<Duration> = entries.iter().filter_map(|entry| entry.timeout).max();
    let stream = entries.iter().filter_map(|entry| entry.stream_timeout).max();
    RawRoute {
        name: ModelName(name),
        aliases: Vec::new(),
        pool: Name(pool),
        residency: None,
        policy: None,
        failover: RawFailover {
            max_attempts: retries.map(|retries| retries.saturating_add(1).min(ATTEMPTS_MAX)),
            deadline: deadline(whole).map(text),
            ..RawFailover::default()
        },
        timeouts: if whole.or(stream).is_some() {
            timeouts(whole, stream)
        } else {
            RawTimeouts::default()
        },
        waiting: RawWaiting::default(),
        limits: RawUseLimits {
            concurrency: concurrency(entries, report),
            ..RawUseLimits::default()
        },
        client_limits: RawUseLimits::default(),
    }
}

/// What all together may run at one time, where each says it.
fn concurrency(entries: &[Entry<'_>], report: &mut Report) -> Option<u32> {
    let each: Vec<_> = entries.iter().map(|entry| entry.parallel.as_ref()).collect();
    let is_complete = each.iter().all(Option::is_some);
    for (_, node) in each.iter().copied().flatten() {
        if is_complete {
            let remark =
                "`limits.concurrency` of the route is the sum of its group; no deployment has a bound of its own";
            report.tell(node, Grade::Approximate, remark);
        } else {
            let remark = "no deployment has a bound of its own, and others of the group have none: write `limits.concurrency` on the route";
            report.tell(node, Grade::Unsupported, remark);
        }
    }
    let sum = each
        .iter()
        .flatten()
        .map(|(most, _)| *most)
        .fold(0_u32, u32::saturating_add);
    is_complete.then_some(sum.min(1_000_000)).filter(|sum| *sum > 0)
}

fn add_aliases(groups: &mut [Group<'_>], settings: &Settings<'_>, report: &mut Report) {
    for (alias, node) in &settings.aliases {
        let target = node.text().or_else(|| node.get("model")?.text());
        let is_hidden = node.get("hidden").and_then(|hidden| hidden.truth()) == Some(true);
        let is_taken = groups.iter().any(|group| {
            let names = std::iter::once(&group.route.name).chain(&group.route.aliases);
            names.into_iter().any(|name| name.0 == *alias)
        });
        let group = groups.iter_mut().find(|group| Some(group.model_name) == target);
        let Some(group) = group else {
            let remark = "leads to no model that was carried over";
            report.tell(node, Grade::Unsupported, remark);
            continue;
        };
        if is_taken {
            report.tell(
                node,
                Grade::Unsupported,
                "another route has this name; a name leads to one route",
            );
        } else if !is_model_name(alias) || group.route.aliases.len() == ALIASES_MAX {
            let remark = format!(
                "clients must ask for `{}`: an alias has letters, digits, `-`, `_`, `.` and `:` alone, and a route has {ALIASES_MAX} at most",
                group.route.name.0
            );
            report.tell(node, Grade::Manual, remark);
        } else {
            group.route.aliases.push(ModelName((*alias).to_owned()));
            let remark = format!("`aliases` of route `{}`", group.route.name.0);
            if is_hidden {
                report.tell(node, Grade::Approximate, remark + ", which lists of models show too");
            } else {
                report.tell(node, Grade::Exact, remark);
            }
        }
    }
}

fn add_fallbacks(groups: &mut [Group<'_>], settings: &Settings<'_>, report: &mut Report) {
    // Their tiers before any was added, so that a fallback's own fallback is not followed, and a circle has no end to look for.
    let plain: Vec<Vec<Vec<Member>>> = groups.iter().map(|group| group.tiers.clone()).collect();
    let mut has_own = vec![false; groups.len()];
    for fallbacks in &settings.fallbacks {
        let found = find(groups, settings, fallbacks.group);
        let Some(index) = found else {
            let remark = "of a model that was not carried over";
            report.tell(&fallbacks.node, Grade::Unsupported, remark);
            continue;
        };
        has_own[index] = true;
        fall_back(groups, &plain, index, &fallbacks.node, settings, report);
    }
    if let Some(node) = &settings.default_fallbacks {
        for index in (0..groups.len()).filter(|index| !has_own[*index]) {
            fall_back(groups, &plain, index, node, settings, report);
        }
    }
}

/// Adds what one group falls back to.
fn fall_back(
    groups: &mut [Group<'_>],
    plain: &[Vec<Vec<Member>>],
    index: usize,
    node: &Node<'_>,
    settings: &Settings<'_>,
    report: &mut Report,
) {
    let targets = if node.is_list() {
        node.items()
    } else {
        vec![node.clone()]
    };
    let mut added = 0_u32;
    for target in targets {
        let Some(name) = target.text() else {
            let remark = "not understood: prompts of its own are not sent; name a model";
            report.tell(&target, Grade::Unsupported, remark);
            continue;
        };
        let tiers = match (find(groups, settings, name), one_by_id(groups, name)) {
            (Some(other), _) => plain[other].clone(),
            (None, Some(member)) => vec![vec![member]],
            (None, None) => {
                report.tell(&target, Grade::Unsupported, "no model that was carried over");
                continue;
            }
        };
        let group = &mut groups[index];
        let known: Vec<String> = group
            .tiers
            .iter()
            .flatten()
            .map(|member| member.reference.clone())
            .collect();
        let new = tiers.into_iter().map(|mut tier| {
            tier.retain(|member| !known.contains(&member.reference));
            tier
        });
        let new: Vec<Vec<Member>> = new.filter(|tier| !tier.is_empty()).collect();
        if !new.is_empty() {
            added += 1;
            group.tiers.extend(new);
            group.tiers = bounded(std::mem::take(&mut group.tiers));
        }
        let remark = "further tiers of the pool, for any failure and for lack of room; where `azure` looks after the accounts, \
                    name the models in `equivalent_models`, or they get nothing";
        report.tell(&target, Grade::Approximate, remark);
    }
    if added > 0 {
        let group = &mut groups[index];
        let each = group.route.failover.max_attempts.or_else(|| settings.attempts());
        let all = each
            .unwrap_or(ATTEMPTS_BUILT_IN)
            .saturating_mul(added + 1)
            .min(ATTEMPTS_MAX);
        group.route.failover.max_attempts = Some(all);
    }
}

/// A group by its name or an alias of it.
fn find(groups: &[Group<'_>], settings: &Settings<'_>, name: &str) -> Option<usize> {
    let alias = settings.aliases.iter().find(|(alias, _)| *alias == name);
    let meant = alias.and_then(|(_, node)| node.text().or_else(|| node.get("model")?.text()));
    groups
        .iter()
        .position(|group| group.model_name == name)
        .or_else(|| groups.iter().position(|group| Some(group.model_name) == meant))
}

/// A deployment by the id that an entry gives it.
fn one_by_id(groups: &[Group<'_>], id: &str) -> Option<Member> {
    let entry = groups
        .iter()
        .flat_map(|group| &group.entries)
        .find(|entry| entry.id == Some(id))?;
    Some(Member {
        reference: entry.reference.clone(),
        weight: None,
    })
}

/// Whether a name can be a route's.
fn is_model_name(name: &str) -> bool {
    name.len() <= MODEL_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
}
