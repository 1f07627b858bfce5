//! What the values of `emberway replay`'s flags look like.

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::replay::trace::Trace;
use crate::replay::world::Outage;

/// Most deployments of a run.
const DEPLOYMENTS_MAX: usize = 64;

/// A limit as a multiple of the fair share; none for no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor(pub(super) Option<f64>);

pub(super) fn factor(text: &str) -> Result<Factor, String> {
    if text == "none" {
        return Ok(Factor(None));
    }
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Factor(Some(factor))),
        _ => Err("a number above zero such as `1.5`, or `none`".to_owned()),
    }
}

/// How many deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// So many.
    Of(usize),
    /// As many as the trace tells, and so many more.
    Actual(isize),
}

pub(super) fn count(text: &str) -> Result<Count, String> {
    let wrong = || "a number such as `8`, or `actual`, `actual+2`, `actual-1`".to_owned();
    let parsed = match text.strip_prefix("actual") {
        Some("") => Some(Count::Actual(0)),
        Some(more) if more.starts_with(['+', '-']) => more.parse().ok().map(Count::Actual),
        Some(_) => None,
        None => text.parse().ok().filter(|&number| number > 0).map(Count::Of),
    };
    parsed.ok_or_else(wrong)
}

impl Count {
    /// The deployments for a trace.
    pub(super) fn of(self, trace: &Trace) -> anyhow::Result<usize> {
        let count = match self {
            Self::Of(count) => count,
            Self::Actual(more) => {
                let name = &trace.name;
                let actual = trace.actual.deployments;
                anyhow::ensure!(
                    actual > 0,
                    "the trace `{name}` does not tell its deployments; give `--deployments` a number"
                );
                let count = actual.checked_add_signed(more).filter(|&count| count > 0);
                count.with_context(|| format!("`{name}` has {actual} deployments, so `actual{more:+}` leaves none"))?
            }
        };
        anyhow::ensure!(
            count <= DEPLOYMENTS_MAX,
            "`{count}` deployments are too many; at most {DEPLOYMENTS_MAX}"
        );
        Ok(count)
    }
}

pub(super) fn tokens(text: &str) -> Result<f64, String> {
    let tokens = text
        .parse()
        .ok()
        .filter(|tokens: &f64| tokens.is_finite() && *tokens > 0.0);
    tokens.ok_or_else(|| "a number of tokens above zero such as `250000`".to_owned())
}

pub(super) fn price(text: &str) -> Result<f64, String> {
    let price = text
        .parse()
        .ok()
        .filter(|price: &f64| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| "a number of USD such as `2.5`".to_owned())
}

pub(super) fn outage(text: &str) -> Result<Outage, String> {
    let wrong = || "three numbers such as `0:1200:1800`: region, from and until which second".to_owned();
    let mut parts = text.split(':');
    let mut part = || parts.next().ok_or_else(wrong);
    let outage = Outage {
        region: part()?.parse().map_err(|_| wrong())?,
        from: part()?.parse().map_err(|_| wrong())?,
        until: part()?.parse().map_err(|_| wrong())?,
    };
    if parts.next().is_some() {
        return Err(wrong());
    }
    if outage.from >= outage.until {
        return Err(format!(
            "it ends at {} s, not after its begin at {} s",
            outage.until, outage.from
        ));
    }
    Ok(outage)
}

/// The words of a closed set.
pub(super) fn words<T>(all: &'static [T]) -> impl TypedValueParser<Value = T>
where
    T: AsRef<str> + std::str::FromStr + Clone + Send + Sync + 'static,
    <T as std::str::FromStr>::Err: std::error::Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(AsRef::<str>::as_ref)).try_map(|word| word.parse::<T>())
}
