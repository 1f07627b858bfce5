//! Access tokens and where they come from: the seam between what needs one and every way of logging in.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::azure::credential_error::CredentialError;

/// How long a token without a known end is taken to last; whoever made it must see to the next one.
const UNKNOWN_LIFETIME: Duration = Duration::from_hours(24);

/// An access token. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: Arc<str>,
    expires_at: Instant,
}

impl AccessToken {
    /// A token that lasts until then.
    pub fn new(text: &str, expires_at: Instant) -> Self {
        Self {
            text: text.into(),
            expires_at,
        }
    }

    /// The token itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// When it ends.
    pub fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// Whether it can still be sent.
    pub fn is_valid(&self, now: Instant) -> bool {
        now < self.expires_at
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A way of logging in.
#[async_trait]
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// A token for a scope, such as `https://management.azure.com/.default`. It may take as long as a network needs; nothing is cached
    /// here.
    async fn token(&self, scope: &str) -> Result<AccessToken, CredentialError>;
}

/// A token that something else keeps fresh, whatever the scope.
pub struct Fixed(String);

impl Fixed {
    /// Always this one.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixed(…)")
    }
}

#[async_trait]
impl TokenSource for Fixed {
    async fn token(&self, _scope: &str) -> Result<AccessToken, CredentialError> {
        if self.0.is_empty() {
            return Err(CredentialError::new("token", "the token is empty"));
        }
        if !self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CredentialError::new(
                "token",
                "the token has characters that cannot travel in a header",
            ));
        }
        Ok(AccessToken::new(&self.0, Instant::now() + UNKNOWN_LIFETIME))
    }
}
