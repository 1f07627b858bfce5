//! WHAT does Azure's control plane say, and what is it told? A client of Azure Resource Manager (ARM) and of the identities it asks for.
//!
//! Six resources of plain JSON do not need a library of their own; tokens do, and come from `azure_identity`. Rules that hold everywhere
//! here: a token goes to the host it was configured for and to no other; redirects are not followed; every wait, body and list has a
//! bound; what fails says what to do about it. The folder knows `core` alone: settings come as arguments, and whoever wants a write
//! remembered hands in a witness.

pub mod address;
pub mod arm;
pub mod assertion;
pub mod cache;
pub mod credential_error;
pub mod error;
pub mod fine_tuning;
pub mod follow;
pub mod gate;
pub mod identity;
pub mod resources;
pub mod token;
pub mod transport;
pub mod witness;

#[cfg(test)]
mod testing;
