//! The fleet that a configuration tells of, as a replay can play it: deployments that are all alike.
//!
//! Limits that differ are taken as their mean, so that the sum is right; prices that differ cannot be averaged without knowing where
//! requests went, so flags must tell them. Tiers are not played. Secrets do not matter here: a variable that is not set stands for itself.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

use super::ReplayArgs;
use crate::config;
use crate::config::checked::Checked;
use crate::config::errors::ConfigErrors;
use crate::config::secrets::process_variables;
use crate::core::topology::{Deployment, PoolIx, Price, Snapshot};
use crate::replay::trace::Trace;

/// What a pool has.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fleet {
    /// Deployments of the pool, all tiers.
    deployments: usize,
    /// Mean limit; none where not all are known.
    tokens_per_minute: Option<f64>,
    /// What each costs; none where they differ or are not known.
    price: Option<Price>,
    /// What is not as configured.
    notes: Vec<String>,
}

/// Reads and checks a configuration.
pub(super) fn load(file: &Path) -> Result<Checked, ConfigErrors> {
    config::load::load(file, &|name| process_variables(name).or_else(|| Some(name.to_owned())))
}

/// The fleet behind the routes that the traces are of.
///
/// # Errors
/// When a trace tells no route, or one that is not configured, or they are not all of one pool.
pub(super) fn of(snapshot: &Snapshot, traces: &[Trace]) -> anyhow::Result<Fleet> {
    let pool_ix = pool_of(snapshot, traces)?;
    let pool = &snapshot.pools[pool_ix.0];
    let members = pool.members().map(|member| &snapshot.deployments[member.deployment.0]);
    let members: Vec<&Deployment> = members.collect();
    let mut notes = Vec::new();
    notes.extend(left_out(snapshot, pool_ix, traces));
    let tokens_per_minute = limit(&members, &mut notes);
    let price = price(&members, &mut notes);
    if pool.tiers.len() > 1 {
        notes.push(format!("the {} tiers of the pool are played as one", pool.tiers.len()));
    }
    let answered = traces.iter().map(|trace| trace.actual.deployments).max().unwrap_or(0);
    if answered != members.len() {
        notes.push(format!(
            "{answered} deployments answered in the trace; `actual` is the {} of the configuration",
            members.len()
        ));
    }
    Ok(Fleet {
        deployments: members.len(),
        tokens_per_minute,
        price,
        notes,
    })
}

/// The pool that all traces are of.
fn pool_of(snapshot: &Snapshot, traces: &[Trace]) -> anyhow::Result<PoolIx> {
    anyhow::ensure!(
        traces.iter().all(|trace| !trace.routes.is_empty()),
        "`--config` needs traces that tell their route"
    );
    let routes: BTreeSet<&str> = traces
        .iter()
        .flat_map(|trace| &trace.routes)
        .map(String::as_str)
        .collect();
    let mut pools = Vec::with_capacity(routes.len());
    for route in routes {
        let ix = snapshot.route_by_model.get(route);
        let ix = ix.with_context(|| format!("the configuration has no route `{route}`, which the trace has"))?;
        pools.push((route, snapshot.routes[ix.0].pool));
    }
    let first = pools.first().map_or(PoolIx(0), |(_, pool)| *pool);
    if pools.iter().any(|(_, pool)| *pool != first) {
        let told = pools
            .iter()
            .map(|(route, pool)| format!("`{route}` (pool `{}`)", snapshot.pools[pool.0].id));
        let told: Vec<String> = told.collect();
        anyhow::bail!(
            "with `--config` all that is played must be of one pool, and the routes are {}; choose those of one pool with `--route`",
            told.join(", ")
        );
    }
    Ok(first)
}

/// Routes whose requests are not played although they use some of the pool's deployments.
fn left_out(snapshot: &Snapshot, pool: PoolIx, traces: &[Trace]) -> Option<String> {
    let uses_the_same = |route: &&str| {
        snapshot.route_by_model.get(*route).is_some_and(|ix| {
            let mut theirs = snapshot.pools[snapshot.routes[ix.0].pool.0].members();
            theirs.any(|member| {
                snapshot.pools[pool.0]
                    .members()
                    .any(|own| own.deployment == member.deployment)
            })
        })
    };
    let routes = traces.iter().flat_map(|trace| &trace.left_out).map(String::as_str);
    let routes: BTreeSet<&str> = routes.filter(uses_the_same).collect();
    let routes: Vec<&str> = routes.into_iter().collect();
    (!routes.is_empty()).then(|| {
        format!(
            "the requests of {} use the same deployments and are left out, so limits are tighter than they look here; without `--route` \
             those of the pool are played too",
            routes.join(", ")
        )
    })
}

fn limit(members: &[&Deployment], notes: &mut Vec<String>) -> Option<f64> {
    let limits: Option<Vec<f64>> = members.iter().map(|member| member.tokens_per_minute()).collect();
    let Some(limits) = limits else {
        notes.push("not all deployments have a `capacity`, so limits are multiples of a fair share".to_owned());
        return None;
    };
    let mean = limits.iter().sum::<f64>() / limits.len().max(1) as f64;
    if limits.iter().any(|limit| limit.to_bits() != mean.to_bits()) {
        notes.push(format!(
            "limits differ; each deployment is played with their mean, {mean:.0} tokens a minute"
        ));
    }
    Some(mean)
}

fn price(members: &[&Deployment], notes: &mut Vec<String>) -> Option<Price> {
    let mut prices = members.iter().map(|member| member.price);
    let first = prices.next()??;
    if prices.any(|other| other != Some(first)) {
        notes.push("prices differ; tell them by `--price-input` and the others".to_owned());
        return None;
    }
    Some(first)
}

impl Fleet {
    /// The flags with what the fleet tells in place of those that were not given; its deployments are the traces' real ones.
    pub(super) fn apply(self, args: &ReplayArgs, traces: &mut [Trace]) -> (ReplayArgs, Vec<String>) {
        let mut args = args.clone();
        if args.tokens_per_minute.is_empty() && args.limit_factor.is_empty() {
            args.tokens_per_minute.extend(self.tokens_per_minute);
        }
        if let Some(price) = self.price
            && args.price_input.is_none()
            && let Some((input, cached)) = price.input.zip(price.cached_input)
        {
            (args.price_input, args.price_cached) = (Some(input), Some(cached));
            args.price_output = args.price_output.or(price.output);
            args.price_hour = args.price_hour.or(price.hour);
        }
        for trace in traces {
            trace.actual.deployments = self.deployments;
        }
        (args, self.notes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    const CONFIG: &str = "
admin: { address: '127.0.0.1:0' }
listeners: [{ address: '127.0.0.1:0' }]
clients: [{ name: desk, keys: ['${env:NOT_SET_ANYWHERE}'] }]
resources:
  - name: contoso
    region: eastus2
    endpoint: https://contoso.openai.azure.com
    credential: { api_key: '${env:NOT_SET_EITHER}' }
    deployments:
      - { name: one, sku: Standard, capacity: 100, price: { input: 2, cached_input: 1, output: 8, hour: 3 } }
      - { name: two, sku: Standard, capacity: 200, price: { input: 2, cached_input: 1, output: 8, hour: HOUR } }
pools:
  - { name: bot, tiers: [[contoso/one, contoso/two]] }
  - { name: one, tiers: [[contoso/one]] }
routes: [{ name: bot, pool: bot }, { name: twin, pool: bot }, { name: one, pool: one }]
";

    fn fleet(hour: &str, routes: &[&str]) -> anyhow::Result<(Fleet, Trace)> {
        let text = CONFIG.replace("HOUR", hour);
        let variables = |name: &str| Some(name.to_owned());
        let checked = config::load::compile_text(&text, Path::new("emberway.yaml"), &variables)?;
        let trace = Trace {
            routes: routes.iter().map(|&route| route.to_owned()).collect(),
            left_out: vec!["one".to_owned(), "elsewhere".to_owned()],
            ..Trace::default()
        };
        let fleet = of(&checked.runtime.snapshot, std::slice::from_ref(&trace))?;
        Ok((fleet, trace))
    }

    fn applied(flags: &[&str]) -> (ReplayArgs, Trace) {
        let (fleet, mut trace) = fleet("3", &["bot", "twin"]).expect("a fleet");
        let flags = Flags::try_parse_from(["replay", "t.jsonl"].iter().chain(flags)).expect("flags");
        let (args, _) = fleet.apply(&flags.replay, std::slice::from_mut(&mut trace));
        (args, trace)
    }

    #[test]
    fn a_pool_is_its_deployments_their_mean_limit_and_their_price() {
        let (args, trace) = applied(&[]);
        assert_eq!(
            (trace.actual.deployments, args.limits()),
            (2, vec![(None, Some(150_000.0))])
        );
        let prices = [args.price_input, args.price_cached, args.price_output, args.price_hour];
        assert_eq!(prices, [Some(2.0), Some(1.0), Some(8.0), Some(3.0)]);
        let (args, _) = applied(&["--limit-factor", "4", "--price-input", "5", "--price-cached", "1"]);
        assert_eq!(
            (args.limits(), args.price_hour),
            (vec![(Some(4.0), None)], None),
            "flags count first"
        );
    }

    #[test]
    fn what_cannot_be_played_as_configured_is_said() {
        let (told, _) = fleet("4", &["bot"]).expect("a fleet");
        assert_eq!(told.price, None);
        for part in [
            "prices differ",
            "each deployment is played with their mean, 150000",
            "0 deployments answered",
            "the requests of one use the same deployments and are left out",
        ] {
            assert!(
                told.notes.iter().any(|note| note.contains(part)),
                "{part}: {:?}",
                told.notes
            );
        }
        for (routes, part) in [
            (&[][..], "tell their route"),
            (&["other"], "has no route `other`"),
            (
                &["bot", "one"],
                "the routes are `bot` (pool `bot`), `one` (pool `one`); choose those of one pool with `--route`",
            ),
        ] {
            let message = fleet("3", routes).expect_err("is refused").to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
