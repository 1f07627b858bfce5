//! What the gateway is compared with: the same load at the same time, sent to a second fleet just like the first by turns.
//!
//! That is what a balancer does that knows nothing of prompts: each prompt's requests go evenly to every deployment of its pool,
//! whatever its tier. The fleet is a simulator of its own with the same scenario, so neither side warms the other's caches or uses up
//! the other's limits, and both send as many requests of the same prompts. What is compared is the cached share, which
//! hangs on where requests go; times do not differ by more than that share makes them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::demo::DemoError;
use crate::demo::ledger::{Ledger, Seen};
use crate::demo::traffic::{self, Door, Part};
use crate::demo::world::Places;
use crate::load::Run;
use crate::load::plan::Extent;
use crate::simulator::scenario::Scenario;
use crate::simulator::{self, Simulator};

/// The load by turns, while it runs.
pub struct Turns {
    fleet: Simulator,
    runs: Vec<Run>,
    ledger: Arc<Ledger>,
}

impl Turns {
    /// Starts the second fleet and the load on it; the arguments are those of [`traffic::both_routes`].
    ///
    /// # Errors
    /// When the fleet or the driver cannot start.
    pub async fn start(places: &Places, part: Part, length: Duration) -> Result<Self, DemoError> {
        let mut scenario = Scenario::demo()?;
        // Its accounts never go down, so any port will do.
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        scenario.control_address = any_port;
        // Nobody manages it, and its fixed port may be the other fleet's, or another demo's.
        scenario.arm = None;
        let mut keys = Vec::new();
        for account in &mut scenario.accounts {
            account.address = any_port;
            keys.push(account.api_keys.first().cloned().unwrap_or_default());
        }
        let fleet = simulator::start(scenario).await?;
        let accounts = fleet.accounts();
        let doors = |route: &str| {
            let route = places.routes.iter().find(|known| known.name == route);
            let deployments = route.into_iter().flat_map(|route| route.tiers.iter().flatten());
            let doors = deployments.filter_map(|id| {
                let (resource, model) = id.split_once('/')?;
                let mut accounts = accounts.iter().zip(&keys);
                let (account, key) = accounts.find(|(account, _)| account.name == resource)?;
                Some(Door {
                    url: &account.url,
                    key,
                    model,
                })
            });
            doors.collect()
        };
        let ledger = Arc::new(Ledger::new());
        let runs = traffic::shared_among(&doors, &ledger, part, Extent::Duration(length))?;
        Ok(Self { fleet, runs, ledger })
    }

    /// Waits for the last answer, ends the fleet, and returns every finished request.
    ///
    /// # Errors
    /// When the driver fails.
    pub async fn finish(self) -> Result<Vec<Seen>, DemoError> {
        for run in self.runs {
            run.finish().await?;
        }
        self.fleet.shutdown().await;
        Ok(self.ledger.seen())
    }
}
