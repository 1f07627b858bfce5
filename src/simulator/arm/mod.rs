//! WHAT would Azure Resource Manager do? Deployments made, changed and deleted, and what becomes of them by themselves.
//!
//! Also where tokens come from: Entra ID and managed identity. [`plane::Plane`] is the state, without sockets; what it decides
//! shows on the data plane, whose deployments come and go with it.
//!
//! | question | file |
//! | --- | --- |
//! | what is configured | `settings`, `principals` |
//! | which models are there | `catalogue` |
//! | what is asked | `path`, `wanted` |
//! | who asks, and where do tokens come from | `token`, `identity`, `inference`, `cloud` |
//! | may this be | `checks`, `quota`, `throttle` |
//! | what happens, at once and later | `plane`, `writes`, `operation`, `events`, `entry` |
//! | what does it cost | `bill` |
//! | what is shown | `reads`, `lists`, `resources`, `error` |
//! | what goes wrong on purpose | `faults` |
//! | how it runs | `http`, `listener`, `tls`, `calls`, `control`, `time` |

pub mod bill;
pub mod calls;
pub mod catalogue;
pub mod checks;
pub mod cloud;
pub mod control;
pub mod entry;
pub mod error;
pub mod events;
pub mod faults;
pub mod http;
pub mod identity;
pub mod inference;
pub mod listener;
pub mod lists;
pub mod operation;
pub mod path;
pub mod plane;
pub mod principals;
pub mod quota;
pub mod reads;
pub mod resources;
pub mod settings;
pub mod throttle;
pub mod time;
pub mod tls;
pub mod token;
pub mod wanted;
pub mod writes;

#[cfg(test)]
mod tests;
