//! What does Azure Resource Manager say of the fleet: does it take the token, are accounts and deployments as declared, is quota left?
//!
//! Reads only: one call for the token, two an account and one a region.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::azure::arm::Arm;
use crate::azure::error::AzureError;
use crate::azure::resources::{Deployment as Listed, Usage};
use crate::cli::doctor::report::{Finding, Group};
use crate::cli::doctor::{Patient, verdicts};
use crate::core::arm_id::AccountId;
use crate::core::topology::ResourceIx;
use crate::fleet::connect;

/// Asks what `azure` and each resource's `account` allow to be asked.
pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let Some(azure) = &patient.checked.install.azure else {
        let what = "not configured, so deployments, limits and quota are not compared with Azure's";
        return vec![Finding::skipped(Group::ControlPlane, "azure", what)];
    };
    if let Some(skipped) = patient.unset.skipped(&["azure"], Group::ControlPlane, "azure") {
        return vec![skipped];
    }
    let arm = match connect::arm(azure, None) {
        Ok(arm) => arm,
        Err(error) => {
            let mend = "mend the file or the way of logging in that `azure` names";
            return vec![Finding::fail(Group::ControlPlane, "azure", error.to_string(), mend)];
        }
    };
    let asked = tokio::time::timeout(patient.timeout, arm.tokens().own.token(&azure.audience)).await;
    match asked {
        Ok(Ok(_token)) => {}
        Ok(Err(error)) => {
            return vec![Finding::fail(
                Group::ControlPlane,
                "azure",
                format!("no token: {error}"),
                error.advice(),
            )];
        }
        Err(_elapsed) => {
            let mend = "look at the way to Microsoft Entra ID, or to the metadata service of this machine";
            return vec![Finding::fail(Group::ControlPlane, "azure", "no token in time", mend)];
        }
    }
    let mut findings = vec![Finding::ok(
        Group::ControlPlane,
        "azure",
        "there is a token for Azure Resource Manager",
    )];
    let snapshot = &patient.checked.runtime.snapshot;
    let mut regions = BTreeSet::new();
    for (at, account) in patient.checked.runtime.care.accounts.iter().enumerate() {
        let resource = &snapshot.resources[at];
        if let Some(account) = account {
            findings.extend(of_account(patient, &arm, ResourceIx(at), account).await);
            regions.insert((account.subscription().to_owned(), resource.region.to_string()));
        } else {
            let what = "has no `account`, so it is not compared with Azure's";
            findings.push(Finding::skipped(Group::ControlPlane, &**resource.id, what));
        }
    }
    for (subscription, region) in regions {
        let usages: Result<Vec<Usage>, Finding> =
            bounded(patient.timeout, &region, arm.usages(&subscription, &region)).await;
        findings.push(match usages {
            Ok(usages) => verdicts::of_quota(&region, &usages),
            Err(finding) => finding,
        });
    }
    findings
}

async fn of_account(patient: &Patient, arm: &Arm, at: ResourceIx, id: &AccountId) -> Vec<Finding> {
    let snapshot = &patient.checked.runtime.snapshot;
    let resource = &snapshot.resources[at.0];
    let account = bounded(patient.timeout, &resource.id, arm.account(id)).await;
    let mut findings = match account {
        Ok(account) => {
            let mut findings = vec![verdicts::of_account(resource, &account)];
            findings.extend(verdicts::of_endpoint(resource, &account));
            findings
        }
        Err(finding) => return vec![finding],
    };
    let listed: Vec<Listed> = match bounded(patient.timeout, &resource.id, arm.deployments(id)).await {
        Ok(listed) => listed,
        Err(finding) => {
            findings.push(finding);
            return findings;
        }
    };
    let declared = &patient.checked.runtime.care.deployments;
    let own = snapshot
        .deployments
        .iter()
        .zip(declared)
        .filter(|(deployment, _)| deployment.resource == at);
    findings.extend(own.map(|(deployment, declared)| verdicts::of_deployment(deployment, declared, &listed)));
    findings
}

/// Waits for an answer within the bound; what went wrong is a finding.
async fn bounded<T>(
    patience: Duration,
    name: &str,
    asking: impl Future<Output = Result<T, AzureError>>,
) -> Result<T, Finding> {
    match tokio::time::timeout(patience, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let mend = "mend what it says: the credential of `azure`, or its rights on the account";
            Err(Finding::fail(Group::ControlPlane, name, format!("{error}"), mend))
        }
        Err(_elapsed) => {
            let mend = "look at the way to Azure Resource Manager, and at Azure's status page";
            Err(Finding::fail(
                Group::ControlPlane,
                name,
                "Azure Resource Manager does not answer in time",
                mend,
            ))
        }
    }
}
