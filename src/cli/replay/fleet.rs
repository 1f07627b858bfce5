//! The fleet that a configuration tells of, as a replay can play it: deployments that are all alike.
//!
//! Limits that differ are taken as their mean, so that the sum is right; prices that differ cannot be averaged without knowing where
//! requests went, so flags must tell them. Tiers are not played. Secrets do not matter here: a variable that is not set stands for itself.

use std::path::Path;

use anyhow::Context as _;

use super::ReplayArgs;
use crate::config;
use crate::config::checked::Checked;
use crate::config::errors::ConfigErrors;
use crate::config::secrets::process_variables;
use crate::core::topology::{Deployment, Price, Snapshot};
use crate::replay::trace::Trace;

/// What a route's pool has.
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

/// The fleet behind the route that all traces are of.
///
/// # Errors
/// When traces tell no route, or several, or one that is not configured.
pub(super) fn of(snapshot: &Snapshot, traces: &[Trace]) -> anyhow::Result<Fleet> {
    let routes = || traces.iter().map(|trace| trace.route.as_deref());
    let route = routes().next().flatten();
    let route = route.context("`--config` needs a trace that tells its route, or `--route`")?;
    anyhow::ensure!(
        routes().all(|other| other == Some(route)),
        "with `--config` all traces must be of one route; play them one after the other"
    );
    let ix = snapshot.route_by_model.get(route);
    let ix = ix.with_context(|| format!("the configuration has no route `{route}`, which the trace is of"))?;
    let pool = &snapshot.pools[snapshot.routes[ix.0].pool.0];
    let members = pool.members().map(|member| &snapshot.deployments[member.deployment.0]);
    let members: Vec<&Deployment> = members.collect();
    let mut notes = Vec::new();
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
pools: [{ name: bot, tiers: [[contoso/one, contoso/two]] }]
routes: [{ name: bot, pool: bot }]
";

    fn fleet(hour: &str, route: Option<&str>) -> anyhow::Result<(Fleet, Trace)> {
        let text = CONFIG.replace("HOUR", hour);
        let variables = |name: &str| Some(name.to_owned());
        let checked = config::load::compile_text(&text, Path::new("emberway.yaml"), &variables)?;
        let trace = Trace {
            route: route.map(str::to_owned),
            ..Trace::default()
        };
        let fleet = of(&checked.runtime.snapshot, std::slice::from_ref(&trace))?;
        Ok((fleet, trace))
    }

    fn applied(flags: &[&str]) -> (ReplayArgs, Trace) {
        let (fleet, mut trace) = fleet("3", Some("bot")).expect("a fleet");
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
        let (told, _) = fleet("4", Some("bot")).expect("a fleet");
        assert_eq!(told.price, None);
        for part in [
            "prices differ",
            "each deployment is played with their mean, 150000",
            "0 deployments answered",
        ] {
            assert!(
                told.notes.iter().any(|note| note.contains(part)),
                "{part}: {:?}",
                told.notes
            );
        }
        for (route, part) in [(None, "tells its route"), (Some("other"), "has no route `other`")] {
            let message = fleet("3", route).expect_err("is refused").to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
