//! What tests and operators do to a running world: faults, outages, time, and looking at what happened.
//!
//! [`Control`] is the in-process handle; the control listener in `control_http` offers the same over HTTP and adds
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::simulator::arm::bill::Bill;
use crate::simulator::arm::listener::ArmListener;
use crate::simulator::faults::{Fault, FaultError, FaultInForce};
use crate::simulator::listener::Listener;
use crate::simulator::record::RequestRecord;
use crate::simulator::world::{State, World};

/// A handle on a running world; cheap to clone.
#[derive(Clone)]
pub struct Control {
    world: Arc<World>,
    listeners: Arc<[Listener]>,
    arm: Option<Arc<ArmListener>>,
}

/// Why a control call failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No account has this name.
    #[error("there is no account `{0}`; see `GET /control/state` for their names")]
    UnknownAccount(String),
    /// No fault has this number.
    #[error("there is no fault `{0}`; see `GET /control/faults`")]
    UnknownFault(u64),
    /// The account has no such deployment.
    #[error("account `{account}` has no deployment `{deployment}`; see `GET /control/arm`")]
    UnknownDeployment {
        /// The account.
        account: String,
        /// The deployment.
        deployment: String,
    },
    /// The scenario has no control plane.
    #[error("the scenario has no `arm` section, so there is no control plane")]
    NoControlPlane,
    /// A fault of the control plane was not taken up.
    #[error("the fault is wrong: {0}")]
    ArmFault(String),
    /// The fault was not taken up.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// An address cannot be bound again.
    #[error("cannot listen on `{address}` again; another process may have taken the port")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl Control {
    pub(super) fn new(world: Arc<World>, listeners: Arc<[Listener]>, arm: Option<Arc<ArmListener>>) -> Self {
        Self { world, listeners, arm }
    }

    /// The control plane, where the scenario has one.
    pub fn arm(&self) -> Option<&Arc<ArmListener>> {
        self.arm.as_ref()
    }

    /// Brings the control plane back on its old address.
    ///
    /// # Errors
    /// When there is none, or its address cannot be bound.
    pub async fn start_arm(&self) -> Result<(), ControlError> {
        let arm = self.arm().ok_or(ControlError::NoControlPlane)?;
        arm.start().await.map_err(|source| ControlError::Bind {
            address: arm.address(),
            source,
        })
    }

    /// Deletes a deployment at once and behind everybody's back, as the service does with those that sat idle.
    ///
    /// # Errors
    /// When there is no control plane or no such deployment.
    pub fn vanish(&self, account: &str, deployment: &str) -> Result<(), ControlError> {
        let arm = self.arm().ok_or(ControlError::NoControlPlane)?;
        self.listener(account)?;
        let gone = arm.plane().vanish(account, deployment, self.unix_ms());
        gone.then_some(()).ok_or_else(|| ControlError::UnknownDeployment {
            account: account.to_owned(),
            deployment: deployment.to_owned(),
        })
    }

    /// What the service charges up to now.
    ///
    /// # Errors
    /// When there is no control plane.
    pub fn bill(&self) -> Result<Bill, ControlError> {
        let arm = self.arm().ok_or(ControlError::NoControlPlane)?;
        Ok(arm.plane().bill(self.unix_ms()))
    }

    /// The world's date, in milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> u64 {
        self.world.clock.unix_ms()
    }

    /// Puts a fault in force and returns its number.
    ///
    /// # Errors
    /// When a value is out of range, an account named does not exist, or too many faults are in force.
    pub fn add_fault(&self, fault: Fault) -> Result<u64, ControlError> {
        if let Some(name) = &fault.account {
            self.listener(name)?;
        }
        Ok(self.world.faults.add(fault)?)
    }

    /// Removes a fault.
    ///
    /// # Errors
    /// When it is not in force, which a counted fault is not after its count.
    pub fn remove_fault(&self, id: u64) -> Result<(), ControlError> {
        if self.world.faults.remove(id) {
            Ok(())
        } else {
            Err(ControlError::UnknownFault(id))
        }
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// The faults in force, oldest first.
    pub fn faults(&self) -> Vec<FaultInForce> {
        self.world.faults.list()
    }

    /// Cuts an account off: connects are refused and all its connections reset when this returns.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn stop_account(&self, name: &str) -> Result<(), ControlError> {
        self.listener(name)?.stop().await;
        Ok(())
    }

    /// Brings an account back on its old address.
    ///
    /// # Errors
    /// When there is no such account, or its address cannot be bound.
    pub async fn start_account(&self, name: &str) -> Result<(), ControlError> {
        let listener = self.listener(name)?;
        listener.start().await.map_err(|source| ControlError::Bind {
            address: listener.address(),
            source,
        })
    }

    /// What is going on.
    pub fn state(&self) -> State {
        self.world.state()
    }

    /// The latest requests, oldest first, as many as were kept.
    pub fn requests(&self, last: usize) -> Vec<RequestRecord> {
        self.world.log.last(last)
    }

    /// Forgets faults, counts, recorded requests, caches and used-up limits. Accounts stay as they are.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Moves the world's clock forward, ten years in all at most: windows roll on, cache entries age, and deployments reach their ends;
    /// answers under way do not hurry.
    pub fn advance_clock(&self, by: Duration) {
        self.world.clock.advance(by);
    }

    pub(super) fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    fn listener(&self, name: &str) -> Result<&Listener, ControlError> {
        let found = self
            .listeners
            .iter()
            .find(|listener| listener.account().spec.name == name);
        found.ok_or_else(|| ControlError::UnknownAccount(name.to_owned()))
    }
}
