//! Who signs in to the admin listener.

use std::error::Error;

use strum::{AsRefStr, IntoStaticStr, VariantArray};
use tracing::{debug, info, warn};

use crate::telemetry::metrics::Metrics;

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

/// Why a credential was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CredentialFailure {
    /// There was none.
    Missing,
    /// `Authorization` has another scheme than `Bearer`.
    Scheme,
    /// A token that is not known.
    Unknown,
    /// A session that is not open any more, or never was.
    Session,
    /// The provider knows this one, but no role is given to it.
    NoRole,
    /// The provider, which may have given the token, cannot be asked.
    ProviderUnreachable,
    /// A token that is not known, after too many of that address.
    TooMany,
}

/// A credential of the admin listener was refused. Anybody can cause this at will.
#[derive(Debug)]
pub struct CredentialRefused {
    /// Why.
    pub reason: CredentialFailure,
}

impl CredentialRefused {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let reason = self.reason.as_ref();
        metrics.admin_auth_failures.with_label_values(&[reason]).inc();
        debug!(reason, "credential refused by the admin listener");
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
