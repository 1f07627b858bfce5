//! HOW is the fleet looked after? What joins the configuration, the decisions about fleets and Azure's control plane.

pub mod connect;
