//! What the gateway adds to a request of its own accord, and takes back where a deployment refuses it.

use crate::core::placement::shard::CacheKey;
use crate::core::topology::DeploymentIx;
use crate::openai::body;
use crate::openai::target::WireOperation;
use crate::proxy::commit::{Begun, Failed};
use crate::proxy::failover::Call;
use crate::proxy::placing::Placed;
use crate::proxy::state::DeploymentState;
use crate::telemetry::clock;

/// What the gateway adds to a request of its own accord.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether usage is asked of a stream.
    pub usage: bool,
    /// The `prompt_cache_key`, if one is sent.
    pub cache_key: Option<CacheKey>,
}

/// An option that a deployment may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusable {
    /// `stream_options`.
    Usage,
    /// `prompt_cache_key`.
    CacheKey,
}

impl Options {
    /// What is added to a request for this deployment.
    pub fn of(call: &Call<'_>, deployment: DeploymentIx, placed: Option<&Placed>) -> Self {
        let configured = &call.live.config.runtime.snapshot.deployments[deployment.0];
        let state = &call.live.deployments[deployment.0].state;
        let key = placed.filter(|_| !call.request.has_own_cache_key());
        Self {
            // A response has its usage unasked.
            usage: call.operation != WireOperation::Responses
                && configured.stream_usage
                && body::adds_usage(call.request)
                && state.takes_stream_usage(clock::now_ms()),
            cache_key: key.and_then(|placed| placed.key_for(call.live, deployment)),
        }
    }

    /// The option that was added and refused.
    pub fn refused_by(&self, result: &Result<Begun, Failed>) -> Option<Refusable> {
        let Err(Failed::Answer { head, error, .. }) = result else {
            return None;
        };
        let added = [
            self.usage.then_some(Refusable::Usage),
            self.cache_key.map(|_| Refusable::CacheKey),
        ];
        if head.status != 400 || added == [None; 2] {
            return None;
        }
        let mut added = added.into_iter().flatten();
        added.find(|option| error.refuses_member(option.member()))
    }

    /// Does without it.
    pub fn remove(&mut self, option: Refusable) {
        match option {
            Refusable::Usage => self.usage = false,
            Refusable::CacheKey => self.cache_key = None,
        }
    }
}

impl Refusable {
    /// The body's member.
    pub fn member(self) -> &'static str {
        match self {
            Self::Usage => "stream_options",
            Self::CacheKey => "prompt_cache_key",
        }
    }

    /// Does without it for a while.
    pub fn learn(self, state: &DeploymentState) {
        match self {
            Self::Usage => state.refused_stream_usage(clock::now_ms()),
            Self::CacheKey => state.refused_cache_key(clock::now_ms()),
        }
    }
}
