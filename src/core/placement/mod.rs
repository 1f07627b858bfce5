//! WHERE does it belong? From a prompt's head to an order of deployments.

pub mod head;
pub mod rendezvous;
