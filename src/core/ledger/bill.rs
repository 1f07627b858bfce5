//! The bill: hosting, provisioned units, tokens and keepalives as lines, and sums of them by deployment, route, client, day or kind.
//!
//! Hosting belongs to a deployment, and to no route or client: sharing it out would be a made-up figure. Money is whole millionths of a US
//! dollar, rounded once a line. A line whose price is not known has none, and a sum with such a line says that it is too low.

use std::collections::BTreeMap;

use serde::Serialize;
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

use crate::core::calendar::{day_start_ms, shown_date};
use crate::core::ids::{ClientId, DeploymentId, RouteId};
use crate::core::ledger::hosting::Tenure;
use crate::core::topology::Price;

/// What is paid for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsRefStr, IntoStaticStr, EnumString, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum CostKind {
    /// Being there, by the hour.
    Hosting,
    /// Provisioned units, by the hour.
    Provisioned,
    /// Tokens of clients' requests.
    Tokens,
    /// Tokens of the gateway's own calls against the inactivity rule.
    Keepalive,
}

impl CostKind {
    /// The word for table, metric and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Tokens that were used: one request's, or a sum of requests that agree in all that is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    /// A moment of the day, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who answered.
    pub deployment: DeploymentId,
    /// For which model; none for keepalives.
    pub route: Option<RouteId>,
    /// For whom; none for keepalives.
    pub client: Option<ClientId>,
    /// Whether the gateway itself asked.
    pub is_keepalive: bool,
    /// How many requests.
    pub requests: u64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Cached ones of them.
    pub cached_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
}

/// A line of the bill.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The day's start in UTC, in milliseconds since the Unix epoch.
    pub day_ms: i64,
    /// Which deployment.
    pub deployment: DeploymentId,
    /// For which model, where it is for one.
    pub route: Option<RouteId>,
    /// For whom, where it is for somebody.
    pub client: Option<ClientId>,
    /// What is paid for.
    pub kind: CostKind,
    /// How much it is.
    pub sum: Sum,
}

/// Amounts that add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sum {
    /// Millionths of a US dollar, without what has no price.
    pub micro_usd: u64,
    /// Millionths of a US dollar that cached tokens cost less than others would have.
    pub saved_micro_usd: u64,
    /// Lines whose price is not known: with any, the sum is too low.
    pub unpriced: u64,
    /// How long deployments were there, in milliseconds.
    pub there_ms: i64,
    /// Requests.
    pub requests: u64,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Cached ones of them.
    pub cached_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
}

impl Sum {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
            saved_micro_usd: self.saved_micro_usd.saturating_add(other.saved_micro_usd),
            unpriced: self.unpriced.saturating_add(other.unpriced),
            there_ms: self.there_ms.saturating_add(other.there_ms),
            requests: self.requests.saturating_add(other.requests),
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
        }
    }
}

/// What sums are by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, AsRefStr, EnumString, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CostGroup {
    /// Each deployment.
    Deployment,
    /// Each route; hosting is of none.
    Route,
    /// Each client; hosting is of none.
    Client,
    /// Each day in UTC.
    Day,
    /// Each kind of cost.
    Kind,
}

/// The lines of a time: hosting day by day, and tokens as they are given. `price_of` gives a deployment's price at that time.
pub fn lines(
    tenures: &[Tenure],
    used: &[Used],
    price_of: impl Fn(&DeploymentId) -> Price,
    from_ms: i64,
    to_ms: i64,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for tenure in tenures {
        let kind = if tenure.sku.is_provisioned() {
            CostKind::Provisioned
        } else {
            CostKind::Hosting
        };
        for day in tenure.days(from_ms, to_ms) {
            let sum = Sum {
                micro_usd: day.micro_usd.unwrap_or_default(),
                unpriced: u64::from(day.micro_usd.is_none()),
                there_ms: day.there_ms,
                ..Sum::default()
            };
            lines.push(Line {
                day_ms: day.day_ms,
                deployment: tenure.deployment.clone(),
                route: None,
                client: None,
                kind,
                sum,
            });
        }
    }
    let is_in = |used: &&Used| (from_ms..to_ms).contains(&used.at_ms);
    for used in used.iter().filter(is_in) {
        lines.push(Line {
            day_ms: day_start_ms(used.at_ms),
            deployment: used.deployment.clone(),
            route: used.route.clone(),
            client: used.client.clone(),
            kind: if used.is_keepalive {
                CostKind::Keepalive
            } else {
                CostKind::Tokens
            },
            sum: of_tokens(used, &price_of(&used.deployment)),
        });
    }
    lines
}

fn of_tokens(used: &Used, price: &Price) -> Sum {
    let counts = (used.prompt_tokens, used.cached_tokens, used.completion_tokens);
    of_counts(used.requests, counts, price)
}

/// What tokens cost in millionths of a US dollar, none where a price is not known, and what cached ones cost less. Cached ones cost as
/// much as others where their discount is not known, so that the sum is not too low.
fn amounts((prompt, cached, completion): (u64, u64, u64), price: &Price) -> (Option<f64>, f64) {
    let cached = cached.min(prompt);
    let fresh = prompt - cached;
    // A price is only needed of what was used.
    let part = |tokens: u64, price: Option<f64>| match (tokens, price) {
        (0, _) => Some(0.0),
        (tokens, price) => price.map(|price| tokens as f64 * price),
    };
    let cached_price = price.cached_input.or(price.input);
    let amount = || Some(part(fresh, price.input)? + part(cached, cached_price)? + part(completion, price.output)?);
    let saved = price.input.zip(cached_price).map_or(0.0, |(input, cached_price)| {
        cached as f64 * (input - cached_price).max(0.0)
    });
    (amount(), saved)
}

fn of_counts(requests: u64, (prompt, cached, completion): (u64, u64, u64), price: &Price) -> Sum {
    let (amount, saved) = amounts((prompt, cached, completion), price);
    Sum {
        micro_usd: amount.unwrap_or_default().round() as u64,
        saved_micro_usd: saved.round() as u64,
        unpriced: u64::from(amount.is_none()),
        there_ms: 0,
        requests,
        prompt_tokens: prompt,
        cached_tokens: cached.min(prompt),
        completion_tokens: completion,
    }
}

/// What a request cost, so fine that sums of many small ones are right: in billionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCost {
    /// What its tokens cost, as far as prices are known.
    pub nano_usd: u64,
    /// What cached ones cost less than others would have.
    pub saved_nano_usd: u64,
}

impl RequestCost {
    /// Of so many tokens.
    pub fn new(prompt_tokens: u64, cached_tokens: u64, completion_tokens: u64, price: &Price) -> Self {
        let (amount, saved) = amounts((prompt_tokens, cached_tokens, completion_tokens), price);
        let nano = |micro: f64| (micro * 1e3).round() as u64;
        Self {
            nano_usd: nano(amount.unwrap_or_default()),
            saved_nano_usd: nano(saved),
        }
    }
}

/// What one request cost in tokens; the same arithmetic as the bill's.
pub fn request_sum(prompt_tokens: u64, cached_tokens: u64, completion_tokens: u64, price: &Price) -> Sum {
    of_counts(1, (prompt_tokens, cached_tokens, completion_tokens), price)
}

/// Sums by one property, in the order of its text; `-` for lines that have none.
pub fn sums<'a>(lines: impl IntoIterator<Item = &'a Line>, by: CostGroup) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for line in lines {
        let none = || "-".to_owned();
        let group = match by {
            CostGroup::Deployment => line.deployment.to_string(),
            CostGroup::Route => line.route.as_ref().map_or_else(none, ToString::to_string),
            CostGroup::Client => line.client.as_ref().map_or_else(none, ToString::to_string),
            CostGroup::Day => shown_date(line.day_ms),
            CostGroup::Kind => line.kind.as_str().to_owned(),
        };
        let sum = sums.entry(group).or_default();
        *sum = sum.plus(line.sum);
    }
    sums
}

/// The sum of all lines.
pub fn total(lines: &[Line]) -> Sum {
    lines.iter().fold(Sum::default(), |sum, line| sum.plus(line.sum))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::calendar::{DAY_MS, HOUR_MS};
    use crate::core::topology::Sku;

    const START: i64 = 20_000 * DAY_MS;
    const PRICE: Price = Price {
        input: Some(1.10),
        cached_input: Some(0.275),
        output: Some(4.40),
        hour: Some(1.70),
    };

    fn used(deployment: &str, route: &str, prompt: u64, cached: u64, completion: u64) -> Used {
        Used {
            at_ms: START + HOUR_MS,
            deployment: DeploymentId::from(deployment),
            route: Some(RouteId::from(route)),
            client: Some(ClientId::from("shop")),
            is_keepalive: false,
            requests: 1,
            prompt_tokens: prompt,
            cached_tokens: cached,
            completion_tokens: completion,
        }
    }

    fn tenure(deployment: &str, sku: Sku, hour_usd: Option<f64>) -> Tenure {
        Tenure {
            deployment: DeploymentId::from(deployment),
            sku,
            from_ms: START,
            to_ms: None,
            hour_usd,
        }
    }

    /// The example of Microsoft's page on costs: o4-mini, 30 days, 20 M tokens in and 40 M out.
    #[test]
    fn the_published_example_comes_out_to_the_cent() {
        let used = [used("x/o4", "reason", 20_000_000, 0, 40_000_000)];
        let lines = lines(
            &[tenure("x/o4", Sku::Standard, Some(1.70))],
            &used,
            |_| PRICE,
            START,
            START + 30 * DAY_MS,
        );
        let kinds = sums(&lines, CostGroup::Kind);
        assert_eq!(kinds["hosting"].micro_usd, 1_224_000_000);
        assert_eq!(kinds["tokens"].micro_usd, 198_000_000);
        assert_eq!(total(&lines).micro_usd, 1_422_000_000);
        assert_eq!(total(&lines).unpriced, 0);
    }

    #[test]
    fn cached_tokens_cost_less_and_the_difference_is_told() {
        let sum = of_tokens(&used("x/a", "r", 1_000, 800, 10), &PRICE);
        assert_eq!((sum.micro_usd, sum.saved_micro_usd), (220 + 220 + 44, 660));
        // Without a known discount nothing is said to be saved.
        let undiscounted = Price {
            cached_input: None,
            ..PRICE
        };
        let sum = of_tokens(&used("x/a", "r", 1_000, 800, 10), &undiscounted);
        assert_eq!((sum.micro_usd, sum.saved_micro_usd, sum.unpriced), (1_100 + 44, 0, 0));
        // More cached than there was is a mistake of the report.
        assert_eq!(of_tokens(&used("x/a", "r", 10, 800, 0), &PRICE).cached_tokens, 10);
    }

    #[test]
    fn what_has_no_price_is_counted_and_not_made_up() {
        let only_input = Price {
            input: Some(1.0),
            ..Price::default()
        };
        assert_eq!(of_tokens(&used("x/a", "r", 10, 0, 0), &only_input).unpriced, 0);
        let sum = of_tokens(&used("x/a", "r", 10, 0, 1), &only_input);
        assert_eq!((sum.micro_usd, sum.unpriced), (0, 1));
        let lines = lines(
            &[tenure("x/p", Sku::ProvisionedManaged, None)],
            &[],
            |_| PRICE,
            START,
            START + 2 * DAY_MS,
        );
        let sum = sums(&lines, CostGroup::Kind)["provisioned"];
        assert_eq!((sum.micro_usd, sum.unpriced, sum.there_ms), (0, 2, 2 * DAY_MS));
    }

    #[test]
    fn sums_are_by_what_is_asked_and_by_time() {
        let mut own = used("x/a", "r", 100, 0, 0);
        (own.is_keepalive, own.route, own.client) = (true, None, None);
        let mut later = used("x/a", "r", 100, 0, 0);
        later.at_ms += DAY_MS;
        let used = [used("x/a", "r", 100, 0, 0), used("x/b", "s", 200, 0, 0), own, later];
        let all = lines(&[], &used, |_| PRICE, START, START + 9 * DAY_MS);
        let by = |group| -> Vec<(String, u64)> {
            sums(&all, group)
                .into_iter()
                .map(|(name, sum)| (name, sum.micro_usd))
                .collect()
        };
        let named = |rows: &[(&str, u64)]| -> Vec<(String, u64)> {
            rows.iter().map(|(name, sum)| ((*name).to_owned(), *sum)).collect()
        };
        assert_eq!(by(CostGroup::Deployment), named(&[("x/a", 330), ("x/b", 220)]));
        assert_eq!(by(CostGroup::Route), named(&[("-", 110), ("r", 220), ("s", 220)]));
        assert_eq!(by(CostGroup::Client), named(&[("-", 110), ("shop", 440)]));
        assert_eq!(by(CostGroup::Kind), named(&[("keepalive", 110), ("tokens", 440)]));
        assert_eq!(
            by(CostGroup::Day),
            named(&[(&shown_date(START), 440), (&shown_date(START + DAY_MS), 110)])
        );
        let first = lines(&[], &used, |_| PRICE, START, START + DAY_MS);
        assert_eq!(total(&first).requests, 3);
    }

    proptest! {
        #[test]
        fn every_grouping_adds_up_to_the_total(
            rows in prop::collection::vec((0..3_usize, 0..3_usize, 0..40_i64, 0..5_000_u64, 0..5_000_u64, 0..500_u64, any::<bool>()), 0..40),
        ) {
            let names = ["x/a", "x/b", "y/a"];
            let used: Vec<Used> = rows.into_iter().map(|(deployment, route, day, prompt, cached, completion, is_keepalive)| Used {
                at_ms: START + day * DAY_MS,
                is_keepalive,
                ..used(names[deployment], names[route], prompt, cached, completion)
            }).collect();
            let tenures = names.map(|name| tenure(name, Sku::Standard, Some(1.7)));
            let lines = lines(&tenures, &used, |_| PRICE, START, START + 30 * DAY_MS);
            let total = total(&lines);
            for group in CostGroup::VARIANTS {
                let sum = sums(&lines, *group).into_values().fold(Sum::default(), Sum::plus);
                prop_assert_eq!(sum, total);
            }
        }
    }
}
