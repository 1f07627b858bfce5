//! WHAT NOW, after this? What an attempt's end means for the request and for the deployment.

pub mod drain;
pub mod health;
pub mod outcome;
