//! Looks at Azure: what deployments each managed account has, kept where a look fails.
//!
//! Reads only. A look costs one call an account (more where its list has pages), a few at a time; ARM allows a subscription some
//! thousand an hour. When ARM is down, what was seen last stays, with the time at which it was seen.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use crate::azure::arm::Arm;
use crate::azure::error::AzureError;
use crate::azure::resources::Deployment;
use crate::core::arm_id::AccountId;
use crate::core::fleet::actual::{AccountView, Actual, ActualDeployment, DeploymentSettings, Provisioning};
use crate::core::fleet::catalogue::Catalogue;
use crate::core::fleet::key::{AccountKey, DeploymentKey, ModelRef};
use crate::fleet::declaration::key_of;

/// Accounts that are read at one time.
const AT_ONCE: usize = 4;

/// Reads accounts, all of them, and puts what was read into the picture. Returns those that could not be read.
pub async fn look(
    arm: &Arm,
    accounts: &[AccountId],
    catalogue: &Catalogue,
    actual: &mut Actual,
    now_ms: i64,
) -> Vec<(AccountId, AzureError)> {
    let mut read = stream::iter(accounts.to_vec())
        .map(|account: AccountId| async move {
            let listed = arm.deployments(&account).await;
            (account, listed)
        })
        .buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    while let Some((account, listed)) = read.next().await {
        match listed {
            Ok(listed) => {
                let key = key_of(&account);
                let view = view(&key, &listed, catalogue, now_ms);
                actual.accounts.insert(key, view);
            }
            Err(error) => failed.push((account, error)),
        }
    }
    failed
}

/// An account's deployments as plain values.
pub fn view(account: &AccountKey, listed: &[Deployment], catalogue: &Catalogue, now_ms: i64) -> AccountView {
    let deployments = listed.iter().map(|deployment| {
        let key = DeploymentKey::new(account.clone(), &deployment.name);
        (key, actual(deployment, catalogue))
    });
    AccountView {
        seen_at_ms: now_ms,
        deployments: deployments.collect(),
    }
}

fn actual(deployment: &Deployment, catalogue: &Catalogue) -> ActualDeployment {
    let properties = &deployment.properties;
    let model = properties.model.as_ref();
    let created_at = deployment
        .system_data
        .as_ref()
        .and_then(|data| data.created_at.as_deref());
    let name = model.map_or("", |model| model.name.as_str());
    let text = |name: &str| properties.rest.get(name).and_then(Value::as_str).map(str::to_owned);
    ActualDeployment {
        model: ModelRef {
            name: name.to_owned(),
            version: model.map_or_else(String::new, |model| model.version.clone()),
        },
        sku_name: deployment.sku.as_ref().map_or_else(String::new, |sku| sku.name.clone()),
        capacity: deployment.sku.as_ref().and_then(|sku| sku.capacity),
        state: Provisioning::of(properties.provisioning_state.as_deref().unwrap_or_default()),
        is_paused: properties
            .deployment_state
            .as_deref()
            .is_some_and(|state| state.eq_ignore_ascii_case("paused")),
        created_at_ms: created_at
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_millisecond),
        retires_at_ms: catalogue.retires_at_ms(name),
        settings: DeploymentSettings {
            rai_policy_name: text("raiPolicyName"),
            spillover_deployment_name: text("spilloverDeploymentName"),
            version_upgrade_option: text("versionUpgradeOption"),
        },
    }
}
