//! What a run would have cost: tokens at their prices, and the hours for which deployments exist.
//!
//! A run costs what the provider would have billed for the requests that it let in, and the hosting of its deployments for the whole trace: a
//! further deployment finds no less cached, but is paid by the hour. Requests that nobody took cost nothing.

use serde::Serialize;

use super::report::{Row, is_hosted, run_header};
use super::trace::Trace;
use crate::columns::{columns, usd};

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
    /// The same for a day, extrapolated from the trace's length.
    pub total_a_day: f64,
    /// The same for 30 days.
    pub total_in_30_days: f64,
}

impl Bill {
    /// Of so many tokens and deployments in so many seconds.
    pub fn of(prices: Prices, tokens: Tokens, deployments: usize, seconds: f64) -> Self {
        let million = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        let prompts =
            million(tokens.prompt.saturating_sub(tokens.cached), prices.input) + million(tokens.cached, prices.cached);
        let answers = million(tokens.output, prices.output);
        let hosting = hosting(prices, deployments as f64, seconds);
        let total = prompts + answers + hosting;
        Self {
            prompts,
            answers,
            hosting,
            total,
            total_a_day: a_day(total, seconds),
            total_in_30_days: 30.0 * a_day(total, seconds),
        }
    }

    /// What really happened; none where the trace does not tell all of it.
    pub fn of_actual(prices: Prices, trace: &Trace) -> Option<Self> {
        let actual = trace.actual;
        let is_whole = actual.deployments > 0 && actual.requests == trace.requests.len();
        is_whole.then(|| Self::of(prices, actual.tokens(), actual.deployments, trace.seconds()))
    }
}

/// What a run saves against what really happened: tokens found cached beyond those that were, less the hosting of deployments that there
/// were not. None where hosting has a price and the trace does not tell its deployments.
pub fn saved(prices: Prices, trace: &Trace, saved_tokens: i64, deployments: usize) -> Option<f64> {
    let tokens = saved_tokens as f64 * (prices.input - prices.cached) / 1e6;
    if prices.hour == 0.0 {
        return Some(tokens);
    }
    let before = Some(trace.actual.deployments).filter(|&count| count > 0)?;
    Some(tokens - hosting(prices, deployments as f64 - before as f64, trace.seconds()))
}

fn hosting(prices: Prices, deployments: f64, seconds: f64) -> f64 {
    deployments * seconds / HOUR * prices.hour
}

/// An amount of so many seconds for a day.
pub fn a_day(amount: f64, seconds: f64) -> f64 {
    amount * DAY / seconds
}

/// What each run would have cost, and before a trace's first run what it did cost, if that is known; none without prices.
pub fn table(rows: &[Row]) -> Option<String> {
    let is_hosted = is_hosted(rows);
    let mut header = run_header(is_hosted);
    let numbers_from = header.len();
    header.extend(["prompts", "answers", "hosting", "total", "a day", "in 30 days"]);
    let mut cells: Vec<Vec<String>> = Vec::new();
    let mut told = None;
    for row in rows {
        let Some(bill) = row.usd else { continue };
        if told.replace(&row.trace) != Some(&row.trace)
            && let Some(actual) = row.actual_usd
        {
            let mut line = vec![
                row.trace.clone(),
                "as it was".to_owned(),
                row.actual_deployments.to_string(),
            ];
            line.resize(numbers_from, "-".to_owned());
            line.extend(amounts(&actual));
            cells.push(line);
        }
        let mut line = row.run_cells(is_hosted);
        line.extend(amounts(&bill));
        cells.push(line);
    }
    (!cells.is_empty()).then(|| columns(&header, numbers_from, cells))
}

fn amounts(bill: &Bill) -> [String; 6] {
    let Bill {
        prompts,
        answers,
        hosting,
        total,
        total_a_day,
        total_in_30_days,
    } = *bill;
    [prompts, answers, hosting, total, total_a_day, total_in_30_days].map(usd)
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
            },
            ..Trace::default()
        }
    }

    #[test]
    fn a_bill_has_tokens_and_hours() {
        let bill = Bill::of_actual(PRICES, &trace(2)).expect("all is told");
        assert_eq!(amounts(&bill), ["0.900", "0.800", "1.70", "3.40", "163.20", "4896.00"]);
        let mut partly = trace(2);
        partly.actual.requests = 1;
        assert_eq!(Bill::of_actual(PRICES, &partly), None);
        assert_eq!(Bill::of_actual(PRICES, &trace(0)), None);
    }

    #[test]
    fn two_more_deployments_cost_their_hours() {
        let saved = |hour, before, now| {
            let saved = saved(Prices { hour, ..PRICES }, &trace(before), 1_000_000, now);
            saved.map(|usd| (usd * 1e6).round() / 1e6)
        };
        assert_eq!(saved(1.7, 2, 2), Some(0.3));
        assert_eq!(saved(1.7, 2, 4), Some(-1.4), "0.3 less two half hours");
        assert_eq!(saved(1.7, 2, 1), Some(1.15));
        assert_eq!(saved(1.7, 0, 4), None, "nobody knows how many there were");
        assert_eq!(saved(0.0, 0, 4), Some(0.3));
    }
}
