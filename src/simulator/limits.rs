//! May this request in, by the deployment's limits? Standard windows and the provisioned bucket.
//!
//! Standard: requests are counted over 10 s at the proportional share of the minute's limit; tokens over a minute,
//! as an estimate made at arrival and never corrected. Provisioned: a leaky bucket in input-token equivalents,
//! charged with an estimate and corrected on completion; only a bucket already above its mark refuses, so short
//! bursts pass. All state moves by the `now` it is given. Not modelled: the service's imprecise, distributed
//! enforcement, and shared quota between deployments of one subscription.

use std::time::Duration;

/// Token window of standard deployments.
const TOKEN_WINDOW: Duration = Duration::from_mins(1);
/// Request window of standard deployments.
const REQUEST_WINDOW: Duration = Duration::from_secs(10);
/// What the service tells a request that never fits.
pub const NEVER_FITS_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Why a request was throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleCause {
    /// Tokens a minute are used up.
    Tokens,
    /// Requests in the short window are used up.
    Requests,
    /// The request alone is larger than a minute's tokens.
    TooLarge,
    /// The provisioned bucket is above its mark.
    Provisioned,
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// Why.
    pub cause: ThrottleCause,
    /// When the next request may pass.
    pub retry_after: Duration,
}

/// What the `x-ratelimit-*` headers of a standard deployment say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Requests a minute.
    pub limit_requests: u32,
    /// Tokens a minute now in force.
    pub limit_tokens: u64,
    /// Requests left of this minute; may be above 0 on a 429 because enforcement looks at 10 s.
    pub remaining_requests: u32,
    /// Tokens left of this minute.
    pub remaining_tokens: u64,
    /// Time until the token window starts again.
    pub reset: Duration,
}

/// Windows of a pay-per-token deployment.
#[derive(Debug)]
pub struct StandardWindows {
    tokens_per_minute: u64,
    requests_per_minute: u32,
    token_window: u64,
    tokens: u64,
    requests_in_minute: u32,
    request_window: u64,
    requests: u32,
}

impl StandardWindows {
    /// Full windows.
    pub fn new(tokens_per_minute: u64, requests_per_minute: u32) -> Self {
        Self {
            tokens_per_minute,
            requests_per_minute,
            token_window: 0,
            tokens: 0,
            requests_in_minute: 0,
            request_window: 0,
            requests: 0,
        }
    }

    /// Counts a request in, or refuses it. `reduction` is the part of the token limit in force, 1 normally.
    ///
    /// # Errors
    /// With the cause and the time until the window starts again.
    pub fn admit(&mut self, now: Duration, estimate: u64, reduction: f64) -> Result<(), Throttled> {
        self.roll(now);
        self.requests_in_minute = self.requests_in_minute.saturating_add(1);
        if self.requests >= self.requests_per_minute.div_ceil(6) {
            return Err(Throttled {
                cause: ThrottleCause::Requests,
                retry_after: until_next(now, REQUEST_WINDOW),
            });
        }
        // Refused by tokens or not, it counts as a request: failed requests do.
        self.requests += 1;
        let limit = self.limit_tokens(reduction);
        if estimate > limit {
            return Err(Throttled {
                cause: ThrottleCause::TooLarge,
                retry_after: NEVER_FITS_RETRY_AFTER,
            });
        }
        if self.tokens + estimate > limit {
            return Err(Throttled {
                cause: ThrottleCause::Tokens,
                retry_after: until_next(now, TOKEN_WINDOW),
            });
        }
        self.tokens += estimate;
        Ok(())
    }

    /// What the headers say now.
    pub fn remaining(&mut self, now: Duration, reduction: f64) -> Remaining {
        self.roll(now);
        let limit_tokens = self.limit_tokens(reduction);
        Remaining {
            limit_requests: self.requests_per_minute,
            limit_tokens,
            remaining_requests: self.requests_per_minute.saturating_sub(self.requests_in_minute),
            remaining_tokens: limit_tokens.saturating_sub(self.tokens),
            reset: until_next(now, TOKEN_WINDOW),
        }
    }

    fn limit_tokens(&self, reduction: f64) -> u64 {
        (self.tokens_per_minute as f64 * reduction) as u64
    }

    fn roll(&mut self, now: Duration) {
        let (minute, ten) = (
            now.as_secs() / TOKEN_WINDOW.as_secs(),
            now.as_secs() / REQUEST_WINDOW.as_secs(),
        );
        if self.token_window != minute {
            (self.token_window, self.tokens, self.requests_in_minute) = (minute, 0, 0);
        }
        if self.request_window != ten {
            (self.request_window, self.requests) = (ten, 0);
        }
    }
}

fn until_next(now: Duration, window: Duration) -> Duration {
    window.saturating_sub(Duration::from_nanos((now.as_nanos() % window.as_nanos()) as u64))
}

/// Bucket of a provisioned deployment, in input-token equivalents.
#[derive(Debug)]
pub struct ProvisionedBucket {
    drain_per_s: f64,
    mark: f64,
    level: f64,
    at: Duration,
}

impl ProvisionedBucket {
    /// An empty bucket that drains `tokens_per_minute` and holds `burst_s` seconds of that at its mark.
    pub fn new(tokens_per_minute: f64, burst_s: f64) -> Self {
        let drain_per_s = tokens_per_minute / 60.0;
        Self {
            drain_per_s,
            mark: drain_per_s * burst_s,
            level: 0.0,
            at: Duration::ZERO,
        }
    }

    /// Refuses when utilisation is above 100 %. Does not charge.
    ///
    /// # Errors
    /// With the time until utilisation is back at 100 %.
    pub fn admit(&mut self, now: Duration) -> Result<(), Throttled> {
        self.drain(now);
        let over = self.level - self.mark;
        if over <= 0.0 {
            return Ok(());
        }
        // Rounded up to a millisecond, so that whoever waits exactly this long passes.
        let wait_ms = (over / self.drain_per_s * 1_000.0).ceil().clamp(1.0, 3_600_000.0);
        Err(Throttled {
            cause: ThrottleCause::Provisioned,
            retry_after: Duration::from_millis(wait_ms as u64),
        })
    }

    /// Adds work, or takes estimated work back with a negative amount.
    pub fn charge(&mut self, now: Duration, amount: f64) {
        self.drain(now);
        self.level = (self.level + amount).max(0.0);
    }

    /// How full it is; 1 is the mark.
    pub fn utilisation(&mut self, now: Duration) -> f64 {
        self.drain(now);
        self.level / self.mark
    }

    fn drain(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level - passed * self.drain_per_s).max(0.0);
        self.at = self.at.max(now);
    }
}

/// Input tokens a minute that one PTU carries, and how many input tokens one output token weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PtuRate {
    /// Input tokens a minute per PTU.
    pub input_tokens_per_minute: f64,
    /// Weight of an output token.
    pub output_weight: f64,
}

/// The published rate of a model's family; `gpt-4.1-mini`'s where the family is unknown.
pub fn ptu_rate(model: &str) -> PtuRate {
    // Longest name first: `gpt-4.1` is a prefix of its smaller siblings.
    const RATES: &[(&str, f64, f64)] = &[
        ("gpt-4.1-nano", 59_400.0, 4.0),
        ("gpt-4.1-mini", 14_900.0, 4.0),
        ("gpt-4o-mini", 37_000.0, 4.0),
        ("gpt-4.1", 3_000.0, 4.0),
        ("gpt-4o", 2_500.0, 4.0),
        ("o4-mini", 5_400.0, 4.0),
        ("gpt-5", 4_750.0, 8.0),
    ];
    let found = RATES.iter().find(|(family, ..)| model.starts_with(family));
    let (input_tokens_per_minute, output_weight) =
        found.map_or((14_900.0, 4.0), |(_, input, weight)| (*input, *weight));
    PtuRate {
        input_tokens_per_minute,
        output_weight,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_mins(10);

    #[test]
    fn tokens_are_refused_until_the_minute_ends() {
        let mut windows = StandardWindows::new(1_000, 600);
        assert_eq!(windows.admit(START, 600, 1.0), Ok(()));
        let at = START + Duration::from_secs(20);
        let refused = Throttled {
            cause: ThrottleCause::Tokens,
            retry_after: Duration::from_secs(40),
        };
        assert_eq!(windows.admit(at, 600, 1.0), Err(refused));
        assert_eq!(windows.admit(at + refused.retry_after, 600, 1.0), Ok(()));
    }

    #[test]
    fn requests_are_refused_over_ten_seconds_while_the_minute_has_some_left() {
        let mut windows = StandardWindows::new(1_000_000, 12);
        assert_eq!(windows.admit(START, 1, 1.0), Ok(()));
        assert_eq!(windows.admit(START, 1, 1.0), Ok(()));
        let at = START + Duration::from_secs(4);
        let refused = Throttled {
            cause: ThrottleCause::Requests,
            retry_after: Duration::from_secs(6),
        };
        assert_eq!(windows.admit(at, 1, 1.0), Err(refused));
        assert_eq!(windows.remaining(at, 1.0).remaining_requests, 9);
    }

    #[test]
    fn a_request_larger_than_the_limit_is_told_a_day() {
        let mut windows = StandardWindows::new(1_000, 600);
        let refused = windows.admit(START, 1_001, 1.0).unwrap_err();
        assert_eq!(
            (refused.cause, refused.retry_after),
            (ThrottleCause::TooLarge, NEVER_FITS_RETRY_AFTER)
        );
    }

    #[test]
    fn a_reduction_shows_in_the_limit_and_is_enforced() {
        let mut windows = StandardWindows::new(1_000, 600);
        assert_eq!(windows.remaining(START, 0.25).limit_tokens, 250);
        assert!(windows.admit(START, 300, 0.25).is_err());
        assert!(windows.admit(START, 300, 1.0).is_ok());
    }

    #[test]
    fn the_bucket_lets_a_burst_over_its_mark_and_then_names_the_wait() {
        let mut bucket = ProvisionedBucket::new(60_000.0, 10.0);
        bucket.admit(START).unwrap();
        bucket.charge(START, 12_000.0);
        let refused = bucket.admit(START).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(2));
        assert!(bucket.admit(START + Duration::from_millis(1_999)).is_err());
        assert!(bucket.admit(START + refused.retry_after).is_ok());
    }

    #[test]
    fn smaller_siblings_are_not_taken_for_their_family() {
        for (model, expect) in [
            ("gpt-4.1-mini-2025-04-14.ft-1", 14_900.0),
            ("gpt-4.1-2025-04-14", 3_000.0),
            ("new", 14_900.0),
        ] {
            assert!(
                (ptu_rate(model).input_tokens_per_minute - expect).abs() < 0.1,
                "{model}"
            );
        }
    }

    proptest! {
        #[test]
        fn admitted_tokens_never_exceed_the_limit(steps in prop::collection::vec((0_u64..5_000, 1_u64..900), 1..200)) {
            let mut windows = StandardWindows::new(1_000, 100_000);
            let (mut now, mut minute, mut sum) = (START, START.as_secs() / 60, 0);
            for (wait_ms, estimate) in steps {
                now += Duration::from_millis(wait_ms);
                if now.as_secs() / 60 != minute {
                    (minute, sum) = (now.as_secs() / 60, 0);
                }
                if windows.admit(now, estimate, 1.0).is_ok() {
                    sum += estimate;
                }
                prop_assert!(sum <= 1_000);
            }
        }
    }
}
