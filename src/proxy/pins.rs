//! Where a response can be continued: only at the resource that keeps it, and only by the client whose it is.
//!
//! A request with `previous_response_id` goes to the deployment that made the response, and to no other: none knows it. What is
//! remembered is bounded: the newest in memory, all of thirty days in the usage store, where they come with the usage records. What
//! is not in memory is looked for there, by at most [`READS_MAX`] requests at a time, so never on the way of one that continues
//! nothing. Where that cannot be done the client is asked to come again: who takes what is kept for unknown would lose
//! conversations, and let anybody continue another's. A response that is really not known (another replica's, or one from before
//! the gateway) may be asked of anybody, and the provider says whether it is there.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::core::ids::{ClientId, DeploymentId};
use crate::core::ledger::kept::{KeptResponse, ResponseKey};
use crate::core::topology::{DeploymentIx, Pool};
use crate::openai::request::Request;
use crate::proxy::context::RequestContext;
use crate::proxy::error::{self, ProxyError};
use crate::proxy::state::Live;
use crate::storage::StoreError;
use crate::storage::kept::ResponseStore;
use crate::telemetry::clock;

/// Responses remembered in memory: some 10 MiB. Older ones are read from the store when they are continued.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

/// Requests that may read the store at one time; further ones wait for their turn. Names that nobody knows cost a read each, and must not
/// cost more.
const READS_MAX: usize = 4;

/// Longest wait for such a reading, its turn included; it takes less than a millisecond.
const READ_TIME_MAX: Duration = Duration::from_secs(1);

/// What is known of responses that can be continued.
pub struct Pins {
    newest: Mutex<LruCache<ResponseKey, KeptResponse>>,
    store: Arc<dyn ResponseStore>,
    reads: Semaphore,
}

impl Pins {
    /// What the store remembers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(store: Arc<dyn ResponseStore>) -> Result<Self, StoreError> {
        let most = u32::try_from(REMEMBERED_MAX.get()).unwrap_or(u32::MAX);
        let mut newest = LruCache::new(REMEMBERED_MAX);
        for kept in store.newest_responses(most).await?.into_iter().rev() {
            newest.put(kept.key, kept);
        }
        Ok(Self {
            newest: Mutex::new(newest),
            store,
            reads: Semaphore::new(READS_MAX),
        })
    }

    /// The response of this name, if it is known and still kept.
    async fn find(&self, name: &str, now_ms: i64) -> Result<Option<KeptResponse>, ProxyError> {
        let key = key_of(name);
        let known = self.newest.lock().get(&key).cloned();
        let found = match known {
            Some(known) => Some(known),
            // Boxed, since it is large and seldom needed.
            None => Box::pin(self.read(key)).await?,
        };
        Ok(found.filter(|kept| kept.is_kept(now_ms)))
    }

    /// The same from the store.
    async fn read(&self, key: ResponseKey) -> Result<Option<KeptResponse>, ProxyError> {
        let reading = async {
            // Never closed; where it were, nobody would be kept from reading.
            let _turn = self.reads.acquire().await;
            self.store.kept_response(key).await
        };
        let found = match tokio::time::timeout(READ_TIME_MAX, reading).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                // The writer tells operators of a store that fails.
                tracing::debug!(%error, "cannot look for a response in the usage store");
                return Err(ProxyError::CannotFindResponse);
            }
            Err(_) => {
                tracing::debug!("the usage store did not answer in time where a response was looked for");
                return Err(ProxyError::CannotFindResponse);
            }
        };
        if let Some(found) = &found {
            self.newest.lock().put(key, found.clone());
        }
        Ok(found)
    }
}

/// The only deployment that can answer, if the request continues a response that is known.
///
/// # Errors
/// When the response is another client's, no deployment of the pool can have it, or the store cannot be asked.
pub async fn pinned(
    pins: &Pins,
    live: &Live,
    context: &RequestContext,
    pool: &Pool,
    request: &Request<'_>,
) -> Result<Option<DeploymentIx>, ProxyError> {
    let Some(name) = request.response.previous_id.as_deref() else {
        return Ok(None);
    };
    let Some(kept) = pins.find(name, clock::now_ms()).await? else {
        return Ok(None);
    };
    let snapshot = &live.config.runtime.snapshot;
    let is_own = context
        .client
        .is_some_and(|client| snapshot.clients[client.0].id == kept.client);
    if !is_own {
        return Err(ProxyError::PreviousResponseNotFound {
            name: error::echo(name),
        });
    }
    let is_it = |deployment: DeploymentIx| snapshot.deployments[deployment.0].id == kept.deployment;
    // By name, since the deployment itself may have been replaced by another one of the same resource.
    let resource = kept.deployment.split_once('/').map(|(resource, _)| resource);
    let is_beside_it = |deployment: DeploymentIx| {
        let at = snapshot.deployments[deployment.0].resource;
        resource.is_some_and(|resource| **snapshot.resources[at.0].id == *resource)
    };
    let members = || pool.members().map(|member| member.deployment);
    let holder = members().find(|&member| is_it(member));
    // Another model of the same resource may continue it.
    let holder = holder.or_else(|| members().find(|&member| is_beside_it(member)));
    holder.map(Some).ok_or(ProxyError::PreviousResponseGone {
        deployment: kept.deployment,
    })
}

/// Remembers the response that a deployment makes for a client, as soon as its name is known.
#[derive(Clone)]
pub struct Keeper {
    /// Where.
    pub pins: Arc<Pins>,
    /// Whose it is.
    pub client: ClientId,
    /// Who makes it.
    pub deployment: DeploymentId,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub asked_at_ms: i64,
}

impl Keeper {
    /// Remembers it by this name.
    pub fn keep(self, name: &str) -> ResponseKey {
        let key = key_of(name);
        let kept = KeptResponse {
            key,
            client: self.client,
            deployment: self.deployment,
            kept_at_ms: self.asked_at_ms,
        };
        self.pins.newest.lock().put(key, kept);
        key
    }
}

fn key_of(name: &str) -> ResponseKey {
    let digest = Sha256::digest(name);
    let mut key = [0; size_of::<ResponseKey>()];
    key.copy_from_slice(&digest[..size_of::<ResponseKey>()]);
    ResponseKey(key)
}

#[cfg(test)]
mod tests;
