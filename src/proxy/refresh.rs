//! A refused credential is read anew, once: a token in a file may have been renewed since.
//!
//! Tokens live for an hour or so, and whoever renews them writes a file that nobody watches. When a resource answers 401, the configuration is loaded anew, as by
//! SIGHUP, at most once a minute; a request whose resource then has another credential is sent there again with it, once.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::core::topology::Resource;
use crate::proxy::state::{Live, LiveResource};

/// Shortest time between two readings for this reason: a credential that is simply wrong must not reload the configuration with each request.
const ASK_EVERY: Duration = Duration::from_mins(1);
/// Longest wait for a reading; it takes milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Reads the configuration's secrets anew. Does nothing where there is no file to load it from.
#[derive(Default)]
pub struct CredentialRefresh {
    how: OnceLock<How>,
    asked: Mutex<Option<Instant>>,
}

/// How the configuration is loaded anew.
pub struct How {
    /// Asks for it, without waiting.
    pub ask: Box<dyn Fn() + Send + Sync>,
    /// Counts loadings, successful or not.
    pub loaded: watch::Receiver<u64>,
}

impl CredentialRefresh {
    /// Says how. The first word counts.
    pub fn by(&self, how: How) {
        // A gateway has one configuration, and says so once.
        let _ = self.how.set(how);
    }

    /// Reads the secrets anew, or waits for a reading that another request has just asked for. Returns when that is done, was done too
    /// lately to do it again, or takes too long.
    pub async fn refresh(&self, now: Instant) {
        let Some(how) = self.how.get() else { return };
        let mut loaded = how.loaded.clone();
        loaded.mark_unchanged();
        {
            let mut asked = self.asked.lock();
            match asked.map(|asked| now.saturating_duration_since(asked)) {
                Some(ago) if ago >= WAIT_MAX && ago < ASK_EVERY => return,
                Some(ago) if ago < WAIT_MAX => {}
                _ => {
                    *asked = Some(now);
                    (how.ask)();
                }
            }
        }
        // Who finds the reading done already waits in vain, which is the bound at work; so is a reading that fails.
        let _ = tokio::time::timeout(WAIT_MAX, loaded.changed()).await;
    }
}

/// The same resource in another configuration, if it has another credential there.
pub fn with_another_credential<'a>(
    live: &'a Arc<Live>,
    resource: &Resource,
    refused: &LiveResource,
) -> Option<&'a LiveResource> {
    let snapshot = &live.config.runtime.snapshot;
    let same =
        |other: &Resource| other.id == resource.id && other.endpoint == resource.endpoint && other.api == resource.api;
    let found = &live.resources[snapshot.resources.iter().position(same)?];
    (found.credential != refused.credential).then_some(found)
}
