//! What a deployment costs: its configured price, and where that is silent the rows of `config/prices.yaml`.
//!
//! A price that nobody gives stays unknown: a sum that lacks something says so. Provisioned deployments pay by the unit and hour,
//! and nothing for tokens; all others by tokens, and fine-tuned ones by the hour besides (Microsoft Learn, Fine-tuning cost
//! management, March 2026).

use serde::Deserialize;
use thiserror::Error;

use crate::core::topology::{Price, Sku};

/// The rows that come with the program.
pub const EMBEDDED: &str = include_str!("../../../config/prices.yaml");

/// Why a price list cannot be read.
#[derive(Debug, Error)]
pub enum PriceListError {
    /// It is no YAML, or not of this shape.
    #[error("cannot read the price list: {0}")]
    Syntax(#[from] serde_saphyr::Error),
    /// A SKU is unknown.
    #[error("price list: `{0}` is not a SKU; write it as Azure does, such as `GlobalStandard`")]
    Sku(String),
    /// A price is no price.
    #[error("price list: a price of `{0}` is below zero or no number; leave out what is not known")]
    Amount(String),
}

/// What Azure charges, as far as is known.
#[derive(Debug, Clone, Default)]
pub struct PriceList {
    hosting: Vec<Hosting>,
    tokens: Vec<Tokens>,
}

#[derive(Debug, Clone)]
struct Hosting {
    sku: Sku,
    hour: Option<f64>,
    unit_hour: Option<f64>,
    is_metered: bool,
    source: String,
}

#[derive(Debug, Clone)]
struct Tokens {
    model: String,
    skus: Vec<Sku>,
    input: Option<f64>,
    cached_input: Option<f64>,
    output: Option<f64>,
    source: String,
}

/// A deployment, as far as its price depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Priceable<'a> {
    /// Its base model.
    pub model: Option<&'a str>,
    /// Its SKU.
    pub sku: Sku,
    /// Its units.
    pub capacity: Option<u32>,
    /// Its price in the configuration.
    pub configured: Option<Price>,
}

/// A deployment's price, and whose rows it was taken from where the configuration was silent.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced {
    /// What it costs.
    pub price: Price,
    /// Pages, each once.
    pub sources: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    hosting: Vec<RawHosting>,
    tokens: Vec<RawTokens>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHosting {
    sku: String,
    hour: Option<f64>,
    unit_hour: Option<f64>,
    tokens: RawMetering,
    source: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum RawMetering {
    Metered,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    model: String,
    skus: Vec<String>,
    input: Option<f64>,
    cached_input: Option<f64>,
    output: Option<f64>,
    source: String,
}

impl PriceList {
    /// Reads the rows; that the embedded ones can be read is tested.
    ///
    /// # Errors
    ///
    /// On what is not of the file's shape, on SKUs that are none, and on prices below zero.
    pub fn parse(text: &str) -> Result<Self, PriceListError> {
        let raw: RawList = serde_saphyr::from_str(text)?;
        let mut list = Self {
            hosting: Vec::new(),
            tokens: Vec::new(),
        };
        for row in raw.hosting {
            check(&row.sku, &[row.hour, row.unit_hour])?;
            list.hosting.push(Hosting {
                sku: sku_of(&row.sku)?,
                hour: row.hour,
                unit_hour: row.unit_hour,
                is_metered: row.tokens == RawMetering::Metered,
                source: row.source,
            });
        }
        for row in raw.tokens {
            check(&row.model, &[row.input, row.cached_input, row.output])?;
            list.tokens.push(Tokens {
                skus: row.skus.iter().map(|sku| sku_of(sku)).collect::<Result<_, _>>()?,
                model: row.model,
                input: row.input,
                cached_input: row.cached_input,
                output: row.output,
                source: row.source,
            });
        }
        Ok(list)
    }

    /// What a deployment costs: the configuration's word, member by member, else a row's.
    pub fn price_of(&self, deployment: &Priceable<'_>) -> Priced {
        let configured = deployment.configured.unwrap_or_default();
        let mut sources: Vec<String> = Vec::new();
        let mut or_row = |own: Option<f64>, row: Option<(f64, &str)>| {
            own.or_else(|| {
                let (amount, source) = row?;
                if !sources.iter().any(|known| known == source) {
                    sources.push(source.to_owned());
                }
                Some(amount)
            })
        };
        let hosting = self.hosting.iter().find(|row| row.sku == deployment.sku);
        let of_hosting = |amount: Option<f64>| hosting.and_then(|row| Some((amount?, &*row.source)));
        let units = |row: &Hosting| Some(row.unit_hour? * f64::from(deployment.capacity?));
        let hour = or_row(
            configured.hour,
            of_hosting(hosting.and_then(|row| row.hour.or_else(|| units(row)))),
        );
        let is_free = hosting.is_some_and(|row| !row.is_metered);
        let tokens = self.tokens.iter().find(|row| {
            row.skus.contains(&deployment.sku)
                && deployment
                    .model
                    .is_some_and(|model| model.eq_ignore_ascii_case(&row.model))
        });
        let mut of_tokens = |own: Option<f64>, amount: fn(&Tokens) -> Option<f64>| {
            if is_free {
                return or_row(own, of_hosting(Some(0.0)));
            }
            or_row(own, tokens.and_then(|row| Some((amount(row)?, &*row.source))))
        };
        let input = of_tokens(configured.input, |row| row.input);
        let price = Price {
            input,
            cached_input: of_tokens(configured.cached_input, |row| row.cached_input)
                .map(|cached| input.map_or(cached, |input| cached.min(input))),
            output: of_tokens(configured.output, |row| row.output),
            hour,
        };
        Priced { price, sources }
    }
}

fn check(of: &str, amounts: &[Option<f64>]) -> Result<(), PriceListError> {
    let is_price = |amount: &f64| amount.is_finite() && *amount >= 0.0;
    if amounts.iter().flatten().all(is_price) {
        return Ok(());
    }
    Err(PriceListError::Amount(of.to_owned()))
}

fn sku_of(text: &str) -> Result<Sku, PriceListError> {
    Sku::of(text).ok_or_else(|| PriceListError::Sku(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> PriceList {
        PriceList::parse(EMBEDDED).expect("the embedded price list")
    }

    fn priced(model: &str, sku: Sku, configured: Option<Price>) -> Priced {
        let text = EMBEDDED.replace("    tokens: none\n", "    unit_hour: 0.5\n    tokens: none\n");
        let list = PriceList::parse(&text).expect("a price list");
        list.price_of(&Priceable {
            model: Some(model),
            sku,
            capacity: Some(50),
            configured,
        })
    }

    fn price(input: Option<f64>, cached_input: Option<f64>, output: Option<f64>, hour: Option<f64>) -> Price {
        Price {
            input,
            cached_input,
            output,
            hour,
        }
    }

    #[test]
    fn rows_stand_in_for_what_the_configuration_does_not_say() {
        let o4 = priced("O4-mini", Sku::Standard, None);
        assert_eq!(o4.price, price(Some(1.1), None, Some(4.4), Some(1.7)));
        assert_eq!(o4.sources.len(), 1);
        let own = price(Some(0.0), None, None, Some(2.0));
        assert_eq!(
            priced("o4-mini", Sku::Standard, Some(own)).price,
            price(Some(0.0), None, Some(4.4), Some(2.0))
        );
        // Rates of another SKU say nothing.
        assert_eq!(
            priced("o4-mini", Sku::GlobalStandard, None).price,
            price(None, None, None, Some(1.7))
        );
        assert_eq!(
            priced("gpt-4.1", Sku::DeveloperTier, None).price,
            price(None, None, None, Some(0.0))
        );
        assert_eq!(priced("gpt-4.1", Sku::DataZoneStandard, None).price, Price::default());
        assert_eq!(
            priced("gpt-4.1", Sku::DataZoneStandard, None).sources,
            Vec::<String>::new()
        );
    }

    #[test]
    fn provisioned_units_pay_by_the_hour_and_for_no_tokens() {
        let expected = price(Some(0.0), Some(0.0), Some(0.0), Some(25.0));
        assert_eq!(priced("gpt-4.1", Sku::ProvisionedManaged, None).price, expected);
        let without = list().price_of(&Priceable {
            model: None,
            sku: Sku::ProvisionedManaged,
            capacity: Some(50),
            configured: None,
        });
        assert_eq!(without.price.hour, None, "the rate is not known");
    }

    #[test]
    fn what_is_no_price_is_refused() {
        let fails = |from: &str, to: &str| {
            assert!(EMBEDDED.contains(from));
            PriceList::parse(&EMBEDDED.replacen(from, to, 1))
                .expect_err("refused")
                .to_string()
        };
        assert!(fails("hour: 1.70", "hour: -1").contains("a price of `Standard`"));
        assert!(fails("input: 1.10", "input: .nan").contains("a price of `o4-mini`"));
        assert!(fails("sku: Standard", "sku: Standrad").contains("`Standrad` is not a SKU"));
        assert!(fails("source:", "sauce:").contains("cannot read the price list"));
    }
}
