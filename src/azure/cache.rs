//! Tokens that are kept: one for each scope, renewed early, asked for once at a time, and used on while a renewal fails.
//!
//! Whoever finds a valid token never waits: one that is due starts a renewal beside and gets the old one. Only without a valid token is
//! there a wait, and then all who need it wait for the same request. A failed renewal is tried again after [`TRY_AGAIN`], so that a dead
//! authority is not asked by every request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::azure::credential_error::CredentialError;
use crate::azure::token::{AccessToken, TokenSource};

/// How long before its end a token is renewed: `azure_identity`'s own rule.
pub const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// How long a failed renewal is not repeated while the old token is valid.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// How long a failure is told again to those who waited for the same token.
const SAME_FAILURE: Duration = Duration::from_secs(1);
/// Scopes of one cache: the management API, the data plane, and no more than a few beside.
const SCOPES_MAX: usize = 16;

/// Tokens of one way of logging in.
#[derive(Debug)]
pub struct TokenCache {
    source: Arc<dyn TokenSource>,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// What is known of one scope's token.
#[derive(Debug, Default)]
struct Slot {
    kept: Mutex<Kept>,
    /// Held by whoever asks for a new one.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<AccessToken>,
    failed: Option<(Instant, CredentialError)>,
}

impl TokenCache {
    /// Nothing kept yet.
    pub fn new(source: Arc<dyn TokenSource>) -> Self {
        Self {
            source,
            slots: Mutex::default(),
        }
    }

    /// A token that is valid now.
    ///
    /// # Errors
    /// When there is none and none can be had.
    pub async fn token(&self, scope: &str) -> Result<AccessToken, CredentialError> {
        let slot = self.slot(scope);
        if let Some(token) = self.kept(&slot, scope, Instant::now()) {
            return Ok(token);
        }
        let asking = Arc::clone(&slot.asking).lock_owned().await;
        let now = Instant::now();
        {
            // Whoever was first may have been answered meanwhile, well or badly.
            let kept = slot.kept.lock();
            if let Some(token) = kept.token.as_ref().filter(|token| token.is_valid(now)) {
                return Ok(token.clone());
            }
            if let Some((at, error)) = &kept.failed
                && now.saturating_duration_since(*at) < SAME_FAILURE
            {
                return Err(error.clone());
            }
        }
        let asked = ask(&*self.source, &slot, scope).await;
        drop(asking);
        asked
    }

    /// A token that is valid now and at hand, without a wait; a due one is renewed beside. None where somebody must wait, as
    /// [`Self::token`] does.
    pub fn at_hand(&self, scope: &str) -> Option<AccessToken> {
        let slot = self.slot(scope);
        self.kept(&slot, scope, Instant::now())
    }

    /// Forgets a token that was refused, so that the next one is asked for; does nothing where another one is kept already.
    pub fn refused(&self, scope: &str, token: &AccessToken) {
        let slot = self.slot(scope);
        let mut kept = slot.kept.lock();
        if kept.token.as_ref() == Some(token) {
            kept.token = None;
        }
    }

    fn slot(&self, scope: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(scope) {
            return Arc::clone(slot);
        }
        if slots.len() >= SCOPES_MAX {
            // Costs a token each; scopes are configured, so it does not happen at a request's will.
            slots.clear();
        }
        Arc::clone(slots.entry(scope.to_owned()).or_default())
    }

    /// The valid token; starts a renewal where one is due.
    fn kept(&self, slot: &Arc<Slot>, scope: &str, now: Instant) -> Option<AccessToken> {
        let kept = slot.kept.lock();
        let token = kept.token.clone().filter(|token| token.is_valid(now))?;
        let is_due = token.expires_at().saturating_duration_since(now) <= RENEW_BEFORE;
        let has_failed_lately = kept
            .failed
            .as_ref()
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) < TRY_AGAIN);
        drop(kept);
        if is_due
            && !has_failed_lately
            && let Ok(asking) = Arc::clone(&slot.asking).try_lock_owned()
        {
            let (source, slot, scope) = (Arc::clone(&self.source), Arc::clone(slot), scope.to_owned());
            tokio::spawn(async move {
                // What went wrong is kept, and told when the old token has ended.
                let _ = ask(&*source, &slot, &scope).await;
                drop(asking);
            });
        }
        Some(token)
    }
}

/// Asks for a token and keeps what came of it.
async fn ask(source: &dyn TokenSource, slot: &Slot, scope: &str) -> Result<AccessToken, CredentialError> {
    let asked = source.token(scope).await;
    let mut kept = slot.kept.lock();
    match &asked {
        Ok(token) => {
            kept.token = Some(token.clone());
            kept.failed = None;
        }
        Err(error) => kept.failed = Some((Instant::now(), error.clone())),
    }
    asked
}

#[cfg(test)]
mod tests;
