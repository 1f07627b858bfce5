//! A refused credential is read anew, once: a token in a file may have been renewed since.
//!
//! Tokens live for an hour or so, and whoever renews them writes a file that nobody watches. When a resource answers 401, the
//! configuration is read anew, at most once a minute for each resource, and put to use if it says anything else; a request whose
//! resource then has another credential is sent there again with it, once. Tokens of Microsoft Entra ID go the same way; for them a new
//! token is asked for instead of reading the configuration.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::core::ids::ResourceId;
use crate::core::topology::Resource;
use crate::proxy::state::{Live, LiveResource};

/// Shortest time between two readings for a resource's sake: a credential that is simply wrong must not read the configuration with
/// each request. Each has its own, so that one whose credential stays wrong does not keep another from its new one.
const ASK_EVERY: Duration = Duration::from_mins(1);
/// Longest wait for a reading; it takes milliseconds.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Gets credentials anew: secrets by reading the configuration, tokens by asking for them. Does nothing where nobody has said how.
#[derive(Default)]
pub struct CredentialRefresh {
    how: OnceLock<How>,
    /// Those that asked for it lately: when, and how many loadings there had been.
    asked: Mutex<HashMap<ResourceId, (Instant, u64)>>,
}

/// How credentials are loaded anew.
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

    /// Reads the secrets anew for a resource's sake, or waits for a reading that it has asked for within [`ASK_EVERY`]. Returns at
    /// once where that is done, and in any case after `most` or [`WAIT_MAX`].
    pub async fn refresh(&self, resource: &ResourceId, now: Instant, most: Duration) {
        let Some(how) = self.how.get() else { return };
        let mut loaded = how.loaded.clone();
        let before = {
            let mut asked = self.asked.lock();
            asked.retain(|_, (at, _)| now.saturating_duration_since(*at) < ASK_EVERY);
            if let Some((_, before)) = asked.get(resource) {
                *before
            } else {
                let before = *loaded.borrow();
                asked.insert(resource.clone(), (now, before));
                (how.ask)();
                before
            }
        };
        let done = loaded.wait_for(|loadings| *loadings > before);
        // Running out of time is the bound at work: what is in use then is looked at all the same.
        let _ = tokio::time::timeout(WAIT_MAX.min(most), done).await;
    }
}

/// Where the same resource is in another configuration.
pub fn place_of(live: &Live, resource: &Resource) -> Option<usize> {
    let snapshot = &live.config.runtime.snapshot;
    let same =
        |other: &Resource| other.id == resource.id && other.endpoint == resource.endpoint && other.api == resource.api;
    snapshot.resources.iter().position(same)
}

/// Where the same resource is in another configuration, if it has another credential there.
pub fn place_of_another_credential(live: &Live, resource: &Resource, refused: &LiveResource) -> Option<usize> {
    let found = place_of(live, resource)?;
    (!live.resources[found].login.is_same(&refused.login)).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_resource_asks_once_a_minute_and_waits_only_while_it_runs() {
        let refresh = CredentialRefresh::default();
        let (one, other) = (ResourceId::from("one"), ResourceId::from("other"));
        let (loadings, loaded) = watch::channel(7);
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        refresh.by(How {
            ask: Box::new(move || _ = counted.fetch_add(1, Ordering::Relaxed)),
            loaded,
        });
        let began = tokio::time::Instant::now();
        let start = Instant::now();
        let load = async { loadings.send_modify(|count| *count += 1) };
        let (first, second) = (
            refresh.refresh(&one, start, WAIT_MAX),
            refresh.refresh(&one, start, WAIT_MAX),
        );
        tokio::join!(first, second, load);
        // Done already.
        refresh.refresh(&one, start + ASK_EVERY / 2, WAIT_MAX).await;
        assert_eq!((asked.load(Ordering::Relaxed), began.elapsed()), (1, Duration::ZERO));
        // One that does not come is not waited for beyond the request's own time; another resource's has nothing to do with it.
        refresh.refresh(&other, start + ASK_EVERY / 2, WAIT_MAX / 4).await;
        assert_eq!((asked.load(Ordering::Relaxed), began.elapsed()), (2, WAIT_MAX / 4));
        refresh.refresh(&one, start + ASK_EVERY, WAIT_MAX / 4).await;
        assert_eq!((asked.load(Ordering::Relaxed), began.elapsed()), (3, WAIT_MAX / 2));
    }
}
