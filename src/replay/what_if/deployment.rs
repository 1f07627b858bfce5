//! A deployment in a what-if: what it does with a request, and what the gateway would know of it.
//!
//! One cache that forgets after ten idle minutes, finds beginnings of 1,024 tokens and more in steps of 128, as Azure documents, and one
//! limit over a sliding minute. A request counts as what the gateway reckons when it is sent; a provisioned deployment is put right when
//! the answer is known.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::core::placement::chain::BlockId;
use crate::core::placement::latency::Latency;
use crate::core::placement::room::Room;
use crate::core::placement::view::CACHE_LIFE;
use crate::core::provider::{CACHEABLE_TOKENS, STEP_TOKENS};
use crate::core::recorded::TraceRecord;

const MINUTE: Duration = Duration::from_mins(1);

/// Seconds to an answer's beginning, for each prompt token that is not cached, and for each token of the answer: what replay reckons with
/// where nothing was measured.
const BEGIN_S: f64 = 0.2;
const PREFILL_S: f64 = 50e-6;
const DECODE_S: f64 = 0.02;

/// A request that was let in.
pub(super) struct Asked<'a> {
    pub(super) record: &'a TraceRecord,
    /// What the gateway reckons it counts, in tokens.
    pub(super) cost: f64,
    /// Input tokens that one output token counts as.
    pub(super) output_weight: f64,
    pub(super) at: Duration,
}

/// One deployment.
pub(super) struct Deployment {
    /// What the gateway knows of its limit.
    pub(super) room: Room,
    /// Requests in flight.
    pub(super) in_flight: u32,
    /// As the gateway knows it.
    pub(super) latency: Latency,
    /// Until when it asked for rest.
    pub(super) rests_until: Duration,
    /// Whether it is out of use now.
    pub(super) is_out: bool,
    is_provisioned: bool,
    /// Tokens a minute; none where nobody knows.
    limit: Option<f64>,
    /// Gateways that send it as much as this one.
    replicas: f64,
    /// When each block was last asked for.
    cache: HashMap<BlockId, Duration>,
    /// What was let in during the last minute.
    minute: VecDeque<(Duration, f64)>,
    used: f64,
}

impl Deployment {
    pub(super) fn new(limit: Option<f64>, replicas: f64, is_provisioned: bool, is_out: bool) -> Self {
        let known = limit.unwrap_or(f64::INFINITY);
        Self {
            room: if is_provisioned {
                Room::provisioned(known, replicas)
            } else {
                Room::new(known)
            },
            in_flight: 0,
            latency: Latency::default(),
            rests_until: Duration::ZERO,
            is_out,
            is_provisioned,
            limit,
            replicas,
            cache: HashMap::new(),
            minute: VecDeque::new(),
            used: 0.0,
        }
    }

    /// Whether so many tokens fit into its minute. Where they do not it asks for rest until they do.
    pub(super) fn admits(&mut self, tokens: f64, at: Duration) -> bool {
        self.forget(at);
        let Some(limit) = self.limit else { return true };
        // One request counts as no more than the whole limit, whatever its client claims.
        let tokens = tokens.min(limit / self.replicas);
        if (self.used + tokens) * self.replicas <= limit {
            return true;
        }
        let mut left = self.used;
        let gone = self.minute.iter().find(|(_, gone)| {
            left -= gone;
            (left + tokens) * self.replicas <= limit
        });
        self.rests_until = gone.map_or(at, |(then, _)| *then) + MINUTE;
        false
    }

    /// Lets a request in: prompt tokens that it finds cached, and when its answer ends.
    pub(super) fn serve(&mut self, asked: &Asked<'_>) -> (u64, Duration) {
        let Asked {
            record,
            cost,
            output_weight,
            at,
        } = *asked;
        let sent = self.room.sent(cost, at);
        let cached = self.found(record, at);
        let uncached = record.prompt_tokens.saturating_sub(cached) as f64;
        let completion = record.used.as_ref().map_or(0, |used| used.completion_tokens) as f64;
        let really = if self.is_provisioned {
            uncached + output_weight * completion
        } else {
            cost
        };
        let really = self.limit.map_or(really, |limit| really.min(limit / self.replicas));
        self.minute.push_back((at, really));
        self.used += really;
        if self.is_provisioned {
            self.room.settled(sent, really, at);
        } else if let Some(limit) = self.limit {
            self.room.reported(limit, limit - self.used * self.replicas, sent, at);
        }
        let begins = BEGIN_S + PREFILL_S * uncached;
        self.latency.observed(begins, at);
        self.in_flight += 1;
        let took = match record.took_ms {
            0 => Duration::from_secs_f64(begins + DECODE_S * completion),
            took_ms => Duration::from_millis(took_ms.into()),
        };
        (cached, at + took)
    }

    /// Prompt tokens that are cached; all of the prompt is from now on.
    fn found(&mut self, record: &TraceRecord, at: Duration) -> u64 {
        if !record.ask.is_cacheable {
            return 0;
        }
        let chain = &record.chain;
        let is_there = |id: &&BlockId| {
            self.cache
                .get(id)
                .is_some_and(|last| at.saturating_sub(*last) <= CACHE_LIFE)
        };
        let blocks = chain.ids().iter().take_while(is_there).count();
        for &id in chain.ids() {
            self.cache.insert(id, at);
        }
        // Blocks are measured by the estimate of the prompt, answers by what the provider counted.
        let counted = record.prompt_tokens as f64 / f64::from(record.ask.prompt_tokens.max(1));
        let tokens = (f64::from(chain.tokens(blocks)) * counted) as u64;
        let step = u64::from(STEP_TOKENS);
        let tokens = tokens.min(record.prompt_tokens) / step * step;
        if tokens < u64::from(CACHEABLE_TOKENS) {
            0
        } else {
            tokens
        }
    }

    /// What is longer ago than a minute does not count any more.
    fn forget(&mut self, at: Duration) {
        while let Some((_, tokens)) = self.minute.front().filter(|(then, _)| *then + MINUTE <= at) {
            self.used = (self.used - tokens).max(0.0);
            self.minute.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_its_limit_and_says_when_there_is_room_again() {
        let seconds = Duration::from_secs;
        let mut deployment = Deployment::new(Some(1_000.0), 1.0, false, false);
        let let_in = |deployment: &mut Deployment, at| {
            let fits = deployment.admits(400.0, at);
            if fits {
                deployment.minute.push_back((at, 400.0));
                deployment.used += 400.0;
            }
            fits
        };
        assert!(let_in(&mut deployment, seconds(1)) && let_in(&mut deployment, seconds(2)));
        assert!(!let_in(&mut deployment, seconds(3)));
        assert_eq!(deployment.rests_until, seconds(61));
        assert!(let_in(&mut deployment, seconds(61)), "the first is a minute old");
        assert!(!let_in(&mut deployment, seconds(61)));
        assert_eq!(deployment.rests_until, seconds(62));
    }

    #[test]
    fn two_gateways_have_half_a_minute_each_and_no_limit_has_no_end() {
        let mut shared = Deployment::new(Some(1_000.0), 2.0, false, false);
        assert!(shared.admits(500.0, Duration::ZERO));
        shared.used = 200.0;
        assert!(!shared.admits(400.0, Duration::ZERO));
        let mut unknown = Deployment::new(None, 1.0, false, false);
        assert!(unknown.admits(1e12, Duration::ZERO));
    }
}
