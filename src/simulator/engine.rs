//! One deployment's model, as arithmetic: may the request in, how much of its prompt is cached, when does each
//! token come?
//!
//! Pure steps: every function takes `now` (time since the simulated world began) and draws its chance from the
//! seed, so the same code runs behind sockets in real time and in tests or replays in virtual time. The time to the
//! first token is a base plus the uncached part of the prompt; tokens then come at a steady rate that falls
//! modestly with the number of requests in flight at admission. Not modelled: batching effects, queueing.

use std::time::Duration;

use crate::simulator::chance::{draw, draw_unit};
use crate::simulator::limits::{ProvisionedBucket, PtuRate, Remaining, StandardWindows, Throttled, ptu_rate};
use crate::simulator::prompt_cache::{PrefixDigest, PromptCache};
use crate::simulator::scenario::{DeploymentSpec, Scenario};
use crate::simulator::settings::{EngineSettings, LimitSettings};

/// What a request asks of the model.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    /// The prompt for the cache; empty for embeddings.
    pub prefix: PrefixDigest,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// The request's own output limit over all its choices, when it names one.
    pub output_limit: Option<u32>,
    /// Choices asked for; multiplies the assumed output when no limit is named.
    pub choices: u32,
    /// Number of the request, which addresses its jitter.
    pub number: u64,
}

/// A request that was let in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Admitted {
    /// Prompt tokens that were cached.
    pub cached_tokens: u32,
    /// The machine that serves it.
    pub machine: u32,
    /// From admission to the first token.
    pub first_token: Duration,
    /// From each token to the next.
    pub per_token: Duration,
    /// Input-token equivalents charged to a provisioned bucket.
    charged: f64,
}

impl Admitted {
    /// When token `index` (from 0) is due, counted from admission.
    pub fn due(&self, index: u32) -> Duration {
        self.first_token + self.per_token.saturating_mul(index)
    }
}

#[derive(Debug)]
enum Limits {
    Standard(StandardWindows),
    Provisioned { bucket: ProvisionedBucket, rate: PtuRate },
}

/// The model behind one deployment.
#[derive(Debug)]
pub struct Engine {
    speeds: EngineSettings,
    limit_settings: LimitSettings,
    limits: Limits,
    cache: PromptCache,
    in_flight: u32,
    seed: u64,
}

impl Engine {
    /// An idle engine with an empty cache and full limits.
    pub fn new(scenario: &Scenario, deployment: &DeploymentSpec) -> Self {
        Self {
            speeds: scenario.engine.clone(),
            limit_settings: scenario.limits.clone(),
            limits: limits_of(deployment, &scenario.limits),
            cache: PromptCache::new(scenario.prompt_cache.clone()),
            in_flight: 0,
            seed: draw(scenario.seed, (&deployment.name, &deployment.model)),
        }
    }

    /// Lets a request in or throttles it. `reduction` is the part of a standard token limit in force, 1 normally.
    /// Every admission must be ended by one [`Self::finish`].
    ///
    /// # Errors
    /// With the cause and the time to wait, when a limit is reached.
    pub fn admit(&mut self, now: Duration, demand: &Demand, reduction: f64) -> Result<Admitted, Throttled> {
        let assumed = self
            .limit_settings
            .assumed_output_tokens
            .saturating_mul(demand.choices.max(1));
        let output_estimate = demand.output_limit.unwrap_or(assumed);
        if self.limit_settings.enabled {
            match &mut self.limits {
                Limits::Standard(windows) => {
                    windows.admit(
                        now,
                        u64::from(demand.prompt_tokens) + u64::from(output_estimate),
                        reduction,
                    )?;
                }
                Limits::Provisioned { bucket, .. } => bucket.admit(now)?,
            }
        }
        let lookup = self.cache.look_up(now, &demand.prefix);
        let uncached = demand.prompt_tokens.saturating_sub(lookup.cached_tokens);
        let charged = match &mut self.limits {
            Limits::Standard(_) => 0.0,
            Limits::Provisioned { bucket, rate } => {
                let amount = weighted(rate, uncached, output_estimate);
                bucket.charge(now, amount);
                amount
            }
        };
        let first_token = self.first_token(uncached, demand.number);
        self.cache.store(now, now + first_token, lookup.machine, &demand.prefix);
        let per_token = self.per_token();
        self.in_flight += 1;
        Ok(Admitted {
            cached_tokens: lookup.cached_tokens,
            machine: lookup.machine,
            first_token,
            per_token,
            charged,
        })
    }

    /// Ends an admission: `output_tokens` came out, whether the client stayed for them or not.
    pub fn finish(&mut self, now: Duration, demand: &Demand, admitted: &Admitted, output_tokens: u32) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Limits::Provisioned { bucket, rate } = &mut self.limits {
            let uncached = demand.prompt_tokens.saturating_sub(admitted.cached_tokens);
            bucket.charge(now, weighted(rate, uncached, output_tokens) - admitted.charged);
        }
    }

    /// What the rate-limit headers say; none on provisioned deployments, which do not send them.
    pub fn remaining(&mut self, now: Duration, reduction: f64) -> Option<Remaining> {
        match &mut self.limits {
            Limits::Standard(windows) => Some(windows.remaining(now, reduction)),
            Limits::Provisioned { .. } => None,
        }
    }

    /// Fill of a provisioned bucket, 1 being its mark; none on standard deployments.
    pub fn utilisation(&mut self, now: Duration) -> Option<f64> {
        match &mut self.limits {
            Limits::Standard(_) => None,
            Limits::Provisioned { bucket, .. } => Some(bucket.utilisation(now)),
        }
    }

    /// Requests between admission and finish.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Gives it other limits, not used up; what is cached stays.
    pub fn set_limits(&mut self, deployment: &DeploymentSpec) {
        self.limits = limits_of(deployment, &self.limit_settings);
    }

    /// Empties the cache and refills the limits; requests in flight stay counted.
    pub fn reset(&mut self, deployment: &DeploymentSpec) {
        self.limits = limits_of(deployment, &self.limit_settings);
        self.cache.clear();
    }

    fn first_token(&self, uncached: u32, number: u64) -> Duration {
        let speeds = &self.speeds;
        let seconds = speeds.base_latency_ms / 1e3 + f64::from(uncached) * speeds.prefill_us_per_token / 1e6;
        let jitter = 1.0 + speeds.jitter_ratio * (2.0 * draw_unit(self.seed, ("jitter", number)) - 1.0);
        Duration::from_secs_f64(seconds * jitter * speeds.time_scale)
    }

    fn per_token(&self) -> Duration {
        let speeds = &self.speeds;
        let slowdown = (1.0 + speeds.slowdown_per_request * f64::from(self.in_flight)).min(speeds.max_slowdown);
        Duration::from_secs_f64(slowdown / speeds.decode_tokens_per_s * speeds.time_scale)
    }
}

fn weighted(rate: &PtuRate, uncached: u32, output: u32) -> f64 {
    f64::from(uncached) + rate.output_weight * f64::from(output)
}

fn limits_of(deployment: &DeploymentSpec, settings: &LimitSettings) -> Limits {
    if deployment.sku.is_provisioned() {
        let rate = ptu_rate(&deployment.model);
        let tokens_per_minute = rate.input_tokens_per_minute * f64::from(deployment.capacity);
        Limits::Provisioned {
            bucket: ProvisionedBucket::new(tokens_per_minute, settings.provisioned_burst_s),
            rate,
        }
    } else {
        // The 4o and 4.1 families get six requests a minute for each thousand tokens.
        let requests = deployment
            .requests_per_minute
            .unwrap_or(deployment.capacity.saturating_mul(6));
        Limits::Standard(StandardWindows::new(u64::from(deployment.capacity) * 1_000, requests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::limits::ThrottleCause;

    const START: Duration = Duration::from_mins(10);

    fn engine(sku: &str, capacity: u32, engine: &str) -> Engine {
        let yaml = format!(
            "engine: {{{engine}}}\nprompt_cache: {{machines: 1}}\naccounts: [{{name: a, region: r, deployments: [{{name: d, model: gpt-4.1-mini, sku: {sku}, capacity: {capacity}}}]}}]"
        );
        let scenario = Scenario::parse(&yaml).unwrap();
        Engine::new(&scenario, &scenario.accounts[0].deployments[0])
    }

    fn demand(tokens: u32) -> Demand {
        let prefix = PrefixDigest::of(&vec![b'a'; tokens as usize * 4], None);
        Demand {
            prefix,
            prompt_tokens: tokens,
            output_limit: Some(100),
            choices: 1,
            number: 1,
        }
    }

    #[test]
    fn cached_tokens_are_not_read_again() {
        let mut engine = engine(
            "Standard",
            1_000,
            "jitter_ratio: 0, base_latency_ms: 10, prefill_us_per_token: 100",
        );
        let cold = engine.admit(START, &demand(2_048), 1.0).unwrap();
        assert_eq!(
            (cold.cached_tokens, cold.first_token),
            (0, Duration::from_micros(10_000 + 204_800))
        );
        let warm = engine.admit(START + cold.first_token, &demand(2_048), 1.0).unwrap();
        assert_eq!(
            (warm.cached_tokens, warm.first_token),
            (2_048, Duration::from_millis(10))
        );
    }

    #[test]
    fn requests_in_flight_slow_decoding_up_to_a_limit() {
        let mut engine = engine(
            "Standard",
            1_000,
            "decode_tokens_per_s: 100, slowdown_per_request: 0.5, max_slowdown: 2",
        );
        let times: Vec<Duration> = (0..4)
            .map(|_| engine.admit(START, &demand(10), 1.0).unwrap().per_token)
            .collect();
        assert_eq!(times, [10, 15, 20, 20].map(Duration::from_millis));
        let one = engine.admit(START, &demand(10), 1.0).unwrap();
        for _ in 0..5 {
            engine.finish(START, &demand(10), &one, 1);
        }
        assert_eq!(
            engine.admit(START, &demand(10), 1.0).unwrap().per_token,
            Duration::from_millis(10)
        );
    }

    #[test]
    fn time_scale_zero_answers_at_once() {
        let mut engine = engine("Standard", 1_000, "time_scale: 0");
        let admitted = engine.admit(START, &demand(9_000), 1.0).unwrap();
        assert_eq!(admitted.due(500), Duration::ZERO);
    }

    #[test]
    fn jitter_is_bounded_and_the_same_for_the_same_request() {
        let mut engine = engine(
            "Standard",
            1_000,
            "base_latency_ms: 100, prefill_us_per_token: 0, jitter_ratio: 0.2",
        );
        for number in 0..50 {
            let demand = Demand { number, ..demand(10) };
            let once = engine.admit(START, &demand, 1.0).unwrap().first_token;
            let again = engine.admit(START, &demand, 1.0).unwrap().first_token;
            assert_eq!(once, again);
            assert!((80..=120).contains(&once.as_millis()), "{once:?}");
        }
    }

    #[test]
    fn cached_prompts_cost_a_provisioned_deployment_nothing() {
        // 1 PTU of 4.1-mini drains 14,900 tokens a minute; the bucket's mark is ten seconds of that.
        let mut engine = engine("ProvisionedManaged", 1, "time_scale: 0");
        for round in 0..50 {
            let admitted = engine.admit(START, &demand(2_048), 1.0).unwrap();
            assert_eq!(admitted.cached_tokens > 0, round > 0);
            engine.finish(START, &demand(2_048), &admitted, 0);
        }
        let mut refused = None;
        for letter in 0..50_u8 {
            let prefix = PrefixDigest::of(&vec![letter; 8_192], None);
            match engine.admit(
                START,
                &Demand {
                    prefix,
                    ..demand(2_048)
                },
                1.0,
            ) {
                Ok(admitted) => engine.finish(START, &demand(2_048), &admitted, 0),
                Err(throttled) => {
                    refused = Some(throttled);
                    break;
                }
            }
        }
        let refused = refused.expect("cold prompts fill the bucket");
        assert_eq!(refused.cause, ThrottleCause::Provisioned);
        assert!(refused.retry_after < Duration::from_secs(10), "{refused:?}");
        assert!(engine.admit(START + refused.retry_after, &demand(1), 1.0).is_ok());
    }

    #[test]
    fn the_bucket_is_corrected_to_what_really_came_out() {
        let mut engine = engine("ProvisionedManaged", 1, "time_scale: 0");
        let wasteful = Demand {
            output_limit: Some(100_000),
            ..demand(10)
        };
        let admitted = engine.admit(START, &wasteful, 1.0).unwrap();
        assert!(
            engine.admit(START, &demand(10), 1.0).is_err(),
            "the estimate counts while it runs"
        );
        engine.finish(START, &wasteful, &admitted, 5);
        assert!(engine.admit(START, &demand(10), 1.0).is_ok());
    }
}
