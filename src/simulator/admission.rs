//! Which deployment takes this request: the one asked, or the one it spills over to?
//!
//! A provisioned deployment that is full hands over to a standard deployment of the same account when it, or else the
//! request, names one. When that one is throttled too, the first refusal is the answer. Spillover on 500, 503
//! and long prompts is not modelled.

use std::sync::Arc;

use crate::simulator::engine::{Admitted, Demand};
use crate::simulator::limits::{Remaining, Throttled};
use crate::simulator::world::{Account, Deployment, World};

/// A request that found its deployment.
#[derive(Debug)]
pub struct Admission {
    /// The one that serves.
    pub deployment: Arc<Deployment>,
    /// When it does what.
    pub admitted: Admitted,
    /// Its limits, for the headers; none on provisioned deployments.
    pub remaining: Option<Remaining>,
    /// Whether it is not the one asked.
    pub spilled: bool,
}

/// A request that no deployment took.
#[derive(Debug)]
pub struct Refused {
    /// The first refusal.
    pub throttled: Throttled,
    /// Whether a spillover was tried.
    pub spillover_failed: bool,
}

/// Finds the deployment.
///
/// # Errors
/// When it is throttled, and its spillover too.
pub fn admit(
    world: &World,
    account: &Account,
    asked: &Arc<Deployment>,
    spill_header: Option<&str>,
    demand: &Demand,
) -> Result<Admission, Refused> {
    let throttled = match try_one(world, account, asked, demand) {
        Ok((admitted, remaining)) => {
            return Ok(Admission {
                deployment: Arc::clone(asked),
                admitted,
                remaining,
                spilled: false,
            });
        }
        Err(throttled) => throttled,
    };
    let target = asked.spec.spillover_deployment.as_deref().or(spill_header);
    let target = target.filter(|_| asked.spec.sku.is_provisioned());
    let target = target
        .and_then(|name| account.deployment(name))
        .filter(|other| !other.spec.sku.is_provisioned());
    let Some(target) = target else {
        return Err(Refused {
            throttled,
            spillover_failed: false,
        });
    };
    match try_one(world, account, &target, demand) {
        Ok((admitted, remaining)) => Ok(Admission {
            deployment: target,
            admitted,
            remaining,
            spilled: true,
        }),
        Err(_) => Err(Refused {
            throttled,
            spillover_failed: true,
        }),
    }
}

fn try_one(
    world: &World,
    account: &Account,
    deployment: &Deployment,
    demand: &Demand,
) -> Result<(Admitted, Option<Remaining>), Throttled> {
    let reduction = world.faults.limit_reduction(&account.spec.name, &deployment.spec.name);
    let now = world.clock.now();
    let mut engine = deployment.engine.lock();
    let admitted = engine.admit(now, demand, reduction)?;
    Ok((admitted, engine.remaining(now, reduction)))
}
