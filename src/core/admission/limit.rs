//! How much a client or a route may use: requests and tokens a minute, and requests at one time.
//!
//! A minute's worth may come at once, and what has come drains evenly within a minute. What is kept is what *was used*, not what is left,
//! so that another limit holds at once and neither forgives nor forgets. Tokens are taken on arrival, by an estimate, and set right at the
//! end by what was really used. A tally may so be above its limit for a while; nothing is let in until it has drained.
//!
//! A limit is meant for all gateways together, and each grants its part. A request that is larger than the part but not than the
//! limit is let in when nothing else is counted, and drains for as long as it is too large.
//!
//! Pure; constant time and memory.

use std::time::{Duration, Instant};

use strum::{AsRefStr, IntoStaticStr, VariantArray};

/// Seconds in which what was used drains.
const MINUTE_S: f64 = 60.0;

/// When somebody over its number of requests at one time should come back: nothing tells when one of them ends.
const CONCURRENCY_WAIT: Duration = Duration::from_secs(1);

/// What sums of fractions may be wrong by: far less than a request or a token.
const ERROR_MAX: f64 = 1e-6;

/// What may be used; none where there is no bound, else at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitRule {
    /// Requests a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, of prompts and answers.
    pub tokens_per_minute: Option<u32>,
    /// Requests at one time.
    pub concurrency: Option<u32>,
}

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum LimitKind {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Requests at one time.
    Concurrency,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Which limit is in the way; of several the one that is so for longest.
    pub kind: LimitKind,
    /// Its size, of all gateways together.
    pub limit: u32,
    /// When there is room; none where there never will be, since the request is larger than the limit.
    pub after: Option<Duration>,
}

/// Where a limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// This gateway's part of it.
    pub limit: u64,
    /// What is left of that.
    pub remaining: u64,
    /// When all of it is left again, if nothing else comes.
    pub reset: Duration,
}

/// What somebody has used.
#[derive(Debug, Default)]
pub struct Tally {
    requests: Bucket,
    tokens: Bucket,
    running: u32,
}

#[derive(Debug, Default)]
struct Bucket {
    used: f64,
    at: Option<Instant>,
}

impl LimitRule {
    /// Whether nothing is bounded.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Excess {
    /// The one of two that is in the way for longer.
    pub fn longer(self, other: Self) -> Self {
        let key = |excess: &Self| excess.after.unwrap_or(Duration::MAX);
        if key(&other) > key(&self) { other } else { self }
    }
}

impl Standing {
    /// The one of two that leaves less.
    pub fn tighter(self, other: Self) -> Self {
        let key = |standing: &Self| (standing.remaining, standing.limit);
        if key(&other) < key(&self) { other } else { self }
    }
}

impl Tally {
    /// Why a request that is estimated at so many tokens is not let in; none where it may be. `replicas` gateways share the limit.
    pub fn excess(&self, rule: &LimitRule, replicas: f64, tokens: u32, now: Instant) -> Option<Excess> {
        let excess = |kind, limit, after| Excess { kind, limit, after };
        let requests = rule.requests_per_minute.and_then(|limit| {
            let after = self.requests.room_after(part(limit, replicas), 1.0, now)?;
            Some(excess(LimitKind::Requests, limit, Some(after)))
        });
        let tokens = rule.tokens_per_minute.and_then(|limit| {
            if tokens > limit {
                return Some(excess(LimitKind::Tokens, limit, None));
            }
            let after = self.tokens.room_after(part(limit, replicas), f64::from(tokens), now)?;
            Some(excess(LimitKind::Tokens, limit, Some(after)))
        });
        let concurrency = rule.concurrency.and_then(|limit| {
            let is_full = f64::from(self.running) >= part(limit, replicas).ceil();
            is_full.then(|| excess(LimitKind::Concurrency, limit, Some(CONCURRENCY_WAIT)))
        });
        [requests, tokens, concurrency]
            .into_iter()
            .flatten()
            .reduce(Excess::longer)
    }

    /// Takes what a request is estimated to use.
    pub fn take(&mut self, rule: &LimitRule, replicas: f64, tokens: u32, now: Instant) {
        self.running += 1;
        if let Some(limit) = rule.requests_per_minute {
            self.requests.add(1.0, part(limit, replicas), now);
        }
        if let Some(limit) = rule.tokens_per_minute {
            self.tokens.add(f64::from(tokens), part(limit, replicas), now);
        }
    }

    /// Sets right what a request that has ended was estimated to use.
    pub fn settle(&mut self, rule: &LimitRule, replicas: f64, taken: u32, used: u64, now: Instant) {
        self.running = self.running.saturating_sub(1);
        if let Some(limit) = rule.tokens_per_minute {
            let more = used as f64 - f64::from(taken);
            self.tokens.add(more, part(limit, replicas), now);
        }
    }

    /// Where the limit of requests or of tokens stands; none where there is none.
    pub fn standing(&self, rule: &LimitRule, replicas: f64, kind: LimitKind, now: Instant) -> Option<Standing> {
        let (bucket, limit) = match kind {
            LimitKind::Requests => (&self.requests, rule.requests_per_minute?),
            LimitKind::Tokens => (&self.tokens, rule.tokens_per_minute?),
            LimitKind::Concurrency => return None,
        };
        let part = part(limit, replicas);
        let used = bucket.used(part, now);
        Some(Standing {
            limit: part as u64,
            // Both are below 2^33 and not negative.
            remaining: (part - used + ERROR_MAX).max(0.0) as u64,
            reset: Duration::from_secs_f64(used * MINUTE_S / part),
        })
    }
}

impl Bucket {
    fn used(&self, a_minute: f64, now: Instant) -> f64 {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        (self.used - passed.as_secs_f64() * a_minute / MINUTE_S).max(0.0)
    }

    /// When there is room for so much more; none where there is now.
    fn room_after(&self, a_minute: f64, cost: f64, now: Instant) -> Option<Duration> {
        let over = self.used(a_minute, now) + cost.min(a_minute) - a_minute;
        (over > ERROR_MAX).then(|| Duration::from_secs_f64(over * MINUTE_S / a_minute))
    }

    fn add(&mut self, amount: f64, a_minute: f64, now: Instant) {
        self.used = (self.used(a_minute, now) + amount).max(0.0);
        // A clock that was read before the lock was got may be a little behind.
        self.at = Some(self.at.map_or(now, |at| at.max(now)));
    }
}

/// This gateway's part of a limit.
fn part(limit: u32, replicas: f64) -> f64 {
    f64::from(limit) / replicas
}

#[cfg(test)]
mod tests;
