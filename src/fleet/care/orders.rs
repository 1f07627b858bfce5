//! What operators want made again: taken by whoever looks after the fleet, at its next turn and by its own rules.
//!
//! An order gives a deployment that was given up another try, and one that waits for a request that needs it that request. It overrides no
//! rule: what its policy does not rebuild, or what may not be written, is refused before it is placed.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::core::fleet::phoenix::{Event, State};
use crate::core::ids::DeploymentId;
use crate::fleet::care::Care;

/// Deployments that operators want made again, each once; configured ones only, so they are few.
#[derive(Debug, Default)]
pub struct Orders(Mutex<BTreeSet<DeploymentId>>);

impl Orders {
    /// Wants one made again.
    pub fn place(&self, deployment: DeploymentId) {
        self.0.lock().insert(deployment);
    }

    fn all(&self) -> Vec<DeploymentId> {
        self.0.lock().iter().cloned().collect()
    }

    fn done(&self, deployment: &DeploymentId) {
        self.0.lock().remove(deployment);
    }
}

impl Care {
    /// Takes up what operators want. One that Azure has to be asked about first stays wanted until that is known.
    pub(super) async fn take_orders(&mut self) {
        for deployment in self.partners.orders.all() {
            match self.state(&deployment) {
                State::GivenUp => self.happened(&deployment, Event::Reset).await,
                State::Doubted if self.acts => {}
                State::Lost => {
                    self.happened(&deployment, Event::Needed).await;
                    self.partners.orders.done(&deployment);
                }
                // It is there or being made; or another gateway acts by now.
                _ => self.partners.orders.done(&deployment),
            }
        }
    }
}
