//! Deployments as what they cost depends on them.

use crate::config::checked::Runtime;
use crate::core::fleet::catalogue::{self, Catalogue, Family};
use crate::core::ledger::book::Billed;
use crate::core::topology::Deployment;

/// Every deployment of a configuration.
pub fn of_runtime(runtime: &Runtime) -> Vec<Billed> {
    let (catalogue, care) = (catalogue(), &runtime.care.deployments);
    let deployments = runtime.snapshot.deployments.iter().enumerate();
    deployments
        .map(|(at, deployment)| {
            let declared = care.get(at).and_then(|declared| declared.model.as_ref());
            of(deployment, declared.map(|model| &*model.name), catalogue.as_ref())
        })
        .collect()
}

/// The catalogue that comes with the program; that it can be read is tested.
pub(super) fn catalogue() -> Option<Catalogue> {
    Catalogue::parse(catalogue::EMBEDDED).ok()
}

/// One deployment, of this model as far as it is declared. Its base model is what the configuration says, else what the catalogue finds in
/// the model's id. What Azure never deletes for inactivity is of a base model.
pub(super) fn of(deployment: &Deployment, declared: Option<&str>, catalogue: Option<&Catalogue>) -> Billed {
    let family = || match catalogue?.family(declared?) {
        Family::Known(model, _) => Some(model.name.clone()),
        Family::Checkpoint | Family::Unknown => None,
    };
    let is_tuned_id = declared.is_some_and(catalogue::is_fine_tuned);
    Billed {
        id: deployment.id.clone(),
        model: deployment.model.clone().or_else(family),
        sku: deployment.sku,
        capacity: deployment.capacity,
        price: deployment.price,
        is_fine_tuned: is_tuned_id || deployment.inactivity_days.is_some(),
    }
}
