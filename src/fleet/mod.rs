//! HOW is the fleet looked after? What joins the configuration, the decisions about fleets, Azure's control plane and the running gateway.

pub mod alerts;
pub mod apply;
pub mod audit;
pub mod care;
pub mod connect;
pub mod declaration;
mod lease;
pub mod look;
pub mod order;
pub mod plane;
pub mod quota;
pub mod standing;
pub mod traffic;
