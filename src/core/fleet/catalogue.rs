//! What Azure offers: which fine-tuned model can be deployed in which region by which SKU, and until when.
//!
//! The rows are in `config/models.yaml`, each with its source. They are a picture of pages that change and disagree, so there are three
//! answers, not two: a row says yes; the tables say no; or nobody knows, and Azure must decide. A no is a warning, or an error for those
//! who ask for strictness.
//!
//! A model's *family* is its base model, found from its id by the longest known prefix. Checkpoint ids (`ftchkpt-…`) name no
//! family; who has access to the account they are in can find out.

use serde::Deserialize;
use strum::{AsRefStr, IntoStaticStr};
use thiserror::Error;

use crate::core::calendar;
use crate::core::topology::Sku;

mod rows;

/// The rows that come with the program.
pub const EMBEDDED: &str = include_str!("../../../config/models.yaml");
/// What a checkpoint's id begins with.
pub const CHECKPOINT_PREFIX: &str = "ftchkpt-";

/// Why a catalogue cannot be read.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// It is no YAML, or not of this shape.
    #[error("cannot read the model catalogue: {0}")]
    Syntax(#[from] serde_saphyr::Error),
    /// A date is none.
    #[error("model catalogue: `{date}` of model `{model}` is not a date; write it as `2027-10-14`")]
    Date {
        /// Whose.
        model: String,
        /// As written.
        date: String,
    },
    /// A SKU is unknown.
    #[error(
        "model catalogue: `{sku}` of model `{model}` is not a SKU; write it as Azure does, such as `GlobalStandard`"
    )]
    Sku {
        /// Whose; empty for the list of SKUs that nobody vouches for.
        model: String,
        /// As written.
        sku: String,
    },
}

/// What is offered where.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Every region that "all regions" means.
    pub regions: Vec<String>,
    /// What an account may have.
    pub limits: Limits,
    unverified: Vec<(Sku, String)>,
    models: Vec<Model>,
}

/// What an account may have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Deployments of per-token SKUs.
    pub standard_deployments: u32,
    /// Deployments of fine-tuned models.
    pub fine_tuned_deployments: u32,
    /// Who says so, and when.
    pub source: String,
}

/// A base model of which fine-tuned ones are made.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name at Azure, such as `gpt-4.1-mini`.
    pub name: String,
    /// Versions that can be fine-tuned.
    pub versions: Vec<String>,
    /// Until when.
    pub retires: Option<Retirement>,
    is_exhaustive: bool,
    offers: Vec<Offer>,
}

/// When a model ends, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// Deployments of the base model end.
    pub base_ms: Option<i64>,
    /// Fine-tuning ends, not before that; for customers who have no such model yet it ends with the base model.
    pub training_ms: Option<i64>,
    /// Deployments of fine-tuned models answer with errors from then on.
    pub deployment_ms: Option<i64>,
    /// Who says so, and when.
    pub source: String,
}

/// A row: regions of one model and SKU.
#[derive(Debug, Clone)]
struct Offer {
    sku: Sku,
    /// None for all.
    regions: Option<Vec<String>>,
    minimum: u32,
    step: u32,
    source: String,
    doubtful: Option<String>,
}

/// What is known of a model's id.
#[derive(Debug, Clone, Copy)]
pub enum Family<'a> {
    /// A model of the catalogue, and its version where that is in the id and known.
    Known(&'a Model, Option<&'a str>),
    /// A checkpoint: the id does not tell.
    Checkpoint,
    /// The catalogue has no such model.
    Unknown,
}

/// Why something is offered, or not, or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum OfferReason {
    /// A row says so.
    Listed,
    /// The model is offered by this SKU in other regions.
    OtherRegions,
    /// The model is offered by other SKUs.
    OtherSkus,
    /// The SKU is not offered in this size.
    Capacity,
    /// A checkpoint's id does not tell its model.
    Checkpoint,
    /// The catalogue has no such model.
    UnknownModel,
    /// The model is known, and this version of it is not.
    UnknownVersion,
    /// The region is not in the catalogue.
    UnknownRegion,
    /// Pages disagree, or do not say.
    Doubtful,
}

impl OfferReason {
    /// The word for log, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Whether something is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No, as far as the tables go.
    No,
    /// Azure must decide.
    Unknown,
}

/// The answer, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Whether.
    pub answer: Answer,
    /// Why.
    pub reason: OfferReason,
    /// The same for people, with the row's source.
    pub sentence: String,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// A fine-tuned model's id, a base model's name, or a checkpoint.
    pub model: &'a str,
    /// Azure's name of the region, such as `swedencentral`.
    pub region: &'a str,
    /// By which SKU.
    pub sku: Sku,
    /// How much, if that is known.
    pub capacity: Option<u32>,
}

impl Catalogue {
    /// Reads the rows; that the embedded ones can be read is tested.
    ///
    /// # Errors
    ///
    /// On what is not of the file's shape, and on dates and SKUs that are none.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        rows::parse(text)
    }

    /// The model that this one was made of. Linear in the catalogue's models.
    pub fn family(&self, id: &str) -> Family<'_> {
        let id = id.to_ascii_lowercase();
        if id.starts_with(CHECKPOINT_PREFIX) {
            return Family::Checkpoint;
        }
        let matching = self
            .models
            .iter()
            .filter_map(|model| Some((model, id.strip_prefix(&*model.name)?)))
            .filter(|(_, rest)| is_end_or_version(rest))
            .max_by_key(|(model, _)| model.name.len());
        let Some((model, rest)) = matching else {
            return Family::Unknown;
        };
        Family::Known(model, model.version_in(rest))
    }

    /// Whether two ids are known to be of one family.
    pub fn is_one_family(&self, one: &str, other: &str) -> bool {
        match (self.family(one), self.family(other)) {
            (Family::Known(one, _), Family::Known(other, _)) => one.name == other.name,
            _ => false,
        }
    }

    /// When the model ends; none where the catalogue does not say.
    pub fn retirement(&self, id: &str) -> Option<&Retirement> {
        match self.family(id) {
            Family::Known(model, _) => model.retires.as_ref(),
            Family::Checkpoint | Family::Unknown => None,
        }
    }

    /// When deployments of a model end, if that is known: of fine-tuned ones later than of their base. In milliseconds since the
    /// Unix epoch.
    pub fn retires_at_ms(&self, id: &str) -> Option<i64> {
        let retirement = self.retirement(id)?;
        if is_fine_tuned(id) {
            retirement.deployment_ms
        } else {
            retirement.base_ms
        }
    }

    /// Whether this can be deployed.
    pub fn is_offered(&self, wish: Wish<'_>) -> Offered {
        let name = wish.model;
        let (model, version) = match self.family(name) {
            Family::Known(model, version) => (model, version),
            Family::Checkpoint => {
                let why = "is a checkpoint, whose id does not tell its model";
                return unknown(OfferReason::Checkpoint, format!("`{name}` {why}"));
            }
            Family::Unknown => {
                let known: Vec<&str> = self.models.iter().map(|model| &*model.name).collect();
                let sentence = format!("model `{name}` is not in the catalogue, which has {}", known.join(", "));
                return unknown(OfferReason::UnknownModel, sentence);
            }
        };
        if version.is_none() && !name.eq_ignore_ascii_case(&model.name) {
            let known = model.versions.join(", ");
            let sentence = format!(
                "the version in `{name}` is not in the catalogue, which has {known} of {}",
                model.name
            );
            return unknown(OfferReason::UnknownVersion, sentence);
        }
        let Some(offer) = model.offers.iter().find(|offer| offer.sku == wish.sku) else {
            return self.without_row(model, wish.sku);
        };
        self.by_row(model, offer, wish)
    }

    /// The answer where the model has no row of this SKU.
    fn without_row(&self, model: &Model, sku: Sku) -> Offered {
        let name = &model.name;
        let by = sku.as_str();
        if let Some((_, source)) = self.unverified.iter().find(|(unverified, _)| *unverified == sku) {
            let sentence = format!("no page says whether fine-tuned models can be deployed by `{by}` ({source})");
            return unknown(OfferReason::Doubtful, sentence);
        }
        let listed: Vec<&str> = model.offers.iter().map(|offer| offer.sku.as_str()).collect();
        let sentence = format!(
            "{name} is not listed for `{by}`, only for {}{}",
            listed.join(", "),
            model.sources()
        );
        if model.is_exhaustive {
            return no(OfferReason::OtherSkus, sentence);
        }
        unknown(OfferReason::Doubtful, sentence)
    }

    fn by_row(&self, model: &Model, offer: &Offer, wish: Wish<'_>) -> Offered {
        let (name, by, region) = (&model.name, wish.sku.as_str(), wish.region);
        let source = &offer.source;
        let is_region = |known: &String| known.eq_ignore_ascii_case(region);
        let is_known = self.regions.iter().any(is_region);
        let is_listed = offer
            .regions
            .as_ref()
            .map_or(is_known, |list| list.iter().any(is_region));
        if !is_listed {
            return match &offer.regions {
                Some(list) => no(
                    OfferReason::OtherRegions,
                    format!(
                        "{name} is not offered by `{by}` in {region}, only in {} ({source})",
                        list.join(", ")
                    ),
                ),
                None => unknown(
                    OfferReason::UnknownRegion,
                    format!(
                        "{region} is not among the regions of the catalogue; {name} is offered by `{by}` in all ({source})"
                    ),
                ),
            };
        }
        let (minimum, step) = (offer.minimum, offer.step);
        if let Some(capacity) = wish.capacity
            && (capacity < minimum || !(capacity - minimum).is_multiple_of(step))
        {
            let sentence = format!(
                "capacity {capacity} of {name} by `{by}` is not offered: at least {minimum}, in steps of {step} ({source})"
            );
            return no(OfferReason::Capacity, sentence);
        }
        if let Some(doubt) = &offer.doubtful {
            let sentence = format!("{name} by `{by}` in {region} is listed ({source}), but {doubt}");
            return unknown(OfferReason::Doubtful, sentence);
        }
        Offered {
            answer: Answer::Yes,
            reason: OfferReason::Listed,
            sentence: format!("{name} is offered by `{by}` in {region} ({source})"),
        }
    }
}

impl Model {
    /// The known version that the rest of an id, behind the model's name, begins with.
    fn version_in(&self, rest: &str) -> Option<&str> {
        let rest = rest.strip_prefix('-')?;
        let is_whole = |version: &&String| {
            let behind = rest.strip_prefix(version.as_str());
            behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(".ft-"))
        };
        self.versions.iter().find(is_whole).map(String::as_str)
    }

    /// Where its rows are from, in brackets and each once; empty without rows.
    fn sources(&self) -> String {
        let mut sources: Vec<&str> = Vec::new();
        for offer in &self.offers {
            if !sources.contains(&&*offer.source) {
                sources.push(&offer.source);
            }
        }
        if sources.is_empty() {
            return String::new();
        }
        format!(" ({})", sources.join("; "))
    }
}

/// Whether what is behind a model's name leaves it that model: nothing, a fine-tuning, or a version. `-mini` and `.1` make it another one.
fn is_end_or_version(rest: &str) -> bool {
    let is_version = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    rest.is_empty() || rest.starts_with(".ft-") || rest.strip_prefix('-').is_some_and(is_version)
}

/// Whether a model's id is that of a fine-tuned model or of a checkpoint, as far as it tells.
pub fn is_fine_tuned(model: &str) -> bool {
    let model = model.to_ascii_lowercase();
    model.starts_with(CHECKPOINT_PREFIX) || model.contains(".ft-")
}

fn no(reason: OfferReason, sentence: String) -> Offered {
    Offered {
        answer: Answer::No,
        reason,
        sentence,
    }
}

fn unknown(reason: OfferReason, sentence: String) -> Offered {
    Offered {
        answer: Answer::Unknown,
        reason,
        sentence,
    }
}

#[cfg(test)]
mod tests;
