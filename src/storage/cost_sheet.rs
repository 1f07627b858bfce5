//! From what is stored and the prices to a cost report: sums by group and kind, a forecast, findings. For `emberway cost` and the page.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::core::calendar::{DAY_MS, day_start_ms, month_ms};
use crate::core::ids::DeploymentId;
use crate::core::ledger::advice::{self, Advice, Forecast, IDLE_DAYS, MEAN_DAYS, Seen};
use crate::core::ledger::bill::{self, CostGroup, CostKind, Line, Sum};
use crate::core::ledger::book::PriceBook;
use crate::core::ledger::life::{self, Life};
use crate::storage::cost_report::Paid;
use crate::storage::report::Range;

/// Whole days, the second not included, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day's start.
    pub since_ms: i64,
    /// The end of the last day.
    pub until_ms: i64,
}

impl Period {
    /// The days that two moments are in, and those between them.
    pub fn of(since_ms: i64, until_ms: i64) -> Self {
        Self {
            since_ms: day_start_ms(since_ms),
            until_ms: day_start_ms(until_ms).saturating_add(DAY_MS),
        }
    }

    /// What must be read of the store for a report: beyond the days themselves what forecast and advice look back to.
    pub fn reads(self, now_ms: i64) -> Range {
        Range {
            since_ms: self.since_ms.min(reads_from(now_ms)),
            until_ms: self.until_ms.max(now_ms + 1),
        }
    }
}

/// What forecast and advice look back to, whatever the range: the month's start, or their days, whichever is earlier.
pub fn reads_from(now_ms: i64) -> i64 {
    let days_ms = day_start_ms(now_ms) - IDLE_DAYS.max(MEAN_DAYS) * DAY_MS;
    month_ms(now_ms).map_or(days_ms, |(begins_ms, _)| begins_ms.min(days_ms))
}

/// What the fleet costs. Amounts in millionths of a US dollar, times in milliseconds since the Unix epoch.
#[derive(Debug, Serialize)]
pub struct CostReport {
    /// What sums are by.
    pub by: CostGroup,
    /// The first day's start.
    pub since_ms: i64,
    /// Not included; what is not over yet counts to now.
    pub until_ms: i64,
    /// Days in order, everything else by what costs most.
    pub groups: Vec<CostRow>,
    /// All of them together.
    pub total: CostRow,
    /// Of the month that now is in, whatever the range; none beyond the year 9999.
    pub forecast: Option<Forecast>,
    /// Of the month or the last ten days, whichever is longer, whatever the range.
    pub findings: Vec<Advice>,
    /// Configured deployments of which no gateway has noted that they are there.
    pub unseen: Vec<String>,
    /// Deployments that were not seen for a day although they are configured: they are reckoned as if they were there.
    pub stale: Vec<String>,
}

/// One group.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct CostRow {
    /// The group's name.
    pub key: String,
    /// Being there, by the hour.
    pub hosting_micro_usd: u64,
    /// Provisioned units, by the hour.
    pub provisioned_micro_usd: u64,
    /// Tokens of clients' requests.
    pub tokens_micro_usd: u64,
    /// Tokens of the gateway's own calls.
    pub keepalive_micro_usd: u64,
    /// All of it, and how much was used.
    #[serde(flatten)]
    pub sum: Sum,
}

impl CostReport {
    /// Of what was read for this period ([`Period::reads`]), at the book's prices. Linear in what was read.
    pub fn new(paid: &Paid, book: &PriceBook, by: CostGroup, period: Period, now_ms: i64) -> Self {
        let tenures = life::tenures(
            &paid.lives,
            |deployment| book.is_configured(deployment),
            |life| book.hour_usd(&life.deployment, life.sku, life.capacity),
            now_ms,
        );
        let price_of = |deployment: &DeploymentId| book.price(deployment);
        // What is used in this very millisecond counts.
        let until_ms = period.until_ms.min(now_ms + 1);
        let lines = bill::lines(&tenures, &paid.used, price_of, period.since_ms, until_ms);
        let of_late = bill::lines(&tenures, &paid.used, price_of, reads_from(now_ms), now_ms + 1);
        let mut total = rows(&lines, by)
            .into_iter()
            .fold(CostRow::default(), |total, row| total.plus(&row));
        "all".clone_into(&mut total.key);
        let seen = Seen {
            lines: &of_late,
            tenures: &tenures,
            noted: &paid.noted,
            spilled: &paid.spilled,
        };
        Self {
            by,
            since_ms: period.since_ms,
            until_ms: period.until_ms,
            groups: rows(&lines, by),
            total,
            forecast: advice::forecast(&of_late, &tenures, now_ms),
            findings: advice::advise(&seen, price_of, now_ms),
            unseen: unseen(&paid.lives, book),
            stale: stale(&paid.lives, book, now_ms),
        }
    }
}

impl CostRow {
    /// Both together, by the name of the first.
    pub fn plus(self, other: &Self) -> Self {
        Self {
            key: self.key,
            hosting_micro_usd: self.hosting_micro_usd + other.hosting_micro_usd,
            provisioned_micro_usd: self.provisioned_micro_usd + other.provisioned_micro_usd,
            tokens_micro_usd: self.tokens_micro_usd + other.tokens_micro_usd,
            keepalive_micro_usd: self.keepalive_micro_usd + other.keepalive_micro_usd,
            sum: self.sum.plus(other.sum),
        }
    }
}

/// Days in order, everything else by what costs most.
fn rows(lines: &[Line], by: CostGroup) -> Vec<CostRow> {
    let of_kind = |kind: CostKind| bill::sums(lines.iter().filter(|line| line.kind == kind), by);
    let kinds: BTreeMap<CostKind, _> = [
        CostKind::Hosting,
        CostKind::Provisioned,
        CostKind::Tokens,
        CostKind::Keepalive,
    ]
    .into_iter()
    .map(|kind| (kind, of_kind(kind)))
    .collect();
    let amount = |kind: CostKind, key: &str| kinds[&kind].get(key).map_or(0, |sum| sum.micro_usd);
    let mut rows: Vec<CostRow> = bill::sums(lines, by)
        .into_iter()
        .map(|(key, sum)| CostRow {
            hosting_micro_usd: amount(CostKind::Hosting, &key),
            provisioned_micro_usd: amount(CostKind::Provisioned, &key),
            tokens_micro_usd: amount(CostKind::Tokens, &key),
            keepalive_micro_usd: amount(CostKind::Keepalive, &key),
            sum,
            key,
        })
        .collect();
    if by != CostGroup::Day {
        rows.sort_by_key(|row| std::cmp::Reverse(row.sum.micro_usd));
    }
    rows
}

fn unseen(lives: &[Life], book: &PriceBook) -> Vec<String> {
    let is_seen = |deployment: &DeploymentId| lives.iter().any(|life| life.deployment == *deployment);
    let configured = book.configured().filter(|billed| !is_seen(&billed.id));
    configured.map(|billed| billed.id.to_string()).collect()
}

fn stale(lives: &[Life], book: &PriceBook, now_ms: i64) -> Vec<String> {
    let is_stale = |life: &&Life| {
        life.ended_at_ms.is_none() && now_ms - life.seen_at_ms > DAY_MS && book.is_configured(&life.deployment)
    };
    let lives = lives.iter().filter(is_stale);
    lives.map(|life| life.deployment.to_string()).collect()
}
