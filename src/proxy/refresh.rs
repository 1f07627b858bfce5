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
    /// When it was asked for last, and how many loadings there had been.
    asked: Mutex<Option<(Instant, u64)>>,
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

    /// Reads the secrets anew, or waits for a reading that another request has asked for within [`ASK_EVERY`]. Returns at once where that is done,
    /// and in any case after `most` or [`WAIT_MAX`].
    pub async fn refresh(&self, now: Instant, most: Duration) {
        let Some(how) = self.how.get() else { return };
        let mut loaded = how.loaded.clone();
        let before = {
            let mut asked = self.asked.lock();
            let lately = asked.filter(|(at, _)| now.saturating_duration_since(*at) < ASK_EVERY);
            if let Some((_, before)) = lately {
                before
            } else {
                let before = *loaded.borrow();
                *asked = Some((now, before));
                (how.ask)();
                before
            }
        };
        let done = loaded.wait_for(|loadings| *loadings > before);
        // Running out of time is the bound at work: what is in use then is looked at all the same.
        let _ = tokio::time::timeout(WAIT_MAX.min(most), done).await;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_for_once_a_minute_and_waited_for_only_while_it_runs() {
        let refresh = CredentialRefresh::default();
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
        let (first, second) = (refresh.refresh(start, WAIT_MAX), refresh.refresh(start, WAIT_MAX));
        tokio::join!(first, second, load);
        // Done already.
        refresh.refresh(start + ASK_EVERY / 2, WAIT_MAX).await;
        assert_eq!((asked.load(Ordering::Relaxed), began.elapsed()), (1, Duration::ZERO));
        // One that does not come is not waited for beyond the request's own time.
        refresh.refresh(start + ASK_EVERY, WAIT_MAX / 4).await;
        assert_eq!((asked.load(Ordering::Relaxed), began.elapsed()), (2, WAIT_MAX / 4));
    }
}
