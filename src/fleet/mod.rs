//! HOW is the fleet looked after? What joins the configuration, the decisions about fleets, Azure's control plane and the running gateway.

pub mod audit;
pub mod care;
pub mod connect;
pub mod declaration;
pub mod look;
pub mod standing;
pub mod traffic;
