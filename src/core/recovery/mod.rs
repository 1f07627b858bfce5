//! WHAT NOW, after this? What an attempt's end means for the request and for the deployment.

pub mod absence;
pub mod budget;
pub mod drain;
pub mod health;
pub mod hedge;
pub mod outcome;
pub mod patience;
pub mod table;
pub mod window;
