//! Who signs in to the admin listener.

use std::error::Error;

use tracing::{debug, info, warn};

/// Somebody signed in.
#[derive(Debug)]
pub struct SignedIn<'a> {
    /// Who, as the audit tells it.
    pub name: &'a str,
    /// What it may do.
    pub role: &'a str,
}

impl SignedIn<'_> {
    /// Logs it.
    pub fn emit(&self) {
        info!(name = self.name, role = self.role, "signed in to the admin listener");
    }
}

/// Somebody did not get in. Anybody can cause this at will.
#[derive(Debug)]
pub struct SignInRefused<'a> {
    /// Why; it shows no token.
    pub error: &'a dyn Error,
}

impl SignInRefused<'_> {
    /// Logs it.
    pub fn emit(&self) {
        debug!(error = %self.error, "not let in to the admin listener");
    }
}

/// The provider of OpenID Connect cannot be asked; told at most every few seconds.
#[derive(Debug)]
pub struct ProviderFailing<'a> {
    /// Why.
    pub error: &'a dyn Error,
}

impl ProviderFailing<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(error = %self.error, "nobody can sign in by OpenID Connect");
    }
}
