//! Which models are there, where can they be deployed, and when do they retire? Read from `config/models.yaml`.
//!
//! The file is data that the gateway reads too, with code of its own; here what is offered is allowed, doubtful rows included, since a
//! simulator that refused them could not show either case. Dates can be moved by the scenario.

use serde::Deserialize;

use crate::simulator::arm::settings::Retirement;
use crate::simulator::arm::time;
use crate::simulator::scenario::{ScenarioError, Sku};

const MODELS: &str = include_str!("../../../config/models.yaml");
/// How ids of checkpoints begin.
pub const CHECKPOINT: &str = "ftchkpt-";
/// Largest capacity of a pay-per-token deployment, in thousands of tokens a minute.
const MAX_CAPACITY: u32 = 100_000;

/// All models.
#[derive(Debug, Deserialize)]
pub struct Catalogue {
    models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, Deserialize)]
pub struct Model {
    /// Its name, such as `gpt-4.1-mini`.
    #[serde(rename = "model")]
    pub name: String,
    /// Its versions.
    pub versions: Vec<String>,
    /// Its dates.
    #[serde(default)]
    pub retires: Dates,
    /// Where fine-tuned ones can be deployed.
    pub offers: Vec<Offer>,
}

/// When a model retires.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Dates {
    /// The base model.
    pub base: Option<String>,
    /// Fine-tuning of it.
    pub training: Option<String>,
    /// Deployments of fine-tuned ones.
    pub deployment: Option<String>,
}

/// A kind of deployment of a model.
#[derive(Debug, Clone, Deserialize)]
pub struct Offer {
    /// The kind.
    pub sku: Sku,
    regions: Regions,
    /// Least capacity.
    #[serde(default = "one")]
    pub minimum: u32,
    /// What it can be raised by.
    #[serde(default = "one")]
    pub step: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Regions {
    Listed(Vec<String>),
    /// `all`.
    All(String),
}

fn one() -> u32 {
    1
}

/// What capacities a kind of deployment can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapacityRange {
    /// Least.
    pub minimum: u32,
    /// Most.
    pub maximum: u32,
    /// What it can be raised by.
    pub step: u32,
}

impl Catalogue {
    /// The shipped models, with the scenario's dates.
    ///
    /// # Errors
    /// None in a released build: a test reads the file.
    pub fn shipped(moved: &[Retirement]) -> Result<Self, ScenarioError> {
        let mut read: Self = serde_saphyr::from_str(MODELS)?;
        for retirement in moved {
            for model in read.models.iter_mut().filter(|model| model.name == retirement.model) {
                let Dates { base, deployment, .. } = &mut model.retires;
                *base = retirement.base.clone().or_else(|| base.take());
                *deployment = retirement.deployment.clone().or_else(|| deployment.take());
            }
        }
        Ok(read)
    }

    /// All models, in the file's order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model that an id is of, fine-tuned or not: the longest name that it begins with.
    pub fn family(&self, id: &str) -> Option<&Model> {
        let begins = |model: &&Model| {
            id.strip_prefix(model.name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        };
        self.models.iter().filter(begins).max_by_key(|model| model.name.len())
    }
}

impl Model {
    /// Whether fine-tuned ones can be deployed so in a region.
    pub fn offers(&self, sku: Sku, region: &str) -> bool {
        self.offer(sku).is_some_and(|offer| match &offer.regions {
            Regions::All(word) => word == "all",
            Regions::Listed(names) => names.iter().any(|name| name.eq_ignore_ascii_case(region)),
        })
    }

    /// The capacities that a kind of deployment can have.
    pub fn capacities(&self, sku: Sku) -> CapacityRange {
        let (minimum, step) = self.offer(sku).map_or((1, 1), |offer| (offer.minimum, offer.step));
        CapacityRange {
            minimum,
            maximum: MAX_CAPACITY,
            step,
        }
    }

    /// When deployments end, those of fine-tuned models or of the base; none when that is not known.
    pub fn retires_ms(&self, fine_tuned: bool) -> Option<u64> {
        let date = if fine_tuned {
            &self.retires.deployment
        } else {
            &self.retires.base
        };
        date.as_deref().and_then(time::parse)
    }

    /// Requests a minute for each thousand tokens a minute.
    pub fn requests_per_unit(&self) -> u32 {
        if self.name.starts_with('o') { 1 } else { 6 }
    }

    fn offer(&self, sku: Sku) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.sku == sku)
    }
}

impl CapacityRange {
    /// Whether a capacity is in the range and on a step.
    pub fn has(self, capacity: u32) -> bool {
        (self.minimum..=self.maximum).contains(&capacity) && (capacity - self.minimum).is_multiple_of(self.step)
    }
}

/// Whether an id is of a fine-tuned model or a checkpoint.
pub fn is_fine_tuned(id: &str) -> bool {
    id.contains(".ft-") || id.starts_with(CHECKPOINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_as_published() {
        let catalogue = Catalogue::shipped(&[]).unwrap();
        for (id, family) in [
            ("gpt-4.1-mini-2025-04-14.ft-00", Some("gpt-4.1-mini")),
            ("gpt-4.1-2025-04-14.ft-00", Some("gpt-4.1")),
            ("gpt-4o", Some("gpt-4o")),
            ("gpt-4omni", None),
            ("m", None),
        ] {
            assert_eq!(catalogue.family(id).map(|model| model.name.as_str()), family, "{id}");
        }
        for (id, sku, region, expect) in [
            ("gpt-4.1", "Standard", "swedencentral", true),
            ("gpt-4.1", "Standard", "eastus2", false),
            ("gpt-4.1", "GlobalStandard", "westus3", true),
            ("gpt-4.1", "Developer", "westus3", true),
            ("gpt-4.1", "provisionedmanaged", "swedencentral", true),
            ("gpt-4.1-mini", "ProvisionedManaged", "swedencentral", false),
            ("gpt-35-turbo", "Standard", "switzerlandwest", true),
            ("gpt-35-turbo", "GlobalStandard", "switzerlandwest", false),
        ] {
            let sku = Sku::named(sku).unwrap();
            assert_eq!(
                catalogue.family(id).unwrap().offers(sku, region),
                expect,
                "{id} {sku} {region}"
            );
        }
        let range = catalogue
            .family("gpt-4o-mini")
            .unwrap()
            .capacities(Sku::ProvisionedManaged);
        for (capacity, expect) in [(24, false), (25, true), (50, true), (60, false), (0, false)] {
            assert_eq!(range.has(capacity), expect, "{capacity}");
        }
    }

    #[test]
    fn dates_can_be_moved() {
        let moved = Retirement {
            model: "gpt-4.1".to_owned(),
            base: None,
            deployment: Some("2026-02-01".to_owned()),
        };
        let catalogue = Catalogue::shipped(&[moved]).unwrap();
        let model = catalogue.family("gpt-4.1").unwrap();
        assert_eq!(model.retires_ms(true), time::parse("2026-02-01"));
        assert_eq!(model.retires_ms(false), time::parse("2026-10-14"));
        assert_eq!(
            catalogue.family("gpt-4.1-mini").unwrap().retires_ms(true),
            time::parse("2027-10-14")
        );
    }
}
