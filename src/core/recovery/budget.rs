//! How many attempts may follow failed ones: a share of a route's requests, so that an outage is not multiplied by trying again.
//!
//! Only attempts that follow a failure count. Going elsewhere after a 429, or from a deployment that is missing, costs nobody anything.

use std::time::Instant;

use crate::core::recovery::window::{Halves, WINDOW};

/// What a route may spend on retries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetRule {
    /// Retries as a share of the requests in [`WINDOW`]; 0 and more.
    pub ratio: f64,
    /// Retries a second that are allowed in any case.
    pub min_per_second: u32,
}

/// Requests and retries of late. Constant time and memory.
#[derive(Debug, Clone, Default)]
pub struct RetryBudget(Halves<Counts>);

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// Notes a request.
    pub fn deposit(&mut self, now: Instant) {
        let (counts, _) = self.0.at(now);
        counts.requests = counts.requests.saturating_add(1);
    }

    /// Takes a retry out. False if none is left; nothing is taken then.
    pub fn withdraw(&mut self, rule: BudgetRule, now: Instant) -> bool {
        let (newer, older) = self.0.at(now);
        let requests = newer.requests.saturating_add(older.requests);
        let retries = newer.retries.saturating_add(older.retries);
        let least = f64::from(rule.min_per_second) * WINDOW.as_secs_f64();
        let is_left = f64::from(retries) < rule.ratio * f64::from(requests) + least;
        if is_left {
            newer.retries = newer.retries.saturating_add(1);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &mut RetryBudget, rule: BudgetRule, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(rule, now)).count()
    }

    #[test]
    fn a_share_of_the_requests_and_a_few_in_any_case() {
        let start = Instant::now();
        let rule = BudgetRule {
            ratio: 0.2,
            min_per_second: 1,
        };
        let mut budget = RetryBudget::default();
        assert_eq!(taken(&mut budget, rule, start), 10);
        for _ in 0..1_000 {
            budget.deposit(start);
        }
        assert_eq!(taken(&mut budget, rule, start), 200);
        // What was spent counts until its requests do not count either.
        assert_eq!(taken(&mut budget, rule, start + WINDOW / 2), 0);
        assert_eq!(taken(&mut budget, rule, start + 2 * WINDOW), 10);
    }

    #[test]
    fn none_at_all_can_be_asked_for() {
        let rule = BudgetRule {
            ratio: 0.0,
            min_per_second: 0,
        };
        let mut budget = RetryBudget::default();
        budget.deposit(Instant::now());
        assert!(!budget.withdraw(rule, Instant::now()));
    }
}
