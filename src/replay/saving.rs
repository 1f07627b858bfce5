//! What a run saves, and against what.
//!
//! A model of a provider is never the provider. So where a trace tells by which policy it was placed, that policy is played too, at
//! as many deployments as there were, and a run's saving is told against *that* run: the model's error is in both and cancels for
//! the most part. What is left of it is printed beside: the difference of the played policy from what really happened. A saving
//! that is smaller may be nothing.
//!
//! A run that fails requests which really were answered saves nothing, whatever its tokens cost.

use serde::Serialize;
use strum::IntoStaticStr;

use super::money::{self, Prices};
use super::trace::Trace;
use super::world::{Outcome, Setting};

/// What a saving is told against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Against {
    /// The policy that was in use, played.
    Played,
    /// What really happened: which policy was in use is not known.
    Actual,
}

/// A run's saving, of all traffic that the trace stands for; nothing where the trace does not tell what really happened.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Saving {
    /// Against what.
    pub saved_against: Option<Against>,
    /// Whether the run is the policy that was in use, played at what there was.
    pub is_in_use: bool,
    /// Prompt tokens found cached beyond those, over the requests that tell what was; less than zero where fewer are.
    pub saved_tokens: Option<i64>,
    /// What these are worth, less the hosting of deployments that there were not, in USD; null without prices.
    pub saved_usd: Option<f64>,
    /// The same for a day; null for a trace of less than an hour.
    pub saved_usd_a_day: Option<f64>,
    /// The same for 30 days.
    pub saved_usd_in_30_days: Option<f64>,
    /// Why there is no saving, where there could have been one.
    pub no_saving: Option<String>,
    /// Cached ÷ prompt tokens of the policy in use, as played.
    pub in_use_hit: Option<f64>,
    /// Tokens that the policy in use, played, finds cached beyond those that really were.
    pub model_error_tokens: Option<i64>,
    /// What these are worth.
    pub model_error_usd: Option<f64>,
    /// Whether the saving is not larger than the model's error.
    pub is_within_model_error: Option<bool>,
}

/// The policy that was in use, played.
#[derive(Debug, Clone, Copy)]
pub struct Baseline<'a> {
    /// In which world.
    pub setting: &'a Setting,
    /// What it came to.
    pub outcome: &'a Outcome,
    /// Whether it is the very run that is judged.
    pub is_same: bool,
}

impl Saving {
    /// Of a run.
    pub fn of(
        trace: &Trace,
        prices: Option<Prices>,
        setting: &Setting,
        outcome: &Outcome,
        baseline: Option<Baseline<'_>>,
    ) -> Self {
        let Some(gained) = outcome.saved else {
            return Self::default();
        };
        let all = |tokens: i64| (tokens as f64 * trace.scale()).round() as i64;
        let played = baseline.and_then(|baseline| Some((baseline, baseline.outcome.saved?)));
        let error = played.map(|(_, gained)| all(gained));
        let worth = |tokens: i64| prices.map(|prices| prices.of_cached(tokens));
        let told = Self {
            saved_against: Some(if played.is_some() {
                Against::Played
            } else {
                Against::Actual
            }),
            is_in_use: played.is_some_and(|(baseline, _)| baseline.is_same),
            in_use_hit: played.and_then(|(_, gained)| trace.actual.hit_with(gained)),
            model_error_tokens: error,
            model_error_usd: error.and_then(worth),
            ..Self::default()
        };
        if let Some(reason) = no_saving(trace, outcome, played.map(|(baseline, _)| baseline)) {
            return Self {
                no_saving: Some(reason),
                ..told
            };
        }
        let tokens = all(gained) - error.unwrap_or(0);
        let before = played.map_or(trace.actual.deployments, |(baseline, _)| baseline.setting.deployments);
        let usd = prices.and_then(|prices| money::saved(prices, trace, tokens, before, setting.deployments));
        let is_within = match told.model_error_usd.zip(usd) {
            Some((error, usd)) => Some(usd.abs() <= error.abs()),
            None => error.map(|error| tokens.abs() <= error.abs()),
        };
        let a_day = usd.and_then(|usd| money::a_day(usd, trace.seconds()));
        Self {
            saved_tokens: Some(tokens),
            saved_usd: usd,
            saved_usd_a_day: a_day,
            saved_usd_in_30_days: a_day.map(|usd| 30.0 * usd),
            is_within_model_error: is_within.filter(|_| !told.is_in_use),
            ..told
        }
    }
}

/// Why a run cannot be compared: it, or what it is compared with, fails more requests than really were refused.
fn no_saving(trace: &Trace, outcome: &Outcome, baseline: Option<Baseline<'_>>) -> Option<String> {
    let refused = trace.actual.refused;
    let fails = |outcome: &Outcome| Some(outcome.failed_requests()).filter(|&failed| failed > refused);
    if let Some(failed) = fails(outcome) {
        return Some(format!("{failed} requests failed, {refused} really did"));
    }
    let failed = baseline.and_then(|baseline| fails(baseline.outcome))?;
    Some(format!(
        "the policy in use, played, failed {failed} requests, {refused} really did"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::trace::{Actual, Request};

    const PRICES: Prices = Prices {
        input: 0.4,
        cached: 0.1,
        output: 1.6,
        hour: 1.7,
    };

    /// Of an hour and a half, with a share and so many refused requests.
    fn trace(share: Option<f64>, refused: usize) -> Trace {
        let request = |at| Request {
            at,
            ..Request::default()
        };
        Trace {
            requests: vec![request(0.0), request(5_400.0)],
            share,
            actual: Actual {
                deployments: 2,
                requests: 2,
                prompt_tokens: 4_000_000,
                cached_tokens: 1_000_000,
                output_tokens: 500_000,
                refused,
            },
            ..Trace::default()
        }
    }

    /// A run that finds so many more tokens cached than really were, and fails so many requests.
    fn outcome(saved: i64, failed: usize) -> Outcome {
        let mut placed = vec![Some(0); 2];
        placed[..failed].fill(None);
        Outcome {
            saved: Some(saved),
            placed,
            ..Outcome::default()
        }
    }

    fn setting(deployments: usize) -> Setting {
        Setting {
            deployments,
            ..Setting::default()
        }
    }

    /// The saving of a run at so many deployments, against the policy in use played at two.
    fn saving(trace: &Trace, deployments: usize, run: &Outcome, in_use: Option<&Outcome>) -> Saving {
        let (here, there) = (setting(deployments), setting(2));
        let baseline = in_use.map(|outcome| Baseline {
            setting: &there,
            outcome,
            is_same: false,
        });
        Saving::of(trace, Some(PRICES), &here, run, baseline)
    }

    fn rounded(usd: Option<f64>) -> Option<f64> {
        usd.map(|usd| (usd * 1e6).round() / 1e6)
    }

    #[test]
    fn the_models_error_is_not_a_saving() {
        let (whole, run, in_use) = (trace(Some(1.0), 0), outcome(1_500_000, 0), outcome(1_000_000, 0));
        let told = saving(&whole, 2, &run, Some(&in_use));
        assert_eq!(
            (told.saved_tokens, told.model_error_tokens),
            (Some(500_000), Some(1_000_000))
        );
        assert_eq!(
            (rounded(told.saved_usd), rounded(told.model_error_usd)),
            (Some(0.15), Some(0.3))
        );
        assert_eq!(told.is_within_model_error, Some(true));
        assert_eq!(told.in_use_hit, Some(0.5));
        let more = saving(&whole, 2, &outcome(2_500_000, 0), Some(&in_use));
        assert_eq!(more.is_within_model_error, Some(false));
        // A deployment less is an hour and a half of hosting, which is no matter of the model.
        let fewer = saving(&whole, 1, &in_use, Some(&in_use));
        assert_eq!(
            (rounded(fewer.saved_usd), fewer.is_within_model_error),
            (Some(2.55), Some(false))
        );
        let alone = saving(&whole, 2, &run, None);
        assert_eq!(
            (alone.saved_against, alone.saved_tokens),
            (Some(Against::Actual), Some(1_500_000))
        );
        assert_eq!(alone.is_within_model_error, None);
    }

    #[test]
    fn a_tenth_of_the_conversations_is_a_tenth_of_the_money() {
        let tokens = |share| {
            let told = saving(
                &trace(share, 0),
                3,
                &outcome(2_000_000, 0),
                Some(&outcome(1_000_000, 0)),
            );
            (told.saved_tokens, rounded(told.saved_usd))
        };
        // 0.3 USD less one more deployment for an hour and a half; hosting is all there was.
        assert_eq!(tokens(Some(1.0)), (Some(1_000_000), Some(-2.25)));
        assert_eq!(tokens(Some(0.1)), (Some(10_000_000), Some(0.45)));
        assert_eq!(tokens(None), tokens(Some(1.0)));
    }

    #[test]
    fn failing_is_not_saving() {
        let run = |failed, refused| {
            let told = saving(
                &trace(None, refused),
                1,
                &outcome(2_000_000, failed),
                Some(&outcome(0, refused)),
            );
            (told.saved_tokens.is_some(), told.saved_usd.is_some(), told.no_saving)
        };
        assert_eq!(run(0, 0), (true, true, None));
        let reason = Some("1 requests failed, 0 really did".to_owned());
        assert_eq!(run(1, 0), (false, false, reason));
        assert_eq!(run(1, 1), (true, true, None), "it was refused in life too");
        let in_use = saving(&trace(None, 0), 2, &outcome(1, 0), Some(&outcome(1, 1)));
        assert_eq!(in_use.saved_tokens, None, "{in_use:?}");
    }

    #[test]
    fn less_than_an_hour_is_no_day() {
        let told = |seconds| {
            let mut trace = trace(None, 0);
            trace.requests[1].at = seconds;
            let told = saving(&trace, 2, &outcome(1_000_000, 0), None);
            (
                rounded(told.saved_usd),
                rounded(told.saved_usd_a_day),
                rounded(told.saved_usd_in_30_days),
            )
        };
        assert_eq!(told(3_599.0), (Some(0.3), None, None));
        assert_eq!(told(3_600.0), (Some(0.3), Some(7.2), Some(216.0)));
    }
}
