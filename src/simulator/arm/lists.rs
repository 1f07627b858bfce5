//! What can be read besides deployments: accounts, keys, models, SKUs, quota, free capacity.

use serde_json::{Value, json};

use crate::simulator::arm::catalogue::Model;
use crate::simulator::arm::plane::{Managed, Plane};
use crate::simulator::arm::quota::{usage_name, usage_of};
use crate::simulator::arm::time;
use crate::simulator::scenario::{FineTunedSpec, Sku};
use crate::simulator::world::Account;

/// Kinds of deployment that models are listed with.
const KINDS: &[Sku] = &[
    Sku::Standard,
    Sku::GlobalStandard,
    Sku::DeveloperTier,
    Sku::ProvisionedManaged,
];

/// An account.
pub fn account(managed: &Managed, now_ms: u64) -> Value {
    let Account { spec, .. } = &*managed.account;
    let url = managed.account.url();
    json!({
        "id": managed.id(), "name": spec.name, "type": "Microsoft.CognitiveServices/accounts",
        "location": spec.region, "kind": "OpenAI", "sku": { "name": "S0" }, "tags": {}, "etag": "\"1\"",
        "systemData": { "createdAt": time::shown(now_ms - now_ms % time::DAY_MS), "createdBy": "scenario", "createdByType": "Application" },
        "properties": {
            "endpoint": format!("{url}/"), "endpoints": { "OpenAI Language Model Instance API": format!("{url}/") },
            "provisioningState": spec.provisioning_state.as_deref().unwrap_or("Succeeded"),
            "customSubDomainName": spec.name, "disableLocalAuth": !spec.key_auth, "publicNetworkAccess": "Enabled",
            "capabilities": [{ "name": "TokenAuthentication" }], "isMigrated": true,
        },
    })
}

/// An account's keys; the second is the first where there is only one.
pub fn keys(managed: &Managed) -> Value {
    let keys = &managed.account.spec.api_keys;
    let first = keys.first().cloned().unwrap_or_default();
    json!({ "key1": first, "key2": keys.get(1).unwrap_or(&first) })
}

impl Plane {
    /// The models that can be deployed in an account: base models, and those that were trained in it.
    pub(super) fn account_models(&self, account: usize, now_ms: u64) -> Vec<Value> {
        let managed = &self.accounts[account];
        let mut listed = self.base_models(managed.location(), now_ms);
        for trained in &managed.account.spec.fine_tuned_models {
            if let Some(family) = self.catalogue.family(&trained.base_model()) {
                listed.push(fine_tuned(managed, trained, family, now_ms));
            }
        }
        listed
    }

    /// The models of a region, as the location lists them.
    pub(super) fn location_models(&self, location: &str, now_ms: u64) -> Vec<Value> {
        let wrapped = |model: Value| json!({ "model": model, "kind": "OpenAI", "skuName": "S0" });
        self.base_models(location, now_ms).into_iter().map(wrapped).collect()
    }

    fn base_models(&self, location: &str, now_ms: u64) -> Vec<Value> {
        let each = |family: &Model| {
            let versions: Vec<String> = family.versions.clone();
            let family = family.clone();
            let location = location.to_owned();
            versions.into_iter().map(move |version| {
                let mut item = item(&family, &family.name, &version, false, &location, now_ms);
                item["finetuneCapabilities"] = json!({ "supportedFinetunes": "true" });
                item
            })
        };
        self.catalogue.models().iter().flat_map(each).collect()
    }

    /// The SKUs that a deployment can have.
    pub(super) fn skus(&self, account: usize, key: &str) -> Option<Vec<Value>> {
        let managed = &self.accounts[account];
        let state = self.state.lock();
        let is = state.entries[account].get(&key.to_ascii_lowercase())?.desired.clone();
        drop(state);
        let family = self.catalogue.family(&is.base)?;
        let offered = KINDS
            .iter()
            .filter(|&&sku| !is.fine_tuned || family.offers(sku, managed.location()));
        let shown = |&sku: &Sku| {
            let range = family.capacities(sku);
            json!({
                "resourceType": "Microsoft.CognitiveServices/accounts/deployments", "sku": { "name": sku.to_string() },
                "capacity": { "minimum": range.minimum, "maximum": range.maximum, "step": range.step, "default": range.minimum },
            })
        };
        Some(offered.map(shown).collect())
    }

    /// The quota lines of a region: all that a fine-tuned model can draw on, all that deployments there do, and all that the
    /// scenario names.
    pub(super) fn usages(&self, subscription: &str, location: &str) -> Vec<Value> {
        let state = self.state.lock();
        let mut names = Vec::new();
        for family in self.catalogue.models() {
            let offered = KINDS.iter().filter(|&&sku| family.offers(sku, location));
            names.extend(offered.map(|&sku| usage_name(&family.name, true, sku)));
        }
        for (managed, entries) in self.accounts.iter().zip(&state.entries) {
            if managed.location().eq_ignore_ascii_case(location) {
                names.extend(entries.values().map(|entry| usage_of(&self.catalogue, &entry.desired)));
            }
        }
        let lines = self
            .settings
            .quota
            .iter()
            .filter(|line| line.location.eq_ignore_ascii_case(location));
        names.extend(lines.map(|line| line.usage.clone()));
        names.sort_unstable();
        names.dedup();
        let shown = |name: String| {
            let used = self.used(&state, subscription, location, &name);
            let limit = self.limit(subscription, location, &name);
            json!({ "name": { "value": name, "localizedValue": name }, "unit": "Count", "currentValue": used, "limit": limit, "quotaPeriod": "0.00:00:00", "nextResetTime": null, "status": "Included" })
        };
        names.into_iter().map(shown).collect()
    }

    /// What is free for a model, by region and kind.
    pub(super) fn capacities(&self, subscription: &str, location: Option<&str>, model: (&str, &str)) -> Vec<Value> {
        let (name, version) = model;
        let Some(family) = self.catalogue.family(name) else {
            return Vec::new();
        };
        let state = self.state.lock();
        let mut regions: Vec<String> = self
            .accounts
            .iter()
            .map(|managed| managed.location().to_ascii_lowercase())
            .collect();
        regions.sort_unstable();
        regions.dedup();
        regions.retain(|region| location.is_none_or(|location| location == region));
        let mut listed = Vec::new();
        for region in regions {
            for &sku in KINDS.iter().filter(|&&sku| family.offers(sku, &region)) {
                let free = |fine_tuned| {
                    let usage = usage_name(&family.name, fine_tuned, sku);
                    let limit = self.limit(subscription, &region, &usage);
                    limit.saturating_sub(self.used(&state, subscription, &region, &usage))
                };
                let (base, fine_tuned) = (free(false), free(true));
                listed.push(json!({
                    "id": format!("/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{region}/models/OpenAI.{name}.{version}/skus/{sku}"),
                    "type": "Microsoft.CognitiveServices/locations/models/skus", "name": sku.to_string(), "location": region,
                    "properties": {
                        "model": { "format": "OpenAI", "name": name, "version": version }, "skuName": sku.to_string(),
                        "availableCapacity": base, "availableFinetuneCapacity": fine_tuned,
                    },
                }));
            }
        }
        listed
    }
}

fn fine_tuned(managed: &Managed, trained: &FineTunedSpec, family: &Model, now_ms: u64) -> Value {
    let mut shown = item(family, &trained.model, "1", true, managed.location(), now_ms);
    let version = family.versions.first().cloned().unwrap_or_default();
    shown["baseModel"] = json!({ "format": "OpenAI", "name": family.name, "version": version });
    shown["source"] = json!(managed.id());
    shown
}

/// One model of a list.
fn item(family: &Model, name: &str, version: &str, fine_tuned: bool, location: &str, now_ms: u64) -> Value {
    let skus = KINDS.iter().filter(|&&sku| family.offers(sku, location)).map(|&sku| {
        let range = family.capacities(sku);
        json!({
            "name": sku.to_string(), "usageName": usage_name(&family.name, fine_tuned, sku),
            "capacity": { "minimum": range.minimum, "maximum": range.maximum, "step": range.step, "default": range.minimum },
            "rateLimits": [],
        })
    });
    let retires = family.retires_ms(fine_tuned);
    let status = match retires {
        // ARM's word for what has retired; documentation means something else by it.
        Some(at) if at <= now_ms => "Deprecated",
        _ => "GenerallyAvailable",
    };
    let mut deprecation = json!({ "deprecationStatus": "Planned" });
    if let Some(at) = retires {
        deprecation["inference"] = json!(time::shown(at));
    }
    if let Some(at) = family.retires.training.as_deref().and_then(time::parse) {
        deprecation["fineTune"] = json!(time::shown(at));
    }
    json!({
        "format": "OpenAI", "name": name, "version": version, "isDefaultVersion": true, "maxCapacity": 100_000,
        "capabilities": { "chatCompletion": "true", "responses": "true" },
        "lifecycleStatus": status, "deprecation": deprecation, "skus": skus.collect::<Vec<_>>(),
    })
}
