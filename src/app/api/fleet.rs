//! What the API tells and does of the fleet: the running gateway's view of it, joined with the configuration, prices and care.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::StatusCode;
use parking_lot::Mutex;

use crate::admin::api::answer::Refusal;
use crate::admin::api::fleet::{Actions, DeploymentShown, FleetActions, FleetAnswer, Pinged, RegionShown};
use crate::admin::status::{DeploymentStatus, Status};
use crate::app::ProcessState;
use crate::app::money::Prices;
use crate::app::sources::{self, Known};
use crate::core::fleet::phoenix::State;
use crate::core::ids::DeploymentId;
use crate::core::recovery::absence::Absence;
use crate::core::recovery::health::Availability;
use crate::core::topology::{Deployment, DeploymentIx};
use crate::fleet::care::Board;
use crate::fleet::care::orders::Orders;
use crate::fleet::declaration::{self, Declaration};
use crate::proxy::state::Live;
use crate::proxy::{Gateway, keepalive};
use crate::telemetry::events::care::Pinged as PingedEvent;
use crate::telemetry::view::{CareView, CaredView};

/// Shortest time between two calls of one deployment.
const PING_AGAIN: Duration = Duration::from_secs(10);

/// The fleet of a running gateway.
pub(in crate::app) struct GatewayFleet {
    gateway: Arc<Gateway>,
    state: Arc<ProcessState>,
    prices: Arc<Prices>,
    board: Arc<Board>,
    orders: Arc<Orders>,
    pings: Arc<Pings>,
}

impl GatewayFleet {
    pub(in crate::app) fn new(gateway: &Arc<Gateway>, state: &Arc<ProcessState>, known: &Known) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            state: Arc::clone(state),
            prices: Arc::clone(&known.prices),
            board: Arc::clone(&known.board),
            orders: Arc::clone(&known.orders),
            pings: Arc::default(),
        }
    }
}

/// Calls that operators make: one at a time for each deployment, and not too often.
#[derive(Debug, Default)]
struct Pings(Mutex<HashMap<DeploymentId, Ping>>);

#[derive(Debug, Clone, Copy)]
enum Ping {
    Running,
    Ended(Instant),
}

impl Pings {
    /// Takes the deployment's turn.
    fn begin(&self, deployment: &DeploymentId, now: Instant) -> Result<(), Refusal> {
        let mut known = self.0.lock();
        // Deployments that went with a reload are forgotten, so that this stays as small as the fleet.
        known.retain(|_, ping| !matches!(ping, Ping::Ended(at) if now.duration_since(*at) >= PING_AGAIN));
        match known.get(deployment) {
            Some(Ping::Running) => Err(Refusal::conflict(
                "a call is running there; wait for its answer",
                "ping_running",
            )),
            Some(Ping::Ended(at)) => {
                let left = PING_AGAIN.saturating_sub(now.duration_since(*at)).as_secs() + 1;
                let message = format!("it was called a moment ago; call it again in {left} s");
                Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, message, "ping_too_soon"))
            }
            None => {
                known.insert(deployment.clone(), Ping::Running);
                Ok(())
            }
        }
    }

    fn end(&self, deployment: &DeploymentId, now: Instant) {
        self.0.lock().insert(deployment.clone(), Ping::Ended(now));
    }
}

#[async_trait]
impl FleetActions for GatewayFleet {
    fn fleet(&self) -> FleetAnswer {
        let care = self.board.load_full();
        let status = sources::status(&self.gateway, &self.state, care.as_deref());
        let live = self.gateway.live.load_full();
        // What ARM would not take is told when the configuration is put to use.
        let declaration = declaration::of(&live.config.runtime).unwrap_or_default();
        let book = self.prices.book();
        let regions = regions(&live, &status);
        let Status { fleet, deployments, .. } = status;
        let shown = deployments.into_iter().filter_map(|status| {
            let at = find(&live, &status.name)?;
            let deployment = &live.config.runtime.snapshot.deployments[at.0];
            let reason = why_not(&live, &declaration, care.as_deref(), deployment);
            let hour = book.as_ref().and_then(|book| book.price(&deployment.id).hour);
            Some(shown(&live, at, status, hour, reason))
        });
        FleetAnswer {
            fleet,
            deployments: shown.collect(),
            regions,
        }
    }

    async fn ping(&self, deployment: &str) -> Result<Pinged, Refusal> {
        let live = self.gateway.live.load_full();
        let at = find(&live, deployment).ok_or_else(|| unknown(&live, deployment))?;
        let id = live.config.runtime.snapshot.deployments[at.0].id.clone();
        let began = Instant::now();
        self.pings.begin(&id, began)?;
        let (gateway, pings) = (Arc::clone(&self.gateway), Arc::clone(&self.pings));
        // A task of its own: the call and its record are made also where whoever asked went away.
        let calling = tokio::spawn(async move {
            let called = keepalive::call(&gateway, &live, at).await;
            pings.end(&id, Instant::now());
            PingedEvent {
                deployment: &id,
                used: called.as_ref().ok().map(|used| (used.prompt, used.completion)),
                error: called.as_ref().err().map(|failed| &*failed.text),
            }
            .emit(&gateway.metrics);
            called
        });
        let called = calling
            .await
            .map_err(|_| Refusal::failed("the call was cut off", "ping_failed"))?;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(match called {
            Ok(used) => Pinged {
                outcome: "success",
                status: Some(200),
                took_ms,
                text: format!(
                    "it answered; {} prompt and {} completion tokens",
                    used.prompt, used.completion
                ),
            },
            Err(failed) => Pinged {
                outcome: if failed.status.is_some() { "refused" } else { "failed" },
                status: failed.status,
                took_ms,
                text: failed.text,
            },
        })
    }

    fn recreate(&self, deployment: &str) -> Result<(), Refusal> {
        let live = self.gateway.live.load_full();
        let at = find(&live, deployment).ok_or_else(|| unknown(&live, deployment))?;
        let deployment = &live.config.runtime.snapshot.deployments[at.0];
        let declaration = declaration::of(&live.config.runtime).unwrap_or_default();
        if let Some(reason) = why_not(&live, &declaration, self.board.load_full().as_deref(), deployment) {
            return Err(Refusal::conflict(reason, "cannot_recreate"));
        }
        self.orders.place(deployment.id.clone());
        Ok(())
    }
}

fn find(live: &Live, name: &str) -> Option<DeploymentIx> {
    let deployments = &live.config.runtime.snapshot.deployments;
    deployments.iter().position(|one| &**one.id == name).map(DeploymentIx)
}

fn unknown(live: &Live, name: &str) -> Refusal {
    let known = live.config.runtime.snapshot.deployments.iter();
    let nearest = known
        .map(|one| (strsim::damerau_levenshtein(name, &one.id), &one.id))
        .min_by_key(|(distance, _)| *distance);
    let hint = nearest.map_or_else(String::new, |(_, near)| format!("; did you mean `{near}`?"));
    let shown: String = name.chars().take(100).collect();
    Refusal {
        param: Some("deployment".into()),
        ..Refusal::not_found(format!("there is no deployment `{shown}`{hint}"), "unknown_deployment")
    }
}

fn shown(
    live: &Live,
    at: DeploymentIx,
    status: DeploymentStatus,
    hour: Option<f64>,
    reason: Option<String>,
) -> DeploymentShown {
    let snapshot = &live.config.runtime.snapshot;
    let deployment = &snapshot.deployments[at.0];
    let (mut pools, mut tiers, mut weights) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for pool in &snapshot.pools {
        let places = pool.tiers.iter().enumerate();
        let mut places = places.filter_map(|(tier, members)| {
            let member = members.iter().find(|member| member.deployment == at)?;
            Some((tier, member.weight))
        });
        if let Some((tier, weight)) = places.next() {
            pools.push(pool.id.to_string());
            tiers.insert(pool.id.to_string(), tier);
            weights.insert(pool.id.to_string(), weight);
        }
    }
    DeploymentShown {
        resource: snapshot.resources[deployment.resource.0].id.to_string(),
        weight: pools.first().and_then(|pool| weights.get(pool).copied()),
        pools,
        tiers,
        weights,
        sku: deployment.sku.as_str().to_owned(),
        capacity: deployment.capacity,
        model: deployment.model.clone(),
        hosting_usd_per_hour: hour,
        recent: None,
        actions: Actions {
            drain: true,
            ping: true,
            recreate: reason.is_none(),
            recreate_reason: reason,
        },
        status,
    }
}

fn regions(live: &Live, status: &Status) -> Vec<RegionShown> {
    let snapshot = &live.config.runtime.snapshot;
    let now = Instant::now();
    let mut regions: Vec<RegionShown> = Vec::new();
    for (at, deployment) in snapshot.deployments.iter().enumerate() {
        let name = &snapshot.resources[deployment.resource.0].region;
        let is_usable = matches!(
            live.availability(DeploymentIx(at), now),
            Availability::Ready | Availability::Probe
        );
        let known = regions.iter().position(|region| *region.name == ***name);
        let known = known.unwrap_or_else(|| {
            regions.push(RegionShown {
                name: name.to_string(),
                deployments: 0,
                usable: 0,
                requests: None,
                errors: None,
                ttft_p95_ms: None,
                headroom: headroom(status, name),
            });
            regions.len() - 1
        });
        regions[known].deployments += 1;
        regions[known].usable += usize::from(is_usable);
    }
    regions
}

fn headroom(status: &Status, region: &str) -> BTreeMap<String, f64> {
    let pools = status.pools.iter();
    pools
        .filter_map(|pool| Some((pool.name.clone(), *pool.headroom.get(region)?)))
        .collect()
}

/// Why a deployment cannot or need not be made again; none where it can.
fn why_not(live: &Live, declaration: &Declaration, care: Option<&CareView>, deployment: &Deployment) -> Option<String> {
    let Some(azure) = &live.config.install.azure else {
        return Some(
            "the configuration names no control plane (`azure`), so nothing can be made at Azure from here".to_owned(),
        );
    };
    if !azure.writes || !declaration.writes {
        return Some("nothing may be written to Azure: `azure.writes` is false".to_owned());
    }
    let declared = declaration
        .declared
        .deployments
        .iter()
        .find(|one| one.id == deployment.id);
    let Some(declared) = declared else {
        return Some(
            "its resource is not declared for the control plane, so the gateway does not know its account at Azure"
                .to_owned(),
        );
    };
    if declaration::order(declared, None).is_none() {
        return Some(
            "the configuration does not say what it is made of: declare its model and its `capacity`".to_owned(),
        );
    }
    if !declared.policy.rebuilds() {
        let policy = declared.policy.as_str();
        return Some(format!(
            "its policy is `{policy}`, which makes nothing again; `emberway fleet apply` does, or the policies `keep` and `recreate`"
        ));
    }
    let Some(care) = care else {
        return Some("Azure has not been read yet; ask again in a minute".to_owned());
    };
    if !care.acts {
        return Some("another gateway on this usage file looks after the fleet: ask that one".to_owned());
    }
    let cared = care
        .deployments
        .iter()
        .find(|cared| cared.deployment == deployment.id)?;
    let at = find(live, &deployment.id)?;
    stands(cared, live.deployments[at.0].state.absent.get())
}

/// The same by how far its rebuilding is.
fn stands(cared: &CaredView, absent: Option<Absence>) -> Option<String> {
    let is = |state: State| cared.state == state.as_str();
    if is(State::Lost) || is(State::GivenUp) {
        return None;
    }
    let reason = if !is(State::There) && !is(State::Doubted) {
        "it is being made already; its state tells how far that is"
    } else if absent == Some(Absence::Missing) {
        "Azure has never shown it, so it is not lost: `emberway fleet apply` makes what is declared"
    } else {
        "it is there, so there is nothing to make"
    };
    Some(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_called_by_one_at_a_time_and_not_at_once_again() {
        let pings = Pings::default();
        let (here, there) = (DeploymentId::from("a/ft"), DeploymentId::from("b/ft"));
        let now = Instant::now();
        let code = |begun: Result<(), Refusal>| begun.err().map(|refused| (refused.status.as_u16(), refused.code));
        assert_eq!(code(pings.begin(&here, now)), None);
        assert_eq!(
            code(pings.begin(&here, now + 2 * PING_AGAIN)),
            Some((409, "ping_running"))
        );
        assert_eq!(code(pings.begin(&there, now)), None, "each has its own");
        pings.end(&here, now);
        assert_eq!(code(pings.begin(&here, now)), Some((429, "ping_too_soon")));
        assert_eq!(code(pings.begin(&here, now + PING_AGAIN)), None);
    }

    #[test]
    fn only_what_is_lost_is_made_again() {
        let cared = |state: &'static str| CaredView {
            deployment: "a/ft".into(),
            policy: "keep",
            state,
            last_success_at_ms: None,
            idle_ms: None,
            deletion_at_ms: None,
            deletion_is_exact: false,
            urgency: "none",
            next: None,
            end: None,
            sentence: None,
        };
        for (state, absent, expected) in [
            ("lost", Some(Absence::Missing), None),
            ("given_up", Some(Absence::Failed), None),
            ("there", None, Some("it is there")),
            ("doubted", None, Some("it is there")),
            ("there", Some(Absence::Missing), Some("Azure has never shown it")),
            ("waiting", Some(Absence::Missing), Some("it is being made already")),
            (
                "creating",
                Some(Absence::Provisioning),
                Some("it is being made already"),
            ),
            (
                "propagating",
                Some(Absence::Provisioning),
                Some("it is being made already"),
            ),
        ] {
            let reason = stands(&cared(state), absent);
            match expected {
                None => assert_eq!(reason, None, "{state}"),
                Some(expected) => assert!(
                    reason.as_deref().is_some_and(|reason| reason.starts_with(expected)),
                    "{state}: {reason:?}"
                ),
            }
        }
    }
}
