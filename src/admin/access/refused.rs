//! Why somebody is not let in, and the one place where that is told and counted.
//!
//! A wrong token is told apart from none: whoever sent one is to look at the token, and whoever sent none at how it is sent. The right one
//! always passes; else whoever shares an address, behind a proxy all, could keep others out by wrong ones. So guessing is not slowed down:
//! beyond so many wrong tokens of an address the answer only says that. Long tokens keep guessers out; a short one is warned of.

use axum::http::StatusCode;

use crate::admin::access::Access;
use crate::admin::access::attempts::Attempts;
use crate::admin::access::login::{self, Peer};
use crate::admin::access::oidc;
use crate::admin::api::answer::Refusal;
use crate::telemetry::events::access::{CredentialFailure, CredentialRefused};

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) enum Unknown {
    /// No credential was sent.
    NoCredential,
    /// `Authorization` has another scheme than `Bearer`.
    OtherScheme,
    /// A token that is not known.
    WrongToken,
    /// The cookie of a session that is not open any more, or never was.
    NoSession,
    /// The provider, which may have given the token, cannot be asked.
    ProviderUnreachable,
    /// The provider knows this one, but no role is given to it.
    NoRole(String),
}

impl Unknown {
    fn reason(&self) -> CredentialFailure {
        match self {
            Self::NoCredential => CredentialFailure::Missing,
            Self::OtherScheme => CredentialFailure::Scheme,
            Self::WrongToken => CredentialFailure::Unknown,
            Self::NoSession => CredentialFailure::Session,
            Self::ProviderUnreachable => CredentialFailure::ProviderUnreachable,
            Self::NoRole(_) => CredentialFailure::NoRole,
        }
    }
}

impl Access {
    /// Counts somebody who is not known, and says what that one is answered. A wrong token counts among `attempts` of its address: 429
    /// where those were too many.
    pub(super) fn refuse(&self, unknown: &Unknown, attempts: Option<(&Attempts, Peer)>) -> Refusal {
        if *unknown == Unknown::WrongToken
            && let Some((attempts, peer)) = attempts
            && let Err(refusal) = login::count(attempts, peer)
        {
            let reason = CredentialFailure::TooMany;
            CredentialRefused { reason }.emit(&self.metrics);
            return refusal;
        }
        let reason = unknown.reason();
        CredentialRefused { reason }.emit(&self.metrics);
        self.told(unknown)
    }

    fn told(&self, unknown: &Unknown) -> Refusal {
        let which = self.which_are_known();
        let message = match unknown {
            Unknown::NoCredential => {
                format!("no token was sent: sign in, or send one as `Authorization: Bearer TOKEN`; {which}")
            }
            Unknown::OtherScheme => format!("`Authorization` must be `Bearer TOKEN`; {which}"),
            Unknown::WrongToken => {
                format!("the token is not one of this gateway's: compare it with those that are; {which}")
            }
            Unknown::NoSession => {
                format!(
                    "the session has ended: sign in again, or send a token as `Authorization: Bearer TOKEN`; {which}"
                )
            }
            Unknown::ProviderUnreachable => {
                let seconds = oidc::PAUSE.as_secs();
                let message = format!(
                    "the provider in `admin.oidc` cannot be asked, so whether its tokens are good is not known; the log says why; try again in \
                     {seconds} s"
                );
                return Refusal::unavailable(message, "provider_unreachable").retry_after(seconds);
            }
            Unknown::NoRole(name) => {
                let message =
                    format!("`{name}` has no role here; `admin.oidc.roles` says which of the provider's give one");
                return Refusal::new(StatusCode::FORBIDDEN, message, "no_role");
            }
        };
        Refusal::new(StatusCode::UNAUTHORIZED, message, "invalid_admin_token")
    }

    /// Where tokens come from, for those who look for theirs.
    fn which_are_known(&self) -> &'static str {
        match (self.tokens.is_empty(), self.oidc.is_some()) {
            (_, false) => {
                "tokens are `admin.token` and `admin.tokens` in the configuration, as they were when the gateway started"
            }
            (false, true) => {
                "tokens are `admin.token` and `admin.tokens` in the configuration, as they were when the gateway started, and those that \
                 the provider in `admin.oidc` gives"
            }
            (true, true) => "tokens are those that the provider in `admin.oidc` gives",
        }
    }
}
