//! A response that the provider keeps so that it can be continued: whose it is, where, and since when.
//!
//! It is kept by one Azure resource; no other knows it. Its name is remembered as a digest: whoever reads the store cannot continue
//! anybody's conversation.

use serde::{Deserialize, Serialize};

use crate::core::ids::{ClientId, DeploymentId};

/// How long Azure keeps a response, in milliseconds: 30 days.
pub const KEPT_FOR_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// A response's name: the first half of its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResponseKey(pub [u8; 16]);

/// A response that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptResponse {
    /// Which.
    pub key: ResponseKey,
    /// Whose; nobody else may continue it.
    pub client: ClientId,
    /// Who made it.
    pub deployment: DeploymentId,
    /// Since when, in milliseconds since the Unix epoch.
    pub kept_at_ms: i64,
}

impl KeptResponse {
    /// Whether Azure has not deleted it yet.
    pub fn is_kept(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.kept_at_ms) < KEPT_FOR_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_for_thirty_days() {
        let kept = KeptResponse {
            key: ResponseKey([0; 16]),
            client: "desk".into(),
            deployment: "a/ft".into(),
            kept_at_ms: 1_000,
        };
        assert!(kept.is_kept(0) && kept.is_kept(KEPT_FOR_MS + 999));
        assert!(!kept.is_kept(KEPT_FOR_MS + 1_000));
    }
}
