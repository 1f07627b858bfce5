//! What planning and applying both need: the declared fleet, clients, the gateway, the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::azure::arm::Arm;
use crate::cli::azure::Plane;
use crate::cli::fleet::FleetFlags;
use crate::cli::fleet::routes::{AdminRoutes, NoGateway};
use crate::cli::operator::Operator;
use crate::cli::output;
use crate::config::checked::Checked;
use crate::core::fleet::catalogue::{Catalogue, EMBEDDED};
use crate::core::fleet::key::AccountKey;
use crate::fleet::apply::{Routes, Time};
use crate::fleet::declaration::{self, Declaration, key_of};
use crate::fleet::plane::OverArm;
use crate::fleet::quota::{self, Place};
use crate::telemetry::clock;

/// The declared fleet, and how to get at it.
pub(super) struct Fleet {
    pub(super) plane: Plane,
    pub(super) declaration: Declaration,
    pub(super) catalogue: Catalogue,
    /// Managed resources by their names.
    resources: BTreeMap<String, AccountKey>,
    /// Where quota is read.
    places: BTreeSet<Place>,
    /// What was said already.
    said: Mutex<BTreeSet<String>>,
}

/// The wall clock.
pub(super) struct WallTime;

#[async_trait]
impl Time for WallTime {
    fn now_ms(&self) -> i64 {
        clock::now_ms()
    }

    async fn wait_until(&self, at_ms: i64) {
        let left = u64::try_from(at_ms.saturating_sub(clock::now_ms())).unwrap_or_default();
        // What is waited for is a time: of Azure, which is asked then.
        tokio::time::sleep(Duration::from_millis(left)).await;
    }
}

impl Fleet {
    pub(super) fn new(plane: Plane, checked: &Checked) -> anyhow::Result<Self> {
        let declaration = declaration::of(&checked.runtime).context("a deployment's name")?;
        if declaration.accounts.is_empty() {
            bail!("no deployment of the configuration is managed: give its resource an `account`");
        }
        let resources = checked.runtime.snapshot.resources.iter();
        let named = resources.zip(&checked.runtime.care.accounts);
        Ok(Self {
            resources: named
                .filter_map(|(resource, account)| Some((resource.id.to_string(), key_of(account.as_ref()?))))
                .collect(),
            plane,
            declaration,
            catalogue: Catalogue::parse(EMBEDDED)?,
            places: BTreeSet::new(),
            said: Mutex::default(),
        })
    }

    /// Finds out which quota the declared deployments draw on.
    pub(super) async fn name_lines(&mut self, reader: &Arm) {
        let (places, problems) = quota::name_lines(reader, &mut self.declaration).await;
        self.places = places;
        for problem in problems {
            output::warn(&problem);
        }
    }

    /// Azure, through these clients.
    pub(super) fn over<'a>(&'a self, reader: &'a Arm, writer: &'a Arm, said: &'a Said<'a>) -> OverArm<'a> {
        OverArm {
            reader,
            writer,
            declaration: &self.declaration,
            catalogue: &self.catalogue,
            places: &self.places,
            time: &WallTime,
            quota: Mutex::default(),
            problem: said,
        }
    }

    /// Warns of something, once.
    pub(super) fn warn_once(&self, problem: &str) {
        if self.said.lock().insert(problem.to_owned()) {
            output::warn(problem);
        }
    }

    /// The gateway that routes to the fleet.
    ///
    /// # Errors
    /// When it does not answer, and nobody said that there is none.
    pub(super) async fn routes(&self, flags: &FleetFlags) -> anyhow::Result<Box<dyn Routes>> {
        if flags.no_gateway {
            return Ok(Box::new(NoGateway));
        }
        let routes = AdminRoutes::new(
            Operator::new(&flags.operator)?,
            self.resources.clone(),
            flags.allow_outage,
        );
        routes
            .routing()
            .await
            .context("which deployments are routed to is not known: give the gateway's admin listener with `--url`, or `--no-gateway` if none runs")?;
        Ok(Box::new(routes))
    }
}

/// Somebody who is told of problems.
pub(super) type Said<'a> = dyn Fn(&str) + Send + Sync + 'a;
