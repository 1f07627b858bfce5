//! Routes that are bound to regions: each gets a pool of its own that holds only what keeps to them, so that nothing downstream can
//! cross the bound.

use crate::config::compile::context::Context;
use crate::config::compile::fleet::Fleet;
use crate::config::errors::Pointer;
use crate::config::raw::fleet::RawRoute;
use crate::config::raw::rules::{RawElsewhere, RawResidency};
use crate::config::suggest;
use crate::core::ids::{DeploymentId, PoolId, Region};
use crate::core::topology::{Member, Pool, PoolIx, Reach, Residency, Route, Sku};

/// Binds routes to their regions. Returns the pools that come behind the configured ones.
pub(super) fn compile(context: &mut Context<'_>, raw: &[RawRoute], routes: &mut [Route], fleet: &Fleet) -> Vec<Pool> {
    let mut pools = Vec::new();
    for (position, (raw, route)) in raw.iter().zip(routes).enumerate() {
        // A pool that is not there has been reported; another stands in its place.
        let pool = fleet.pools.get(route.pool.0).filter(|pool| **pool.id == *raw.pool.0);
        let (Some(residency), Some(pool)) = (&raw.residency, pool) else {
            continue;
        };
        let at = Pointer::root().key("routes").index(position).key("residency");
        let regions: Vec<Region> = residency
            .regions
            .iter()
            .enumerate()
            .map(|(index, written)| region(context, &at.key("regions").index(index), written, fleet))
            .collect();
        let (kept, excluded) = divide(pool, residency, &regions, fleet);
        if kept.is_empty() && !pool.tiers.is_empty() {
            context.error(
                &at,
                format!(
                    "none of the deployments of pool `{}` keeps to it: {}",
                    pool.id,
                    reasons(&excluded)
                ),
                misspelt(&residency.regions, fleet).unwrap_or_else(|| {
                    "another region, another pool, or `allow` for deployment types that Azure may process elsewhere"
                        .to_owned()
                }),
            );
        } else if !excluded.is_empty() {
            context.warn(
                &at,
                format!("not used for `{}`: {}", route.id, reasons(&excluded)),
                None,
            );
        }
        let excluded: Vec<DeploymentId> = excluded.into_iter().map(|(id, _)| id).collect();
        if !excluded.is_empty() {
            let id = PoolId::from(format!("{}@{}", pool.id, route.id));
            route.pool = PoolIx(fleet.pools.len() + pools.len());
            pools.push(Pool { id, tiers: kept });
        }
        route.residency = Some(Residency { regions, excluded });
    }
    pools
}

fn region(context: &mut Context<'_>, at: &Pointer, written: &str, fleet: &Fleet) -> Region {
    let region = Region::from(context.text(at, written));
    if !fleet.resources.iter().any(|resource| resource.region == region) {
        context.warn(
            at,
            format!("no resource is in `{written}`"),
            misspelt(&[written.to_owned()], fleet)
                .unwrap_or_else(|| format!("resources are in {}", known(fleet).join(", "))),
        );
    }
    region
}

/// The regions that resources are in, as they are written: what is behind a reference is not for messages.
fn known(fleet: &Fleet) -> Vec<&str> {
    let mut known: Vec<&str> = fleet.regions_written.iter().map(String::as_str).collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// What was probably meant by the first of the regions that is nearly one that resources are in.
fn misspelt(written: &[String], fleet: &Fleet) -> Option<String> {
    let known = known(fleet);
    let mut others = written.iter().filter(|region| !known.contains(&region.as_str()));
    others
        .find_map(|region| suggest::nearest(region, &known))
        .map(suggest::did_you_mean)
}

/// A deployment that is not used, and why.
type Excluded = (DeploymentId, String);

fn divide(
    pool: &Pool,
    residency: &RawResidency,
    regions: &[Region],
    fleet: &Fleet,
) -> (Vec<Vec<Member>>, Vec<Excluded>) {
    let mut excluded = Vec::new();
    let mut keeps = |member: &&Member| {
        let deployment = &fleet.deployments[member.deployment.0];
        let region = &fleet.resources[deployment.resource.0].region;
        let why = if !regions.contains(region) {
            format!("in {}", fleet.regions_written[deployment.resource.0])
        } else if !may_reach(deployment.sku, &residency.allow) {
            format!("{} may be processed elsewhere", deployment.sku.as_str())
        } else {
            return true;
        };
        excluded.push((deployment.id.clone(), why));
        false
    };
    let tiers: Vec<Vec<Member>> = pool
        .tiers
        .iter()
        .map(|tier| tier.iter().filter(&mut keeps).cloned().collect::<Vec<_>>())
        .collect();
    (tiers.into_iter().filter(|tier| !tier.is_empty()).collect(), excluded)
}

fn may_reach(sku: Sku, allowed: &[RawElsewhere]) -> bool {
    match sku.reach() {
        Reach::Region => true,
        Reach::DataZone => allowed.contains(&RawElsewhere::DataZone),
        Reach::Global if sku == Sku::DeveloperTier => allowed.contains(&RawElsewhere::Developer),
        Reach::Global => allowed.contains(&RawElsewhere::Global),
    }
}

fn reasons(excluded: &[Excluded]) -> String {
    let reasons: Vec<String> = excluded.iter().map(|(id, why)| format!("`{id}` ({why})")).collect();
    reasons.join(", ")
}
