//! The rows of `config/models.yaml` as they are written, and what they mean.

use serde::Deserialize;

use super::{Catalogue, CatalogueError, Limits, Model, Offer, Retirement, calendar};
use crate::core::topology::Sku;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalogue {
    all_regions: RawRegions,
    limits: Limits,
    unverified_skus: Vec<RawUnverified>,
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegions {
    #[serde(rename = "source")]
    _source: String,
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnverified {
    sku: String,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    model: String,
    versions: Vec<String>,
    exhaustive: bool,
    retires: Option<RawRetirement>,
    offers: Vec<RawOffer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetirement {
    base: Option<String>,
    training: Option<String>,
    deployment: Option<String>,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOffer {
    sku: String,
    regions: RawWhere,
    #[serde(default = "one")]
    minimum: u32,
    #[serde(default = "one")]
    step: u32,
    source: String,
    doubtful: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawWhere {
    All(RawAll),
    Listed(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAll {
    All,
}

fn one() -> u32 {
    1
}

pub(super) fn parse(text: &str) -> Result<Catalogue, CatalogueError> {
    let raw: RawCatalogue = serde_saphyr::from_str(text)?;
    let mut unverified = Vec::new();
    for row in raw.unverified_skus {
        unverified.push((sku_of("", &row.sku)?, row.source));
    }
    let models: Result<Vec<Model>, CatalogueError> = raw.models.into_iter().map(model).collect();
    Ok(Catalogue {
        regions: raw.all_regions.names,
        limits: raw.limits,
        unverified,
        models: models?,
    })
}

fn model(raw: RawModel) -> Result<Model, CatalogueError> {
    let name = raw.model;
    let retires = raw.retires.map(|retires| retirement(&name, retires)).transpose()?;
    let mut offers = Vec::new();
    for row in raw.offers {
        offers.push(Offer {
            sku: sku_of(&name, &row.sku)?,
            regions: match row.regions {
                RawWhere::All(RawAll::All) => None,
                RawWhere::Listed(regions) => Some(regions),
            },
            minimum: row.minimum,
            step: row.step.max(1),
            source: row.source,
            doubtful: row.doubtful,
        });
    }
    Ok(Model {
        name,
        versions: raw.versions,
        retires,
        is_exhaustive: raw.exhaustive,
        offers,
    })
}

fn retirement(model: &str, raw: RawRetirement) -> Result<Retirement, CatalogueError> {
    let date = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => match calendar::date_ms(&text) {
            Some(at_ms) => Ok(Some(at_ms)),
            None => Err(CatalogueError::Date {
                model: model.to_owned(),
                date: text,
            }),
        },
    };
    Ok(Retirement {
        base_ms: date(raw.base)?,
        training_ms: date(raw.training)?,
        deployment_ms: date(raw.deployment)?,
        source: raw.source,
    })
}

fn sku_of(model: &str, text: &str) -> Result<Sku, CatalogueError> {
    Sku::of(text).ok_or_else(|| CatalogueError::Sku {
        model: model.to_owned(),
        sku: text.to_owned(),
    })
}
