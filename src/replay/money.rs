//! What a run would have cost: tokens at their prices, and the hours for which deployments exist.
//!
//! A run costs what the provider would have billed for the requests that it let in, and the hosting of its deployments for the
//! whole trace: a further deployment finds no less cached, but is paid by the hour. Requests that nobody took cost nothing. A trace
//! with a share of all conversations stands for all of them: its tokens are multiplied, hosting is not.

use serde::Serialize;

use super::report::Row;
use super::table::RunTable;
use super::trace::Trace;
use crate::columns::usd;

/// Seconds of an hour and of a day.
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// What is paid, in USD.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// For a million prompt tokens that are not cached.
    pub input: f64,
    /// For a million that are.
    pub cached: f64,
    /// For a million completion tokens.
    pub output: f64,
    /// For an hour of a deployment's existence.
    pub hour: f64,
}

impl Prices {
    /// What it saves to find so many prompt tokens cached.
    pub fn of_cached(self, tokens: i64) -> f64 {
        tokens as f64 * (self.input - self.cached) / 1e6
    }
}

/// Tokens that deployments took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of prompts.
    pub prompt: u64,
    /// Of them, cached.
    pub cached: u64,
    /// Of answers.
    pub output: u64,
}

/// What a trace's time cost, in USD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bill {
    /// Prompt tokens.
    pub prompts: f64,
    /// Completion tokens.
    pub answers: f64,
    /// The deployments' existence.
    pub hosting: f64,
    /// All of it.
    pub total: f64,
    /// The same for a day, extrapolated from the trace's length; null for one of less than an hour.
    pub total_a_day: Option<f64>,
    /// The same for 30 days.
    pub total_in_30_days: Option<f64>,
}

impl Bill {
    /// Of so many tokens of a trace, and deployments for its time.
    pub fn of(prices: Prices, tokens: Tokens, deployments: usize, trace: &Trace) -> Self {
        let seconds = trace.seconds();
        let million = |tokens: u64, price: f64| tokens as f64 * trace.scale() * price / 1e6;
        let prompts =
            million(tokens.prompt.saturating_sub(tokens.cached), prices.input) + million(tokens.cached, prices.cached);
        let answers = million(tokens.output, prices.output);
        let hosting = hosting(prices, deployments as f64, seconds);
        let total = prompts + answers + hosting;
        let total_a_day = a_day(total, seconds);
        Self {
            prompts,
            answers,
            hosting,
            total,
            total_a_day,
            total_in_30_days: total_a_day.map(|total| 30.0 * total),
        }
    }

    /// What really happened; none where the trace does not tell all of it.
    pub fn of_actual(prices: Prices, trace: &Trace) -> Option<Self> {
        let actual = trace.actual;
        let is_whole = actual.deployments > 0 && actual.requests + actual.refused == trace.requests.len();
        is_whole.then(|| Self::of(prices, actual.tokens(), actual.deployments, trace))
    }
}

/// What a run saves: tokens found cached beyond those that were, less the hosting of deployments beyond those that there were
/// `before`. None where hosting has a price and nobody knows how many there were (0).
pub fn saved(prices: Prices, trace: &Trace, saved_tokens: i64, before: usize, deployments: usize) -> Option<f64> {
    let tokens = prices.of_cached(saved_tokens);
    if prices.hour == 0.0 {
        return Some(tokens);
    }
    let before = Some(before).filter(|&count| count > 0)?;
    Some(tokens - hosting(prices, deployments as f64 - before as f64, trace.seconds()))
}

fn hosting(prices: Prices, deployments: f64, seconds: f64) -> f64 {
    deployments * seconds / HOUR * prices.hour
}

/// An amount of so many seconds for a day. None below an hour: caches are empty at a trace's start, and a few minutes are no sample of a
/// day, so the amount would be wrong by more than it says.
pub fn a_day(amount: f64, seconds: f64) -> Option<f64> {
    (seconds >= HOUR).then(|| amount * DAY / seconds)
}

/// What each run would have cost, and before a trace's first run what it did cost, if that is known; none without prices.
pub fn table(rows: &[Row]) -> Option<String> {
    let mut table = RunTable::new(
        rows,
        &[
            "failed",
            "prompts",
            "answers",
            "hosting",
            "total",
            "a day",
            "in 30 days",
        ],
    );
    let failed = |part: f64| {
        if part > 0.0 {
            format!("{:.2} %", part * 100.0)
        } else {
            "-".to_owned()
        }
    };
    let mut told = None;
    for row in rows {
        let Some(bill) = row.usd else { continue };
        if told.replace(&row.trace) != Some(&row.trace)
            && let Some(actual) = row.actual_usd
        {
            let refused = failed(row.actual_refused as f64 / row.requests.max(1) as f64);
            table.actual(row, [vec![refused], amounts(&actual)].concat());
        }
        table.run(row, [vec![failed(row.failed)], amounts(&bill)].concat());
    }
    table.text()
}

fn amounts(bill: &Bill) -> Vec<String> {
    let Bill {
        prompts,
        answers,
        hosting,
        total,
        total_a_day,
        total_in_30_days,
    } = *bill;
    let known = [prompts, answers, hosting, total].map(usd);
    let extrapolated = [total_a_day, total_in_30_days].map(|amount| amount.map_or_else(|| "-".to_owned(), usd));
    known.into_iter().chain(extrapolated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::trace::Actual;

    const PRICES: Prices = Prices {
        input: 0.4,
        cached: 0.1,
        output: 1.6,
        hour: 1.7,
    };

    fn trace(deployments: usize) -> Trace {
        let request = |at| crate::replay::trace::Request {
            at,
            ..Default::default()
        };
        Trace {
            requests: vec![request(0.0), request(1_800.0)],
            actual: Actual {
                deployments,
                requests: 2,
                prompt_tokens: 3_000_000,
                cached_tokens: 1_000_000,
                output_tokens: 500_000,
                refused: 0,
            },
            ..Trace::default()
        }
    }

    #[test]
    fn a_bill_has_tokens_and_hours() {
        let bill = Bill::of_actual(PRICES, &trace(2)).expect("all is told");
        assert_eq!(amounts(&bill), ["0.900", "0.800", "1.70", "3.40", "-", "-"]);
        let mut long = trace(2);
        long.requests[1].at = 7_200.0;
        let bill = Bill::of_actual(PRICES, &long).expect("all is told");
        assert_eq!(amounts(&bill), ["0.900", "0.800", "6.80", "8.50", "102.00", "3060.00"]);
        let mut partly = trace(2);
        partly.actual.requests = 1;
        assert_eq!(Bill::of_actual(PRICES, &partly), None);
        assert_eq!(Bill::of_actual(PRICES, &trace(0)), None);
    }

    #[test]
    fn a_share_multiplies_tokens_and_not_hosting() {
        let bill = |share| {
            let trace = Trace { share, ..trace(2) };
            amounts(&Bill::of_actual(PRICES, &trace).expect("all is told"))
        };
        assert_eq!(bill(Some(0.1)), ["9.00", "8.00", "1.70", "18.70", "-", "-"]);
        assert_eq!(bill(None), bill(Some(1.0)));
    }

    #[test]
    fn what_nobody_answered_costs_nothing_and_is_no_gap() {
        let mut trace = trace(2);
        trace.actual.requests = 1;
        trace.actual.refused = 1;
        assert!(Bill::of_actual(PRICES, &trace).is_some());
    }

    #[test]
    fn two_more_deployments_cost_their_hours() {
        let saved = |hour, before, now| {
            let saved = saved(Prices { hour, ..PRICES }, &trace(before), 1_000_000, before, now);
            saved.map(|usd| (usd * 1e6).round() / 1e6)
        };
        assert_eq!(saved(1.7, 2, 2), Some(0.3));
        assert_eq!(saved(1.7, 2, 4), Some(-1.4), "0.3 less two half hours");
        assert_eq!(saved(1.7, 2, 1), Some(1.15));
        assert_eq!(saved(1.7, 0, 4), None, "nobody knows how many there were");
        assert_eq!(saved(0.0, 0, 4), Some(0.3));
    }
}
