//! How much of a deployment's limit is used, as far as one replica can know.
//!
//! **Per-token deployments.** Their rate-limit headers tell what is left at one moment, for all replicas together. From then on the
//! report ages: its minute passes, and what this replica sent since is added. Where there are other replicas it ages towards part of what
//! was usual lately, since they keep sending. Without any report, this replica's own sends of
//! the last minute count, times the replicas. The limit is the configured capacity until headers tell it, and what they
//! tell then: a lower one is the service's own reduction. Requests a minute are kept in the same way; a deployment is as full as the
//! fuller of the two says.
//!
//! **Provisioned deployments** send no such headers. Their limit is a bucket that drains all the time: a request adds its estimate, its
//! end puts the estimate right, and a 429 says how far above the mark the bucket is. How much the real bucket holds is not
//! published; it is taken to hold a minute.

use std::collections::VecDeque;
use std::time::Duration;

/// Most requests later than a report that are remembered as not taken; beyond, the oldest count as taken until the next report.
const RETURNED_MAX: usize = 64;

/// What a limit is counted over.
const MINUTE: Duration = Duration::from_mins(1);

/// Time in which older reports lose half of their weight in what is usual.
const USUAL_HALF_LIFE: Duration = Duration::from_mins(2);
/// Part of what is usual that a report ages towards. More is refused less and finds less cached: what seems full is left by conversations
/// that would have been let in (ADR 11).
const USUAL_PART: f64 = 0.3;

/// How full a bucket is ever believed to be, in limits: what it takes to fill it twice is gone in two minutes.
const BUCKET_MAX: f64 = 2.0;

/// What is known of one deployment's limit and its use.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// What was configured.
    configured: f64,
    limit: f64,
    kind: Kind,
    /// When the last report came and what it said was used.
    report: Option<(Duration, f64)>,
    /// What reports said was used, smoothed.
    usual: f64,
    /// Minute: sent since the report or, without one, in the last minute (decayed). Bucket: its level.
    sent: f64,
    sent_at: Duration,
    /// All that was ever sent, and how many requests.
    total: f64,
    /// What of it was not taken.
    returned: f64,
    /// Requests later than the last report that were not taken, with their tokens: the last [`RETURNED_MAX`].
    returned_later: VecDeque<(u64, f64)>,
    number: u64,
    /// The last request that the last report counts.
    covered: u64,
    requests: Requests,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Minute,
    /// What others send is taken to be as much as this replica does.
    Bucket {
        replicas: f64,
    },
}

/// Requests a minute, as reported.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Requests {
    limit: f64,
    used: f64,
    at: Duration,
    /// The last request that the report counts.
    covered: u64,
}

/// A request that was sent: tells which ones a report counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sent {
    number: u64,
    /// All that had been sent once it was.
    total: f64,
    /// What it counts itself.
    tokens: f64,
}

impl Sent {
    /// What it counts, in tokens.
    pub fn tokens(self) -> f64 {
        self.tokens
    }
}

/// What a 429 was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// Tokens a minute, or the provisioned bucket.
    Tokens,
    /// Requests a minute.
    Requests,
    /// Neither, or not known.
    Other,
}

impl Room {
    /// A per-token deployment with nothing used; `limit` in tokens a minute, infinite where nobody configured one.
    pub fn new(limit: f64) -> Self {
        Self {
            configured: limit,
            limit,
            kind: Kind::Minute,
            report: None,
            usual: 0.0,
            sent: 0.0,
            sent_at: Duration::ZERO,
            total: 0.0,
            returned: 0.0,
            returned_later: VecDeque::new(),
            number: 0,
            covered: 0,
            requests: Requests::default(),
        }
    }

    /// A provisioned deployment with an empty bucket that drains `limit` tokens a minute, filled by so many replicas.
    pub fn provisioned(limit: f64, replicas: f64) -> Self {
        Self {
            kind: Kind::Bucket { replicas },
            ..Self::new(limit)
        }
    }

    /// Takes a changed configuration over, keeping what was learned of the use. A reported limit stays while capacity does.
    pub fn configure(&mut self, other: &Self) {
        self.kind = other.kind;
        if self.configured.to_bits() != other.configured.to_bits() {
            self.configured = other.configured;
            self.limit = other.limit;
        }
        if !self.sent.is_finite() {
            self.sent = 0.0;
        }
    }

    /// The limit in force, in tokens a minute.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// The limit that was configured, in tokens a minute.
    pub fn configured(&self) -> f64 {
        self.configured
    }

    /// All that this replica ever sent and that was taken, in tokens as the limit counts them.
    pub fn sent_in_all(&self) -> f64 {
        self.total - self.returned
    }

    /// This replica sends a request of this estimate. One request counts as no more than the whole limit, whatever its client claims.
    pub fn sent(&mut self, tokens: f64, now: Duration) -> Sent {
        let tokens = tokens.min(self.limit);
        self.add(tokens, now);
        self.total += tokens;
        self.number += 1;
        Sent {
            number: self.number,
            total: self.total,
            tokens,
        }
    }

    /// A request that was sent has really used so much: a bucket is put right, a minute never is.
    pub fn settled(&mut self, sent: Sent, used: f64, now: Duration) {
        if matches!(self.kind, Kind::Bucket { .. }) {
            self.add(used.min(self.limit) - sent.tokens, now);
        }
    }

    /// A request that was sent was not taken: it counts nothing.
    pub fn returned(&mut self, sent: Sent, now: Duration) {
        self.returned += sent.tokens;
        if sent.number > self.covered {
            if self.returned_later.len() == RETURNED_MAX {
                self.returned_later.pop_front();
            }
            self.returned_later.push_back((sent.number, sent.tokens));
        }
        // What a report has counted since is its own word.
        if sent.number > self.covered || matches!(self.kind, Kind::Bucket { .. }) {
            self.add(-sent.tokens, now);
        }
    }

    fn add(&mut self, tokens: f64, now: Duration) {
        let level = self.decayed(now) + tokens * self.own_share();
        let most = match self.kind {
            Kind::Minute => f64::INFINITY,
            Kind::Bucket { .. } => BUCKET_MAX * self.limit,
        };
        self.sent = level.clamp(0.0, most);
        self.sent_at = now;
    }

    /// A deployment told limit and remaining tokens of its minute, in answer to the request that was `sent`. All up to that is
    /// counted, what was sent later is added. A report that is older than the last one tells nothing. True when the limit is
    /// another than before. Provisioned deployments report nothing: what comes with their answers is about another one.
    pub fn reported(&mut self, limit: f64, remaining: f64, sent: Sent, now: Duration) -> bool {
        if matches!(self.kind, Kind::Bucket { .. }) || sent.number < self.covered {
            return false;
        }
        let is_another = (limit - self.limit).abs() > self.limit.min(limit) * 0.01;
        self.limit = limit;
        self.covered = sent.number;
        let used = (limit - remaining).max(0.0);
        self.usual = match self.report {
            Some((at, _)) => {
                let ago = now.saturating_sub(at).as_secs_f64() / USUAL_HALF_LIFE.as_secs_f64();
                used + (self.usual - used) * (-ago).exp2()
            }
            None => used,
        };
        self.report = Some((now, used));
        self.returned_later.retain(|(number, _)| *number > sent.number);
        let returned: f64 = self.returned_later.iter().map(|(_, tokens)| tokens).sum();
        self.sent = (self.total - sent.total - returned).max(0.0);
        self.sent_at = now;
        is_another
    }

    /// The same of requests.
    pub fn reported_requests(&mut self, limit: f64, remaining: f64, sent: Sent, now: Duration) {
        if sent.number >= self.requests.covered {
            self.requests = Requests {
                limit,
                used: (limit - remaining).max(0.0),
                at: now,
                covered: sent.number,
            };
        }
    }

    /// A deployment refused a request and asks for so much rest.
    pub fn refused(&mut self, what: Throttle, rest: Duration, now: Duration) {
        match (what, self.kind) {
            (Throttle::Tokens, Kind::Bucket { .. }) if self.limit.is_finite() => {
                let above = self.limit * rest.min(MINUTE).as_secs_f64() / MINUTE.as_secs_f64();
                self.sent = self.decayed(now).max(self.limit + above);
                self.sent_at = now;
            }
            (Throttle::Tokens, Kind::Minute) if self.limit.is_finite() => {
                self.report = Some((now, self.limit));
                self.covered = self.number;
                self.sent = 0.0;
                self.sent_at = now;
            }
            (Throttle::Requests, _) => {
                self.requests.used = self.requests.limit;
                self.requests.at = now;
                self.requests.covered = self.number;
            }
            (Throttle::Tokens | Throttle::Other, _) => {}
        }
    }

    /// Tokens of the current minute that are used. Where requests are nearer to their limit than tokens, as many tokens as
    /// that part of the limit.
    pub fn used(&self, now: Duration, replicas: f64) -> f64 {
        let own = self.decayed(now);
        let tokens = match (self.kind, self.report) {
            (Kind::Bucket { .. }, _) => own,
            (Kind::Minute, Some((at, used))) if now < at + MINUTE => {
                let left = left(at, now);
                let towards = if replicas > 1.0 { USUAL_PART * self.usual } else { 0.0 };
                used * left + towards * (1.0 - left) + own
            }
            (Kind::Minute, _) => own * replicas,
        };
        let requests = self.requests.share(self.number, now);
        if requests > 0.0 && self.limit.is_finite() {
            tokens.max(requests * self.limit)
        } else {
            tokens
        }
    }

    fn decayed(&self, now: Duration) -> f64 {
        match self.kind {
            Kind::Minute => self.sent * left(self.sent_at, now),
            Kind::Bucket { .. } if self.limit.is_finite() => {
                let drained = self.limit * now.saturating_sub(self.sent_at).as_secs_f64() / MINUTE.as_secs_f64();
                (self.sent - drained).max(0.0)
            }
            Kind::Bucket { .. } => 0.0,
        }
    }

    /// What one token of this replica's adds.
    fn own_share(&self) -> f64 {
        match self.kind {
            Kind::Minute => 1.0,
            Kind::Bucket { replicas } => replicas,
        }
    }
}

impl Requests {
    /// The part of the limit that is used; 0 where nothing is known.
    fn share(&self, number: u64, now: Duration) -> f64 {
        if self.limit <= 0.0 || now >= self.at + MINUTE {
            return 0.0;
        }
        let since = number.saturating_sub(self.covered) as f64;
        (self.used * left(self.at, now) + since) / self.limit
    }
}

/// The part of a minute's use that still counts: it passes evenly.
fn left(at: Duration, now: Duration) -> f64 {
    1.0 - (now.saturating_sub(at).as_secs_f64() / MINUTE.as_secs_f64()).min(1.0)
}

#[cfg(test)]
mod tests;
