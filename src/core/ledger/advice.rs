//! What a bill tells beyond its sums: what it will be at the month's end, and what could be had cheaper.
//!
//! A forecast is what goes on: hosting for the hours that are left, of what is there now, and tokens at the mean of the last days. Advice
//! says what it knows, and by which figure: what spilling cost is what one more home could save *at most*, since nobody knows
//! what requests would have met there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use strum::{AsRefStr, IntoStaticStr};

use crate::core::calendar::{DAY_MS, HOUR_MS, day_start_ms, month_ms};
use crate::core::ids::{DeploymentId, RouteId};
use crate::core::ledger::bill::{CostKind, Line, total};
use crate::core::ledger::hosting::Tenure;
use crate::core::topology::{Price, Sku};

/// Whole days that the mean of tokens is of.
pub const MEAN_DAYS: i64 = 7;
/// Whole days that say whether a deployment lies idle.
pub const IDLE_DAYS: i64 = 10;
/// Part of them that must be idle.
const IDLE_SHARE: f64 = 0.8;
/// Hours of a month, as Azure reckons in its examples.
const MONTH_HOURS: f64 = 720.0;
/// Less than this is no advice, in millionths of a US dollar.
const WORTH_MICRO_USD: u64 = 1_000_000;

/// A month's bill, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// The month's end, in milliseconds since the Unix epoch.
    pub ends_ms: i64,
    /// What is spent of it.
    pub spent: u64,
    /// What hosting and units will cost until its end.
    pub hosting: u64,
    /// What tokens will cost until its end.
    pub tokens: u64,
    /// Whether some price was not known, so that all of it is too low.
    pub is_partial: bool,
}

impl Forecast {
    /// The whole month.
    pub fn total(&self) -> u64 {
        self.spent.saturating_add(self.hosting).saturating_add(self.tokens)
    }
}

/// What the month will cost. `lines` are those from the month's start or [`MEAN_DAYS`] ago, whichever is earlier, until now. None for times
/// beyond the year 9999.
pub fn forecast(lines: &[Line], tenures: &[Tenure], now_ms: i64) -> Option<Forecast> {
    let (begins_ms, ends_ms) = month_ms(now_ms)?;
    let of_month: Vec<Line> = lines.iter().filter(|line| line.day_ms >= begins_ms).cloned().collect();
    let spent = total(&of_month);
    let hosting = tenures.iter().map(|tenure| tenure.micro_usd(now_ms, ends_ms));
    let is_unpriced = tenures
        .iter()
        .any(|tenure| tenure.hour_usd.is_none() && tenure.there_ms(now_ms, ends_ms) > 0);
    let today_ms = day_start_ms(now_ms);
    let first_ms = lines.iter().map(|line| line.day_ms).min().unwrap_or(today_ms);
    let days = ((today_ms - first_ms) / DAY_MS).clamp(0, MEAN_DAYS);
    let is_tokens = |line: &&Line| matches!(line.kind, CostKind::Tokens | CostKind::Keepalive);
    let sum = |from_ms: i64, to_ms: i64| -> u64 {
        let is_in = |line: &&Line| (from_ms..to_ms).contains(&line.day_ms);
        lines
            .iter()
            .filter(is_tokens)
            .filter(is_in)
            .map(|line| line.sum.micro_usd)
            .sum()
    };
    // On the first day there is only that day, as far as it goes.
    let rate = if days > 0 {
        sum(today_ms - days * DAY_MS, today_ms) as f64 / (days * DAY_MS) as f64
    } else {
        sum(today_ms, today_ms + DAY_MS) as f64 / (now_ms - today_ms).max(HOUR_MS) as f64
    };
    Some(Forecast {
        ends_ms,
        spent: spent.micro_usd,
        hosting: hosting.flatten().sum(),
        tokens: (rate * (ends_ms - now_ms) as f64).round() as u64,
        is_partial: spent.unpriced > 0 || is_unpriced,
    })
}

/// What an advice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, AsRefStr, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AdviceKind {
    /// A deployment costs by the hour and is hardly called.
    Idle,
    /// Prompts were sent where they were not cached, since their home had no room.
    Spill,
    /// What caching saved.
    CacheSaved,
    /// Prices that are not known.
    Unpriced,
}

impl AdviceKind {
    /// The word for table, metric and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What about.
    pub kind: AdviceKind,
    /// The deployment or route; empty for all of them together.
    pub of: String,
    /// Millionths of a US dollar that it is about: a month of hosting, or what the lines' time lost or saved.
    pub micro_usd: u64,
    /// For people.
    pub sentence: String,
}

/// What spilling cost a route in the lines' time: prompt tokens that were warm at another deployment, which had no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spilled {
    /// Which route.
    pub route: RouteId,
    /// Millionths of a US dollar, as the miss ledger has them under `moved_by_spill`.
    pub micro_usd: u64,
}

/// Since when a gateway knows a deployment, in milliseconds since the Unix epoch: nothing is known of its calls before.
pub type Noted = BTreeMap<DeploymentId, i64>;

/// What advice is made of.
pub struct Seen<'a> {
    /// Those of at least [`IDLE_DAYS`] whole days before today.
    pub lines: &'a [Line],
    /// When each deployment was there.
    pub tenures: &'a [Tenure],
    /// Since when each is known. One that is missing here is not.
    pub noted: &'a Noted,
    /// What spilling cost.
    pub spilled: &'a [Spilled],
}

/// All advice, the dearest first. `price_of` gives a deployment's price now.
pub fn advise(seen: &Seen<'_>, price_of: impl Fn(&DeploymentId) -> Price, now_ms: i64) -> Vec<Advice> {
    let Seen {
        lines,
        tenures,
        noted,
        spilled,
    } = seen;
    let mut advice: Vec<Advice> = tenures
        .iter()
        .filter_map(|tenure| idle(lines, tenure, noted.get(&tenure.deployment).copied()?, now_ms))
        .collect();
    for spill in spilled.iter().filter(|spill| spill.micro_usd >= WORTH_MICRO_USD) {
        advice.push(Advice {
            kind: AdviceKind::Spill,
            of: spill.route.to_string(),
            micro_usd: spill.micro_usd,
            sentence: format!(
                "prompts that found no room where they were cached cost {} USD more: one more home, or more capacity, would save that at most",
                usd(spill.micro_usd)
            ),
        });
    }
    advice.sort_by_key(|advice| std::cmp::Reverse(advice.micro_usd));
    let total = total(lines);
    if total.saved_micro_usd > 0 {
        advice.push(Advice {
            kind: AdviceKind::CacheSaved,
            of: String::new(),
            micro_usd: total.saved_micro_usd,
            sentence: format!("the cache saved {} USD", usd(total.saved_micro_usd)),
        });
    }
    for (deployment, missing) in unpriced(lines, price_of) {
        advice.push(Advice {
            kind: AdviceKind::Unpriced,
            of: deployment.to_string(),
            micro_usd: 0,
            sentence: format!(
                "sums are too low: its `price` has no {}; set what is missing",
                missing.into_iter().collect::<Vec<_>>().join(", ")
            ),
        });
    }
    advice
}

/// Deployments of which something that is paid for has no price, and which prices those are, as the configuration calls them.
fn unpriced(
    lines: &[Line],
    price_of: impl Fn(&DeploymentId) -> Price,
) -> BTreeMap<&DeploymentId, BTreeSet<&'static str>> {
    let mut missing: BTreeMap<&DeploymentId, BTreeSet<&'static str>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.sum.unpriced > 0) {
        let names = missing.entry(&line.deployment).or_default();
        if matches!(line.kind, CostKind::Hosting | CostKind::Provisioned) {
            names.insert("`hour`");
            continue;
        }
        let price = price_of(&line.deployment);
        let cached = line.sum.cached_tokens.min(line.sum.prompt_tokens);
        let is_cached_known = price.cached_input.or(price.input).is_some();
        let used = [
            (line.sum.prompt_tokens > cached && price.input.is_none(), "`input`"),
            (cached > 0 && !is_cached_known, "`cached_input`"),
            (line.sum.completion_tokens > 0 && price.output.is_none(), "`output`"),
        ];
        names.extend(
            used.into_iter()
                .filter(|(is_missing, _)| *is_missing)
                .map(|(_, name)| name),
        );
    }
    missing
}

/// Whether a deployment that goes on, and costs by the hour, is hardly called, as far as it is known for [`IDLE_DAYS`] whole days.
fn idle(lines: &[Line], tenure: &Tenure, noted_ms: i64, now_ms: i64) -> Option<Advice> {
    let today_ms = day_start_ms(now_ms);
    let first_ms = today_ms - IDLE_DAYS * DAY_MS;
    let hour = tenure.hour_usd.filter(|hour| *hour > 0.0)?;
    if tenure.to_ms.is_some_and(|to_ms| to_ms <= now_ms) || tenure.from_ms.max(noted_ms) > first_ms {
        return None;
    }
    let mut called: Vec<i64> = lines
        .iter()
        .filter(|line| line.deployment == tenure.deployment && line.kind == CostKind::Tokens && line.sum.requests > 0)
        .map(|line| line.day_ms)
        .filter(|day_ms| (first_ms..today_ms).contains(day_ms))
        .collect();
    called.sort_unstable();
    called.dedup();
    let idle_days = IDLE_DAYS - called.len() as i64;
    if (idle_days as f64) < IDLE_SHARE * IDLE_DAYS as f64 {
        return None;
    }
    let month = (hour * MONTH_HOURS * 1e6).round() as u64;
    let remedy = match tenure.sku {
        sku if sku.is_provisioned() => "delete it, or lower its capacity",
        Sku::Standard | Sku::GlobalStandard => "delete it, or move it to the Developer tier if it is for trials only",
        _ => "delete it",
    };
    Some(Advice {
        kind: AdviceKind::Idle,
        of: tenure.deployment.to_string(),
        micro_usd: month,
        sentence: format!(
            "idle {idle_days} of {IDLE_DAYS} days, {} USD a month; {remedy}",
            usd(month)
        ),
    })
}

/// Which deployments are advised against, for those who act on it.
pub fn idle_deployments(advice: &[Advice]) -> Vec<DeploymentId> {
    let is_idle = |advice: &&Advice| advice.kind == AdviceKind::Idle;
    advice
        .iter()
        .filter(is_idle)
        .map(|advice| DeploymentId::from(&*advice.of))
        .collect()
}

/// Dollars, with cents only where they matter.
fn usd(micro_usd: u64) -> String {
    let usd = micro_usd as f64 / 1e6;
    if usd >= 100.0 {
        format!("{usd:.0}")
    } else {
        format!("{usd:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::date_ms;
    use crate::core::ids::ClientId;
    use crate::core::ledger::bill::{Used, lines};

    const PRICE: Price = Price {
        input: Some(1.0),
        cached_input: Some(0.25),
        output: None,
        hour: None,
    };

    fn at(date: &str) -> i64 {
        date_ms(date).expect("a date")
    }

    fn tenure(deployment: &str, sku: Sku, from: &str, hour_usd: Option<f64>) -> Tenure {
        Tenure {
            deployment: DeploymentId::from(deployment),
            sku,
            from_ms: at(from),
            to_ms: None,
            hour_usd,
        }
    }

    fn noted(tenures: &[Tenure], date: &str) -> Noted {
        tenures
            .iter()
            .map(|tenure| (tenure.deployment.clone(), at(date)))
            .collect()
    }

    fn used(deployment: &str, date: &str, prompt_tokens: u64) -> Used {
        Used {
            at_ms: at(date) + HOUR_MS,
            deployment: DeploymentId::from(deployment),
            route: Some(RouteId::from("r")),
            client: Some(ClientId::from("c")),
            is_keepalive: false,
            requests: 1,
            prompt_tokens,
            cached_tokens: 0,
            completion_tokens: 0,
        }
    }

    #[test]
    fn the_forecast_goes_on_with_what_is_there() {
        let now_ms = at("2026-11-21");
        let mut gone = tenure("x/gone", Sku::Standard, "2026-11-01", Some(9.0));
        gone.to_ms = Some(at("2026-11-11"));
        let tenures = [tenure("x/a", Sku::Standard, "2026-11-01", Some(1.0)), gone];
        // A dollar a day in the last week; more before that does not count for the mean.
        let mut used: Vec<Used> = (14..=20)
            .map(|day| used("x/a", &format!("2026-11-{day}"), 1_000_000))
            .collect();
        used.push(self::used("x/a", "2026-11-02", 50_000_000));
        let lines = lines(&tenures, &used, |_| PRICE, at("2026-11-01"), now_ms);
        let forecast = forecast(&lines, &tenures, now_ms).expect("a month");
        let hosted = (20 * 24 + 10 * 24 * 9) * 1_000_000;
        assert_eq!(forecast.spent, hosted + 57_000_000);
        assert_eq!(forecast.hosting, 10 * 24 * 1_000_000);
        assert_eq!(forecast.tokens, 10 * 1_000_000);
        assert_eq!(forecast.total(), hosted + 57_000_000 + 250_000_000);
        assert_eq!(forecast.ends_ms, at("2026-12-01"));
        assert!(!forecast.is_partial);
    }

    #[test]
    fn a_first_day_is_reckoned_by_its_hours_and_unknown_prices_are_told() {
        let now_ms = at("2026-11-29") + 12 * HOUR_MS;
        let tenures = [tenure("x/a", Sku::Standard, "2026-11-29", None)];
        let lines = lines(
            &tenures,
            &[used("x/a", "2026-11-29", 6_000_000)],
            |_| PRICE,
            at("2026-11-29"),
            now_ms,
        );
        let forecast = forecast(&lines, &tenures, now_ms).expect("a month");
        assert_eq!(
            (forecast.spent, forecast.tokens, forecast.hosting),
            (6_000_000, 18_000_000, 0)
        );
        assert!(forecast.is_partial);
    }

    #[test]
    fn idle_and_spilling_are_told_with_their_price() {
        let now_ms = at("2026-11-26") + HOUR_MS;
        let tenures = [
            tenure("x/idle", Sku::Standard, "2026-11-01", Some(1.70)),
            tenure("x/busy", Sku::Standard, "2026-11-01", Some(1.70)),
            tenure("x/new", Sku::Standard, "2026-11-20", Some(1.70)),
            tenure("x/free", Sku::DeveloperTier, "2026-11-01", Some(0.0)),
            tenure("x/units", Sku::ProvisionedManaged, "2026-11-01", Some(50.0)),
        ];
        let mut rows: Vec<Used> = (16..=20)
            .map(|day| used("x/busy", &format!("2026-11-{day}"), 4_000))
            .collect();
        rows.push(used("x/idle", "2026-11-18", 4_000));
        // Today is not over, and what the gateway sends itself is no use.
        rows.push(used("x/units", "2026-11-26", 4_000));
        rows.push(Used {
            is_keepalive: true,
            ..used("x/units", "2026-11-20", 8)
        });
        rows.push(Used {
            cached_tokens: 4_000_000,
            ..used("x/busy", "2026-11-20", 4_000_000)
        });
        let lines = lines(&tenures, &rows, |_| PRICE, at("2026-11-01"), now_ms);
        let spilled = |micro_usd| Spilled {
            route: RouteId::from("r"),
            micro_usd,
        };
        let of_noted = |noted: &Noted| {
            let seen = Seen {
                lines: &lines,
                tenures: &tenures,
                noted,
                spilled: &[spilled(12_340_000), spilled(999_999)],
            };
            advise(&seen, |_| PRICE, now_ms)
        };
        let advice = of_noted(&noted(&tenures, "2026-11-16"));
        let shown: Vec<String> = advice
            .iter()
            .map(|advice| format!("{} {}: {}", advice.kind.as_str(), advice.of, advice.sentence))
            .collect();
        assert_eq!(
            shown,
            [
                "idle x/units: idle 10 of 10 days, 36000 USD a month; delete it, or lower its capacity",
                "idle x/idle: idle 9 of 10 days, 1224 USD a month; delete it, or move it to the Developer tier if it is for trials only",
                "spill r: prompts that found no room where they were cached cost 12.34 USD more: one more home, or more capacity, would save that at most",
                "cache_saved : the cache saved 3.00 USD",
            ]
        );
        assert_eq!(idle_deployments(&advice), ["x/units", "x/idle"].map(DeploymentId::from));
        // Nobody knows whether they were called before a gateway knew them.
        for noted in [noted(&tenures, "2026-11-17"), Noted::new()] {
            assert_eq!(idle_deployments(&of_noted(&noted)), []);
        }
    }

    #[test]
    fn what_has_no_price_is_named() {
        let now_ms = at("2026-11-26");
        let tenures = [
            tenure("x/b", Sku::Standard, "2026-11-24", None),
            tenure("x/a", Sku::Standard, "2026-11-24", None),
        ];
        let answered = Used {
            completion_tokens: 5,
            ..used("x/b", "2026-11-25", 100)
        };
        let cached = Used {
            cached_tokens: 100,
            ..used("x/c", "2026-11-25", 100)
        };
        let price_of = |deployment: &DeploymentId| {
            if &***deployment == "x/b" {
                PRICE
            } else {
                Price::default()
            }
        };
        let lines = lines(&tenures, &[answered, cached], price_of, at("2026-11-01"), now_ms);
        let seen = Seen {
            lines: &lines,
            tenures: &tenures,
            noted: &noted(&tenures, "2026-11-24"),
            spilled: &[],
        };
        let advice = advise(&seen, price_of, now_ms);
        let shown: Vec<String> = advice
            .iter()
            .map(|one| format!("{}: {}", one.of, one.sentence))
            .collect();
        let sentence = |names: &str| format!("sums are too low: its `price` has no {names}; set what is missing");
        assert_eq!(
            shown,
            [
                format!("x/a: {}", sentence("`hour`")),
                format!("x/b: {}", sentence("`hour`, `output`")),
                format!("x/c: {}", sentence("`cached_input`")),
            ]
        );
    }
}
