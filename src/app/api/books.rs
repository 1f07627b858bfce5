//! What the API tells of the usage store: sums, priced by the configuration that is in use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::admin::api::books::Books;
use crate::admin::api::cache::{CacheAnswer, Drifting, Miss};
use crate::admin::api::usage::{CostAnswer, CostRow, Finding, Forecast, UsageAnswer, UsageBy, UsageRow};
use crate::app::api::routing;
use crate::app::money::Prices;
use crate::core::calendar::HOUR_MS;
use crate::core::ledger::advice::Advice;
use crate::core::ledger::bill::{self, CostGroup, Sum};
use crate::core::ledger::book::PriceBook;
use crate::core::ledger::prices::PriceList;
use crate::proxy::Gateway;
use crate::storage::cache_report::read_cache;
use crate::storage::cost_report::read_paid;
use crate::storage::cost_sheet::{CostReport, CostRow as SheetRow, Period};
use crate::storage::limited::{LimitedReader, ReadLimits, ReadRefused};
use crate::storage::report::{GroupBy, Range};
use crate::storage::sqlite::SqliteStore;
use crate::storage::usage_sums::{Only, UsageSum, UsageSums, read_usage_sums};
use crate::telemetry::clock;

/// Millionths in one.
const MILLION: f64 = 1e6;

/// The usage store of a gateway, and its prices.
pub(in crate::app) struct StoreBooks {
    reader: LimitedReader,
    prices: Arc<Prices>,
    gateway: Arc<Gateway>,
}

impl StoreBooks {
    pub(in crate::app) fn new(gateway: &Arc<Gateway>, store: &Arc<SqliteStore>, prices: &Arc<Prices>) -> Self {
        Self {
            reader: LimitedReader::new(Path::to_owned(store.path()), ReadLimits::default()),
            prices: Arc::clone(prices),
            gateway: Arc::clone(gateway),
        }
    }

    /// The prices of now; of nothing where the gateway is ending.
    fn book(&self) -> Arc<PriceBook> {
        self.prices
            .book()
            .unwrap_or_else(|| Arc::new(PriceBook::new(PriceList::default(), Vec::new())))
    }
}

#[async_trait]
impl Books for StoreBooks {
    async fn usage(&self, by: UsageBy, only: &Only, range: Range) -> Result<UsageAnswer, ReadRefused> {
        let group = match by {
            UsageBy::Client => GroupBy::Client,
            UsageBy::Route => GroupBy::Route,
            UsageBy::Deployment => GroupBy::Deployment,
            UsageBy::Region => GroupBy::Region,
            UsageBy::Day => GroupBy::Day,
        };
        let mut read = self.reader.begin().await?;
        let sums = read_usage_sums(&mut read.connection, group, only, range).await?;
        read.end().await?;
        Ok(usage(by, range, sums, &self.book()))
    }

    async fn costs(&self, only: &Only, range: Range) -> Result<CostAnswer, ReadRefused> {
        let now_ms = clock::now_ms();
        let period = Period::of(range.since_ms, range.until_ms - 1);
        let mut read = self.reader.begin().await?;
        let paid = read_paid(&mut read.connection, period.reads(now_ms)).await?;
        read.end().await?;
        if paid.truncated {
            return Err(ReadRefused::TooLong);
        }
        let report = CostReport::new(&paid, &self.book(), CostGroup::Deployment, period, now_ms);
        let live = self.gateway.live.load_full();
        let snapshot = &live.config.runtime.snapshot;
        let region_of = |name: &str| {
            let deployment = snapshot
                .deployments
                .iter()
                .find(|deployment| &**deployment.id == name)?;
            Some(&**snapshot.resources[deployment.resource.0].region)
        };
        Ok(costs(&report, |name| {
            only.deployment.as_ref().is_none_or(|deployment| deployment == name)
                && only
                    .region
                    .as_ref()
                    .is_none_or(|region| region_of(name) == Some(region))
        }))
    }

    async fn cache(&self, only: &Only, range: Range) -> Result<CacheAnswer, ReadRefused> {
        let mut read = self.reader.begin().await?;
        let report = read_cache(&mut read.connection, only, range).await?;
        read.end().await?;
        let missed: i64 = report.misses.iter().map(|miss| miss.tokens).sum();
        Ok(CacheAnswer {
            from_ms: report.since_ms,
            to_ms: report.until_ms,
            requests: report.requests,
            prompt_tokens: report.prompt_tokens,
            cached_tokens: report.cached_tokens,
            expected_tokens: report.cached_tokens + missed.max(0).cast_unsigned(),
            misses: report
                .misses
                .iter()
                .map(|miss| Miss {
                    cause: miss.cause.as_ref().to_owned(),
                    text: miss.cause.sentence().to_owned(),
                    requests: miss.requests.max(0).cast_unsigned(),
                    tokens: miss.tokens.max(0).cast_unsigned(),
                    usd: miss.micro_usd.map(|micro| micro as f64 / MILLION),
                })
                .collect(),
            drift: report
                .drifts
                .iter()
                .map(|found| Drifting {
                    route: found.route.to_string(),
                    seen_at_ms: found.seen_at_ms,
                    at_tokens: found.drift.position_tokens,
                    segment: found.drift.segment.as_ref().to_owned(),
                    share: found.drift.share,
                    requests: found.drift.requests_seen as u64,
                    tokens_a_day: found.tokens_a_day,
                    usd_a_day: found.micro_usd_a_day.map(dollars),
                    text: found.sentence(),
                })
                .collect(),
            heads: routing::heads(&self.gateway),
        })
    }
}

fn dollars(micro_usd: u64) -> f64 {
    micro_usd as f64 / MILLION
}

/// Sums of each key over its deployments, priced.
fn usage(by: UsageBy, range: Range, sums: UsageSums, book: &PriceBook) -> UsageAnswer {
    let mut groups: BTreeMap<String, (UsageRow, Sum)> = BTreeMap::new();
    for sum in sums.sums {
        let (row, money) = groups.entry(sum.key.clone()).or_default();
        *money = money.plus(priced(&sum, book));
        row.requests += sum.requests;
        row.errors += sum.errors;
        row.unpriced_requests += if priced(&sum, book).unpriced > 0 {
            sum.requests
        } else {
            0
        };
    }
    let mut total = (UsageRow::default(), Sum::default());
    for (row, money) in groups.values() {
        total.1 = total.1.plus(*money);
        total.0.requests += row.requests;
        total.0.errors += row.errors;
        total.0.unpriced_requests += row.unpriced_requests;
    }
    let mut rows: Vec<UsageRow> = groups
        .into_iter()
        .map(|(key, (row, money))| usage_row(key, &row, &money))
        .collect();
    if by != UsageBy::Day {
        rows.sort_by_key(|row| std::cmp::Reverse(row.requests));
    }
    UsageAnswer {
        from_ms: range.since_ms,
        to_ms: range.until_ms,
        by,
        rows,
        total: usage_row("all".to_owned(), &total.0, &total.1),
        truncated: sums.truncated,
    }
}

/// What the tokens of requests to one deployment cost. Where nobody was asked there are none.
fn priced(sum: &UsageSum, book: &PriceBook) -> Sum {
    let price = sum
        .deployment
        .as_ref()
        .map_or_else(Default::default, |deployment| book.price(deployment));
    bill::request_sum(sum.prompt_tokens, sum.cached_tokens, sum.completion_tokens, &price)
}

fn usage_row(key: String, counts: &UsageRow, money: &Sum) -> UsageRow {
    UsageRow {
        key,
        prompt_tokens: money.prompt_tokens,
        cached_tokens: money.cached_tokens,
        completion_tokens: money.completion_tokens,
        token_usd: dollars(money.micro_usd),
        saved_usd: dollars(money.saved_micro_usd),
        ..counts.clone()
    }
}

/// The rows of those deployments that are asked for, with advice beside the one it is about.
fn costs(report: &CostReport, is_asked: impl Fn(&str) -> bool) -> CostAnswer {
    let findings: Vec<Finding> = findings(report);
    let rows: Vec<CostRow> = report
        .groups
        .iter()
        .filter(|group| is_asked(&group.key))
        .map(|group| {
            let about = findings.iter().filter(|finding| finding.of == group.key);
            let texts: Vec<&str> = about.map(|finding| &*finding.text).collect();
            cost_row(group, (!texts.is_empty()).then(|| texts.join("; ")))
        })
        .collect();
    let asked = report.groups.iter().filter(|group| is_asked(&group.key));
    let mut total = asked.fold(SheetRow::default(), SheetRow::plus);
    "all".clone_into(&mut total.key);
    CostAnswer {
        from_ms: report.since_ms,
        to_ms: report.until_ms,
        rows,
        total: cost_row(&total, None),
        forecast: report.forecast.map(|forecast| Forecast {
            ends_ms: forecast.ends_ms,
            spent_usd: dollars(forecast.spent),
            hosting_usd: dollars(forecast.hosting),
            token_usd: dollars(forecast.tokens),
            total_usd: dollars(forecast.total()),
            is_partial: forecast.is_partial,
        }),
        findings,
    }
}

fn cost_row(row: &SheetRow, advice: Option<String>) -> CostRow {
    let total_usd = dollars(row.sum.micro_usd);
    CostRow {
        deployment: row.key.clone(),
        hours: row.sum.there_ms as f64 / HOUR_MS as f64,
        hosting_usd: dollars(row.hosting_micro_usd + row.provisioned_micro_usd),
        token_usd: dollars(row.tokens_micro_usd),
        keepalive_usd: dollars(row.keepalive_micro_usd),
        saved_usd: dollars(row.sum.saved_micro_usd),
        total_usd,
        requests: row.sum.requests,
        usd_per_1k_requests: (row.sum.requests > 0).then(|| total_usd / row.sum.requests as f64 * 1_000.0),
        is_partial: row.sum.unpriced > 0,
        advice,
    }
}

fn findings(report: &CostReport) -> Vec<Finding> {
    let advice = |advice: &Advice| Finding {
        kind: advice.kind.as_str().to_owned(),
        of: advice.of.clone(),
        usd: dollars(advice.micro_usd),
        text: advice.sentence.clone(),
    };
    let unknown = |kind: &'static str, text: &'static str| {
        move |name: &String| Finding {
            kind: kind.to_owned(),
            of: name.clone(),
            usd: 0.0,
            text: text.to_owned(),
        }
    };
    let unseen = unknown(
        "unseen",
        "no gateway has noted yet that it is there, so its hosting is not counted",
    );
    let stale = unknown(
        "stale",
        "no gateway has seen it for a day; it is counted as if it were there",
    );
    let told = report.findings.iter().map(advice);
    told.chain(report.unseen.iter().map(unseen))
        .chain(report.stale.iter().map(stale))
        .collect()
}
