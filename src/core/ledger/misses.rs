//! Why was less of a prompt found cached than could have been? One cause for each answer that fell short.
//!
//! What could have been cached is the longest beginning of the prompt that this gateway sent before, to anybody, in
//! the provider's steps of 128 tokens and from 1,024 on. What answers report less than that is *missed*. It falls into three parts: what
//! the answering deployment itself was sent within its cache's life (*overflow*), what only another one was (*moved*), and
//! what nobody was within it (*expired*). The largest part names the cause of all of it, so that sums by cause are sums of requests.
//!
//! Pure arithmetic on plain values: placement tells what was sent, the answer what was cached.

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

use crate::core::provider;

const CACHEABLE_TOKENS: u64 = provider::CACHEABLE_TOKENS as u64;
const STEP_TOKENS: u64 = provider::STEP_TOKENS as u64;

/// Four bytes are a token only on average: a shortfall of less than this part of what is expected proves nothing.
const SLACK: f64 = 1.0 / 8.0;
/// How far a prompt may agree beyond or short of a route's drift to be one that drifted: two blocks of the chain.
const DRIFT_REACH_TOKENS: u64 = 2 * STEP_TOKENS;

/// Why a prompt's beginning was not found cached. The same text in log, metric, store and test.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, AsRefStr, EnumString, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// No such beginning was sent before: nothing could have been cached.
    Cold,
    /// It was sent, but longer ago than caches live.
    Expired,
    /// The same deployment was sent it within its cache's life: another of its machines must have answered.
    Overflow,
    /// It was warm at another deployment, which had no room, rested, or answered this very request with a 429.
    MovedBySpill,
    /// It was warm at another deployment, which failed or was ejected.
    MovedByFailover,
    /// It was warm at another deployment, which was no longer its home.
    MovedByHomes,
    /// The prompt is shorter than what the provider caches.
    TooShort,
    /// The deployment has never reported a cached token.
    NotCacheable,
    /// The route's prompts part early, although what follows is the same again.
    Drift,
}

impl Cause {
    /// The cause in words, for people who look at a sum of it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Cold => "nobody had sent this beginning before, so nothing could have been cached",
            Self::Expired => "the same beginning came again only after the provider had forgotten it",
            Self::Overflow => "the deployment had it, but another of its machines answered",
            Self::MovedBySpill => "its deployment had no room or rested, so another was asked that did not have it",
            Self::MovedByFailover => "its deployment failed, so another was asked that did not have it",
            Self::MovedByHomes => "its beginning got another home, as weights, members or load changed",
            Self::TooShort => "the prompt is shorter than what the provider caches",
            Self::NotCacheable => "the deployment has never reported a cached token",
            Self::Drift => "prompts of the route part early, although what follows is the same again",
        }
    }
}

/// Why a request went where it went, if its beginning was warm elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Others had no room or rested.
    BySpill,
    /// Others failed or were ejected.
    ByFailover,
    /// By the order alone.
    ByHomes,
}

/// What is known of an answered request. `estimate` is what bytes ÷ 4 say of the whole prompt, and `here`, `lately` and `ever` are
/// measured alike; the answer's own count brings them to scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// Prompt tokens, as reported.
    pub prompt: u64,
    /// Cached ones of them, as reported.
    pub cached: u64,
    /// Tokens of the prompt, as estimated.
    pub estimate: u64,
    /// The longest beginning that was sent before to the deployment that answered, within its cache's life.
    pub here: u64,
    /// The same, to any deployment.
    pub lately: u64,
    /// The same, for as long as it is remembered.
    pub ever: u64,
    /// Why it went where it went.
    pub moved: Moved,
    /// Whether the deployment is known to report cached tokens.
    pub reports_cache: bool,
    /// Where the route's prompts drift, if they do.
    pub drift: Option<Drifting>,
}

/// Where a route's prompts part early, and what that costs each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drifting {
    /// Tokens before the place, as estimated.
    pub position: u64,
    /// Tokens after it that could be cached, as estimated.
    pub lost: u64,
}

/// An answer that fell short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Miss {
    /// Why.
    pub cause: Cause,
    /// Tokens that could have been cached and were not; 0 where nothing could.
    pub tokens: u64,
}

/// Prompt tokens that could have been cached, since they were sent before.
pub fn expected(facts: &Facts) -> u64 {
    cacheable(facts.scaled(facts.ever))
}

/// Why less was cached than could have been; none when it was not less.
pub fn miss(facts: &Facts) -> Option<Miss> {
    let nothing_lost = |cause| Some(Miss { cause, tokens: 0 });
    if facts.prompt < CACHEABLE_TOKENS {
        return nothing_lost(Cause::TooShort);
    }
    let expected = expected(facts);
    let missed = expected.saturating_sub(facts.cached);
    let slack = (expected as f64 * SLACK).max(STEP_TOKENS as f64);
    if missed as f64 > slack {
        let cause = if facts.reports_cache {
            largest_part(facts)
        } else {
            Cause::NotCacheable
        };
        return Some(Miss { cause, tokens: missed });
    }
    if let Some(drift) = facts.drift
        && drift.position.abs_diff(facts.ever) <= DRIFT_REACH_TOKENS
    {
        let lost = facts.scaled(drift.lost).min(facts.prompt - facts.cached);
        return Some(Miss {
            cause: Cause::Drift,
            tokens: in_steps(lost),
        });
    }
    if expected == 0 && facts.cached == 0 {
        return nothing_lost(Cause::Cold);
    }
    None
}

/// Which part of what is missing is the largest.
fn largest_part(facts: &Facts) -> Cause {
    let (here, lately, ever) = (
        facts.scaled(facts.here),
        facts.scaled(facts.lately),
        facts.scaled(facts.ever),
    );
    let overflow = here.saturating_sub(facts.cached);
    let moved = lately.saturating_sub(here.max(facts.cached));
    let expired = ever.saturating_sub(lately.max(facts.cached));
    if expired > moved.max(overflow) {
        Cause::Expired
    } else if moved > overflow {
        match facts.moved {
            Moved::BySpill => Cause::MovedBySpill,
            Moved::ByFailover => Cause::MovedByFailover,
            Moved::ByHomes => Cause::MovedByHomes,
        }
    } else {
        Cause::Overflow
    }
}

impl Facts {
    /// Estimated tokens in the measure of the answer's count.
    fn scaled(&self, estimated: u64) -> u64 {
        if self.estimate == 0 {
            return 0;
        }
        let scaled = estimated as f64 * self.prompt as f64 / self.estimate as f64;
        (scaled as u64).min(self.prompt)
    }
}

/// Tokens of a beginning that the provider can cache.
pub fn cacheable(tokens: u64) -> u64 {
    if tokens < CACHEABLE_TOKENS { 0 } else { in_steps(tokens) }
}

fn in_steps(tokens: u64) -> u64 {
    tokens / STEP_TOKENS * STEP_TOKENS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt of 4,000 tokens, all of which this deployment was sent lately, and of which 0 were cached.
    const SEEN: Facts = Facts {
        prompt: 4_000,
        cached: 0,
        estimate: 4_000,
        here: 4_000,
        lately: 4_000,
        ever: 4_000,
        moved: Moved::ByHomes,
        reports_cache: true,
        drift: None,
    };
    const NEW: Facts = Facts {
        here: 0,
        lately: 0,
        ever: 0,
        ..SEEN
    };
    const DRIFT: Drifting = Drifting {
        position: 400,
        lost: 3_000,
    };

    #[track_caller]
    fn check(facts: Facts, expected: Option<(Cause, u64)>) {
        assert_eq!(miss(&facts).map(|miss| (miss.cause, miss.tokens)), expected);
    }

    #[test]
    fn what_was_cached_is_no_miss() {
        check(Facts { cached: 3_968, ..SEEN }, None);
        // Half of an eighth short: the estimate's own error.
        check(Facts { cached: 3_712, ..SEEN }, None);
        // Another gateway warmed it.
        check(Facts { cached: 2_048, ..NEW }, None);
        check(Facts { cached: 3_328, ..SEEN }, Some((Cause::Overflow, 640)));
    }

    #[test]
    fn new_and_short_prompts_miss_nothing() {
        check(NEW, Some((Cause::Cold, 0)));
        let little = Facts {
            ever: 1_000,
            lately: 1_000,
            here: 1_000,
            ..NEW
        };
        check(little, Some((Cause::Cold, 0)));
        let short = Facts {
            prompt: 1_023,
            estimate: 1_023,
            ..SEEN
        };
        check(short, Some((Cause::TooShort, 0)));
        check(
            Facts {
                prompt: 1_024,
                estimate: 1_024,
                ..SEEN
            },
            Some((Cause::Overflow, 1_024)),
        );
    }

    #[test]
    fn the_largest_part_names_the_cause() {
        check(SEEN, Some((Cause::Overflow, 3_968)));
        let elsewhere = Facts { here: 0, ..SEEN };
        check(elsewhere, Some((Cause::MovedByHomes, 3_968)));
        for (moved, cause) in [
            (Moved::BySpill, Cause::MovedBySpill),
            (Moved::ByFailover, Cause::MovedByFailover),
        ] {
            check(Facts { moved, ..elsewhere }, Some((cause, 3_968)));
        }
        check(
            Facts {
                here: 0,
                lately: 0,
                ..SEEN
            },
            Some((Cause::Expired, 3_968)),
        );
        check(Facts { here: 1_500, ..SEEN }, Some((Cause::MovedByHomes, 3_968)));
        check(Facts { here: 2_500, ..SEEN }, Some((Cause::Overflow, 3_968)));
        check(
            Facts {
                here: 1_024,
                lately: 1_500,
                ..SEEN
            },
            Some((Cause::Expired, 3_968)),
        );
        check(
            Facts {
                here: 1_024,
                lately: 2_300,
                ..SEEN
            },
            Some((Cause::Expired, 3_968)),
        );
        // What was here was cached, so that cannot be the cause.
        check(
            Facts {
                cached: 2_432,
                here: 2_500,
                ..SEEN
            },
            Some((Cause::MovedByHomes, 1_536)),
        );
    }

    #[test]
    fn a_deployment_that_never_reports_is_not_blamed_for_anything_else() {
        check(
            Facts {
                reports_cache: false,
                ..SEEN
            },
            Some((Cause::NotCacheable, 3_968)),
        );
        check(
            Facts {
                reports_cache: false,
                ..NEW
            },
            Some((Cause::Cold, 0)),
        );
    }

    #[test]
    fn estimates_are_brought_to_the_answers_scale() {
        // 4,000 estimated tokens were 3,000.
        let denser = Facts { prompt: 3_000, ..SEEN };
        assert_eq!(expected(&denser), 2_944);
        check(denser, Some((Cause::Overflow, 2_944)));
        check(
            Facts {
                here: 2_000,
                lately: 2_000,
                ever: 2_000,
                cached: 1_408,
                ..denser
            },
            None,
        );
        check(Facts { estimate: 0, ..SEEN }, Some((Cause::Cold, 0)));
    }

    #[test]
    fn drift_explains_what_agrees_just_up_to_it() {
        let drifting = Facts {
            drift: Some(DRIFT),
            ..NEW
        };
        let agreeing = |tokens| Facts {
            here: tokens,
            lately: tokens,
            ever: tokens,
            ..drifting
        };
        check(agreeing(384), Some((Cause::Drift, 2_944)));
        check(agreeing(600), Some((Cause::Drift, 2_944)));
        check(agreeing(100), Some((Cause::Cold, 0)));
        check(agreeing(700), Some((Cause::Cold, 0)));
        check(
            Facts {
                cached: 3_968,
                ..agreeing(4_000)
            },
            None,
        );
        check(agreeing(4_000), Some((Cause::Overflow, 3_968)));
        // Not more than there was left to cache.
        check(
            Facts {
                cached: 2_944,
                ..agreeing(384)
            },
            Some((Cause::Drift, 1_024)),
        );
    }

    #[test]
    fn causes_are_the_same_words_everywhere() {
        let words: Vec<&str> = Cause::VARIANTS.iter().map(AsRef::as_ref).collect();
        let expected = [
            "cold",
            "expired",
            "overflow",
            "moved_by_spill",
            "moved_by_failover",
            "moved_by_homes",
            "too_short",
            "not_cacheable",
            "drift",
        ];
        assert_eq!(words, expected);
        for word in words {
            assert_eq!(
                word.parse::<Cause>().map(|cause| cause.as_ref().to_owned()),
                Ok(word.to_owned())
            );
        }
    }
}
