//! Which quota a declared deployment draws on, and what is left of it.
//!
//! Names of quota are not made up: they come from the model listing of the account that is deployed in, or of the one that holds the
//! model. Where neither knows the model (checkpoints, models of another tenant), the quota is not known, and Azure decides.

use std::collections::{BTreeMap, BTreeSet};

use crate::azure::arm::Arm;
use crate::azure::resources::{ListedModel, Usage};
use crate::core::arm_id::AccountId;
use crate::core::fleet::actual::Quota;
use crate::core::fleet::declared::DeclaredDeployment;
use crate::core::fleet::key::QuotaKey;
use crate::fleet::declaration::{Declaration, key_of};

/// A subscription and a region in it, whose quota is read in one call.
pub type Place = (String, String);

/// Puts into the declaration which quota each deployment draws on. Returns the places to read it at, and what could not be found out,
/// in sentences. One call an account.
pub async fn name_lines(arm: &Arm, declaration: &mut Declaration) -> (BTreeSet<Place>, Vec<String>) {
    let mut listed: BTreeMap<AccountId, Vec<ListedModel>> = BTreeMap::new();
    let mut problems = Vec::new();
    for account in accounts_to_ask(declaration) {
        match arm.account_models(&account).await {
            Ok(models) => {
                listed.insert(account, models);
            }
            Err(error) => problems.push(format!(
                "the models of account `{}` could not be listed, so quota is left to Azure: {error}",
                account.name()
            )),
        }
    }
    let mut places = BTreeSet::new();
    let accounts = declaration.accounts.clone();
    for declared in &mut declaration.declared.deployments {
        let Some(account) = accounts.iter().find(|account| key_of(account) == declared.key.account) else {
            continue;
        };
        let asked = [Some(account.clone()), source(declared)];
        let line = asked
            .iter()
            .flatten()
            .find_map(|account| usage_name(listed.get(account)?, declared));
        if let Some(line) = line {
            let place = (account.subscription().to_owned(), declared.region.to_string());
            declared.quota = Some(key(&place, line));
            places.insert(place);
        }
    }
    (places, problems)
}

/// The accounts with models that are declared, and those that hold them.
fn accounts_to_ask(declaration: &Declaration) -> BTreeSet<AccountId> {
    let deployments = &declaration.declared.deployments;
    let sources = deployments.iter().filter_map(source);
    declaration.accounts.iter().cloned().chain(sources).collect()
}

/// The account that holds the model, where it is another one of the same tenant.
fn source(declared: &DeclaredDeployment) -> Option<AccountId> {
    let source = declared.source.as_ref().filter(|source| source.tenant.is_none())?;
    source.account.parse().ok()
}

fn usage_name<'a>(models: &'a [ListedModel], declared: &DeclaredDeployment) -> Option<&'a str> {
    let model = declared.model.as_ref()?;
    let sku = declared.sku.as_str();
    models
        .iter()
        .filter(|listed| listed.name.eq_ignore_ascii_case(&model.name) && listed.version == model.version)
        .flat_map(|listed| &listed.skus)
        .find(|listed| listed.name.eq_ignore_ascii_case(sku))?
        .usage_name
        .as_deref()
}

fn key(place: &Place, usage: &str) -> QuotaKey {
    let (subscription, region) = place;
    QuotaKey(format!("{subscription}/{region}/{usage}").to_lowercase().into())
}

/// What is left, in these places; and what could not be read, in sentences. One call a place.
pub async fn read(arm: &Arm, places: &BTreeSet<Place>) -> (BTreeMap<QuotaKey, Quota>, Vec<String>) {
    let mut quotas = BTreeMap::new();
    let mut problems = Vec::new();
    for place in places {
        let (subscription, region) = place;
        match arm.usages(subscription, region).await {
            Ok(usages) => quotas.extend(usages.iter().map(|usage| (key(place, &usage.name.value), quota(usage)))),
            Err(error) => problems.push(format!(
                "the quota of `{region}` could not be read, so it is left to Azure: {error}"
            )),
        }
    }
    (quotas, problems)
}

fn quota(usage: &Usage) -> Quota {
    // Whole units; what is used of one in part is used.
    Quota {
        used: usage.current_value.max(0.0).ceil() as u64,
        limit: usage.limit.max(0.0) as u64,
    }
}
