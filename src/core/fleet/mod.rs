//! WHICH deployments should there be, and what is to be done so that there are?
//!
//! Decisions about deployments as things that Azure makes, keeps, deletes and bills, as pure functions: what Azure shows and what was
//! begun are arguments, and so is the time. What sends requests, waits and writes a journal is above.
//!
//! `declared` and `actual` are the two sides, `plan` their difference, `apply` the next step of it; `guard` watches over the inactivity
//! rule, `phoenix` over what is lost, `retirement` over what ends by date, `weights` over what pools have in them.

pub mod actual;
pub mod apply;
pub mod backoff;
pub mod catalogue;
pub mod declared;
pub mod finding;
pub mod guard;
pub mod journal;
pub mod key;
pub mod phoenix;
pub mod plan;
pub mod policy;
pub mod retirement;
pub mod step;
pub mod weights;

#[cfg(test)]
pub(crate) mod toy;
