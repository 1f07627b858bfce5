//! What each deployment of a configuration costs: its own price, and where that is silent the price list's.
//!
//! Prices are those of now, also for what is past: a price that is set right sets the whole bill right.

use std::collections::BTreeMap;

use crate::core::ids::DeploymentId;
use crate::core::ledger::prices::{PriceList, Priceable};
use crate::core::topology::{Price, Sku};

/// A deployment, as far as its price depends on the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Billed {
    /// Which.
    pub id: DeploymentId,
    /// Its base model, if that is known.
    pub model: Option<String>,
    /// Its SKU.
    pub sku: Sku,
    /// Its units, if the configuration says so.
    pub capacity: Option<u32>,
    /// Its price, as far as the configuration says so.
    pub price: Option<Price>,
    /// Whether it is of a fine-tuned model, which costs hosting.
    pub is_fine_tuned: bool,
}

/// Prices by deployment.
#[derive(Debug, Clone)]
pub struct PriceBook {
    list: PriceList,
    billed: BTreeMap<DeploymentId, Billed>,
}

impl PriceBook {
    /// Of these deployments, by this list.
    pub fn new(list: PriceList, billed: Vec<Billed>) -> Self {
        let billed = billed.into_iter().map(|billed| (billed.id.clone(), billed));
        Self {
            list,
            billed: billed.collect(),
        }
    }

    /// Whether the configuration has it.
    pub fn is_configured(&self, deployment: &DeploymentId) -> bool {
        self.billed.contains_key(deployment)
    }

    /// The configured ones, by name.
    pub fn configured(&self) -> impl Iterator<Item = &Billed> {
        self.billed.values()
    }

    /// What a deployment costs as it is configured. Of one that is not, nothing is known.
    pub fn price(&self, deployment: &DeploymentId) -> Price {
        let billed = self.billed.get(deployment);
        billed.map_or_else(Price::default, |billed| self.of(billed, billed.sku, billed.capacity))
    }

    /// What an hour of a deployment costs that has, or had, this SKU and so many units.
    pub fn hour_usd(&self, deployment: &DeploymentId, sku: Sku, capacity: Option<u32>) -> Option<f64> {
        let unknown = Billed {
            id: deployment.clone(),
            model: None,
            sku,
            capacity,
            price: None,
            is_fine_tuned: true,
        };
        self.of(self.billed.get(deployment).unwrap_or(&unknown), sku, capacity)
            .hour
    }

    fn of(&self, billed: &Billed, sku: Sku, capacity: Option<u32>) -> Price {
        let priceable = Priceable {
            model: billed.model.as_deref(),
            sku,
            capacity,
            configured: billed.price,
        };
        let mut price = self.list.price_of(&priceable).price;
        let configured_hour = billed.price.and_then(|price| price.hour);
        if !billed.is_fine_tuned && !sku.is_provisioned() {
            // Only fine-tuned models pay for being there.
            price.hour = configured_hour.or(Some(0.0));
        }
        price
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::prices::EMBEDDED;

    #[test]
    fn the_configuration_comes_first_and_base_models_pay_no_hosting() {
        let billed = |id: &str, price: Option<Price>, is_fine_tuned: bool| Billed {
            id: DeploymentId::from(id),
            model: Some("o4-mini".to_owned()),
            sku: Sku::Standard,
            capacity: Some(50),
            price,
            is_fine_tuned,
        };
        let own = Price {
            hour: Some(2.0),
            ..Price::default()
        };
        let book = PriceBook::new(
            PriceList::parse(EMBEDDED).expect("the list"),
            vec![
                billed("x/listed", None, true),
                billed("x/own", Some(own), true),
                billed("x/base", None, false),
                billed("x/dear-base", Some(own), false),
            ],
        );
        let hour = |id: &str| book.hour_usd(&DeploymentId::from(id), Sku::Standard, Some(50));
        assert_eq!(
            ["x/listed", "x/own", "x/base", "x/dear-base", "x/gone"].map(hour),
            [Some(1.70), Some(2.0), Some(0.0), Some(2.0), Some(1.70)]
        );
        assert_eq!(
            hour("x/listed"),
            book.price(&DeploymentId::from("x/listed")).hour,
            "as configured"
        );
        assert_eq!(book.price(&DeploymentId::from("x/own")).input, Some(1.10));
        assert_eq!(book.price(&DeploymentId::from("x/gone")), Price::default());
        // A SKU of the past has its own price.
        let units = book.hour_usd(&DeploymentId::from("x/listed"), Sku::ProvisionedManaged, Some(50));
        assert_eq!(units, None);
    }
}
