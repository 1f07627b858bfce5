//! What does the service charge? Hosting by the hour, provisioned units by the hour, tokens; per deployment and stretch of time.
//!
//! A deployment's time is cut into stretches in which its kind, capacity and state are the same. Hosting runs from `createdAt` until the
//! deployment is gone, used or not, and in parts of an hour. The arithmetic is written independently of the gateway's ledger, which
//! is checked against it.

use serde::{Deserialize, Serialize};

use crate::simulator::arm::time;
use crate::simulator::meter::Reading;
use crate::simulator::scenario::Sku;

/// Bills of deployments that are gone which are kept one by one; of older ones only the sum.
const MAX_GONE: usize = 10_000;

/// What is charged, in US dollars. The defaults are Microsoft's examples of March 2026, and list prices for tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// An hour of a pay-per-token deployment of a fine-tuned model.
    pub hosting_hour: f64,
    /// An hour of one unit of `ProvisionedManaged`.
    pub ptu_hour: f64,
    /// The same of `DataZoneProvisionedManaged`.
    pub data_zone_ptu_hour: f64,
    /// The same of `GlobalProvisionedManaged`.
    pub global_ptu_hour: f64,
    /// Tokens by model; the longest name that the model's id begins with counts.
    pub tokens: Vec<TokenPrice>,
}

/// Prices of a million tokens of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPrice {
    /// Beginning of the model's id.
    pub model: String,
    /// Prompt tokens that are not cached.
    pub input: f64,
    /// Cached ones.
    pub cached_input: f64,
    /// Output tokens.
    pub output: f64,
}

impl Default for Prices {
    fn default() -> Self {
        let price = |(model, input, cached_input, output): (&str, f64, f64, f64)| TokenPrice {
            model: model.to_owned(),
            input,
            cached_input,
            output,
        };
        let tokens = [
            ("o4-mini", 1.10, 0.275, 4.40),
            ("gpt-4.1-mini", 0.40, 0.10, 1.60),
            ("gpt-4.1-nano", 0.10, 0.025, 0.40),
            ("gpt-4.1", 2.00, 0.50, 8.00),
            ("gpt-4o-mini", 0.15, 0.075, 0.60),
            ("gpt-4o", 2.50, 1.25, 10.00),
            ("gpt-5", 1.25, 0.125, 10.00),
            ("gpt-35-turbo", 0.50, 0.50, 1.50),
        ];
        Self {
            hosting_hour: 1.70,
            ptu_hour: 2.00,
            data_zone_ptu_hour: 1.10,
            global_ptu_hour: 1.00,
            tokens: tokens.map(price).to_vec(),
        }
    }
}

/// What a deployment is charged by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Model, or what a checkpoint was trained from.
    pub model: String,
    /// Whether it is fine-tuned, which costs hosting.
    pub fine_tuned: bool,
    /// Kind.
    pub sku: Sku,
    /// Capacity.
    pub capacity: u32,
    /// Whether hosting is charged now.
    pub hosted: bool,
}

/// A stretch of time on the same terms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Kind.
    pub sku: Sku,
    /// Capacity.
    pub capacity: u32,
    /// When it began.
    pub from: String,
    /// When it ended, or now.
    pub to: String,
    /// How long it was.
    pub hours: f64,
    /// Charged for hosting.
    pub hosting: f64,
    /// Charged for provisioned units.
    pub provisioned: f64,
    /// Answers.
    pub answers: u64,
    /// Their prompt tokens.
    pub prompt_tokens: u64,
    /// The cached ones of those.
    pub cached_tokens: u64,
    /// Their output tokens.
    pub output_tokens: u64,
    /// Charged for tokens.
    pub tokens: f64,
    /// All of it.
    pub total: f64,
}

/// What adds up to a deployment's bill while it is there.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    terms: Terms,
    since_ms: u64,
    read: Reading,
    lines: Vec<Line>,
}

/// One deployment's bill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentBill {
    /// Account.
    pub account: String,
    /// Deployment.
    pub deployment: String,
    /// Model.
    pub model: String,
    /// When it was made.
    pub created_at: String,
    /// When and how it ended.
    #[serde(flatten)]
    pub end: Option<Ended>,
    /// The stretches.
    pub lines: Vec<Line>,
    /// All of it.
    pub total: f64,
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// When.
    pub deleted_at: String,
    /// Why.
    pub deleted_by: End,
}

/// Why a deployment is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was deleted through ARM.
    Request,
    /// It was deleted through the control listener.
    Control,
    /// Nobody used it for too long.
    Inactivity,
    /// Its day as a Developer deployment was over.
    DeveloperTier,
}

/// What everything costs.
#[derive(Debug, Clone, Serialize)]
pub struct Bill {
    /// When.
    pub at: String,
    /// `USD`.
    pub currency: &'static str,
    /// By deployment, those that are gone first. A deployment that was made anew is there twice.
    pub deployments: Vec<DeploymentBill>,
    /// Of deployments that went so long ago that they are no longer shown.
    pub earlier: f64,
    /// All of it.
    pub total: f64,
}

impl Tally {
    /// Begins a bill.
    pub fn open(terms: Terms, at_ms: u64) -> Self {
        Self {
            terms,
            since_ms: at_ms,
            read: Reading::default(),
            lines: Vec::new(),
        }
    }

    /// Ends a stretch and begins the next on other terms.
    pub fn change(&mut self, prices: &Prices, terms: Terms, at_ms: u64, read: Reading) {
        if terms == self.terms {
            return;
        }
        let line = self.line(prices, at_ms, read);
        self.lines.push(line);
        *self = Self {
            terms,
            since_ms: at_ms,
            read,
            lines: std::mem::take(&mut self.lines),
        };
    }

    /// The stretches, the last one up to now.
    pub fn lines(&self, prices: &Prices, now_ms: u64, read: Reading) -> Vec<Line> {
        let mut lines = self.lines.clone();
        lines.push(self.line(prices, now_ms, read));
        lines
    }

    fn line(&self, prices: &Prices, now_ms: u64, read: Reading) -> Line {
        let Terms {
            model,
            fine_tuned,
            sku,
            capacity,
            hosted,
        } = &self.terms;
        let hours = now_ms.saturating_sub(self.since_ms) as f64 / time::HOUR_MS as f64;
        let used = read.since(self.read);
        let pays_hosting = *fine_tuned && *hosted && !sku.is_provisioned() && *sku != Sku::DeveloperTier;
        let hosting = if pays_hosting { hours * prices.hosting_hour } else { 0.0 };
        let provisioned = hours * f64::from(*capacity) * prices.of_unit(*sku);
        let tokens = if sku.is_provisioned() {
            0.0
        } else {
            prices.of_tokens(model, used)
        };
        Line {
            sku: *sku,
            capacity: *capacity,
            from: time::shown(self.since_ms),
            to: time::shown(now_ms),
            hours,
            hosting,
            provisioned,
            answers: used.answers,
            prompt_tokens: used.prompt_tokens,
            cached_tokens: used.cached_tokens,
            output_tokens: used.output_tokens,
            tokens,
            total: hosting + provisioned + tokens,
        }
    }
}

impl Prices {
    fn of_unit(&self, sku: Sku) -> f64 {
        match sku {
            Sku::ProvisionedManaged => self.ptu_hour,
            Sku::DataZoneProvisionedManaged => self.data_zone_ptu_hour,
            Sku::GlobalProvisionedManaged => self.global_ptu_hour,
            _ => 0.0,
        }
    }

    fn of_tokens(&self, model: &str, used: Reading) -> f64 {
        let fitting = self.tokens.iter().filter(|price| model.starts_with(&price.model));
        let Some(price) = fitting.max_by_key(|price| price.model.len()) else {
            return 0.0;
        };
        let uncached = used.prompt_tokens - used.cached_tokens;
        let parts = [
            (uncached, price.input),
            (used.cached_tokens, price.cached_input),
            (used.output_tokens, price.output),
        ];
        parts.iter().map(|(count, price)| *count as f64 * price / 1e6).sum()
    }
}

/// Bills of deployments that are gone.
#[derive(Debug, Default)]
pub struct Gone {
    bills: std::collections::VecDeque<DeploymentBill>,
    earlier: f64,
}

impl Gone {
    /// Keeps one.
    pub fn keep(&mut self, bill: DeploymentBill) {
        self.bills.push_back(bill);
        if self.bills.len() > MAX_GONE
            && let Some(oldest) = self.bills.pop_front()
        {
            self.earlier += oldest.total;
        }
    }

    /// The whole bill with those that are there.
    pub fn bill(&self, present: Vec<DeploymentBill>, now_ms: u64) -> Bill {
        let deployments: Vec<_> = self.bills.iter().cloned().chain(present).collect();
        Bill {
            at: time::shown(now_ms),
            currency: "USD",
            total: self.earlier + deployments.iter().map(|bill| bill.total).sum::<f64>(),
            earlier: self.earlier,
            deployments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(sku: Sku, capacity: u32) -> Terms {
        Terms {
            model: "o4-mini-2025-04-16.ft-1".to_owned(),
            fine_tuned: true,
            sku,
            capacity,
            hosted: true,
        }
    }

    fn total(lines: &[Line]) -> f64 {
        lines.iter().map(|line| line.total).sum()
    }

    #[test]
    fn microsofts_own_example_of_a_month() {
        let tally = Tally::open(terms(Sku::Standard, 50), 0);
        let read = Reading {
            answers: 1_000,
            prompt_tokens: 20_000_000,
            cached_tokens: 0,
            output_tokens: 40_000_000,
        };
        let lines = tally.lines(&Prices::default(), 30 * time::DAY_MS, read);
        assert!((lines[0].hosting - 1_224.0).abs() < 1e-6, "{lines:?}");
        assert!((total(&lines) - 1_422.0).abs() < 1e-6, "{lines:?}");
    }

    #[test]
    fn kinds_are_charged_differently_and_a_change_begins_a_stretch() {
        let prices = Prices::default();
        let read = |count| Reading {
            answers: count,
            prompt_tokens: count * 1_000_000,
            cached_tokens: count * 500_000,
            output_tokens: 0,
        };
        let mut tally = Tally::open(terms(Sku::DeveloperTier, 1), 0);
        tally.change(&prices, terms(Sku::ProvisionedManaged, 25), time::DAY_MS, read(1));
        tally.change(&prices, terms(Sku::ProvisionedManaged, 25), 2 * time::DAY_MS, read(2));
        tally.change(&prices, terms(Sku::GlobalStandard, 1), 2 * time::DAY_MS, read(2));
        let lines = tally.lines(&prices, 3 * time::DAY_MS, read(3));
        let totals: Vec<f64> = lines.iter().map(|line| line.total).collect();
        let tokens = 0.5 * 1.10 + 0.5 * 0.275;
        let expect = [tokens, 24.0 * 25.0 * 2.0, 24.0 * 1.70 + tokens];
        assert!(
            totals
                .iter()
                .zip(expect)
                .all(|(has, expect)| (has - expect).abs() < 1e-9),
            "{totals:?}"
        );
    }

    #[test]
    fn base_models_and_paused_deployments_by_the_rule_pay_no_hosting() {
        for changed in [
            Terms {
                fine_tuned: false,
                ..terms(Sku::Standard, 1)
            },
            Terms {
                hosted: false,
                ..terms(Sku::Standard, 1)
            },
        ] {
            let lines = Tally::open(changed, 0).lines(&Prices::default(), time::DAY_MS, Reading::default());
            assert!(total(&lines).abs() < 1e-9);
        }
    }
}
