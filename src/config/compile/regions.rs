//! Names of regions that are probably misspelt.
//!
//! The regions that are known are those of `config/models.yaml`, in which fine-tuned models are offered. Azure has more, and its list
//! grows, so only what is nearly a known one is remarked upon.

use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::suggest;
use crate::core::fleet::catalogue::{Catalogue, EMBEDDED};

/// The regions that are known.
pub(super) struct Regions(Vec<String>);

impl Regions {
    /// Those of the catalogue that the program carries.
    pub(super) fn known() -> Self {
        // It is held to be readable by a test; a configuration is not at fault where it were not.
        Self(Catalogue::parse(EMBEDDED).map_or_else(|_| Vec::new(), |catalogue| catalogue.regions))
    }

    /// Remarks upon a region that is nearly a known one. What a reference stands for is not looked at: it must not be shown.
    pub(super) fn warn_if_misspelt(&self, context: &mut Context<'_>, at: &Pointer, written: &str, region: &str) {
        let known: Vec<&str> = self.0.iter().map(String::as_str).collect();
        if written != region || known.contains(&region) {
            return;
        }
        if let Some(nearest) = suggest::nearest(region, &known) {
            context.warn(
                at,
                format!("`{region}` is none of the regions in which fine-tuned models are known to be offered"),
                suggest::did_you_mean(nearest),
            );
        }
    }
}
