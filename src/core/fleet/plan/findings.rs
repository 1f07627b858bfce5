//! What a look at the fleet finds beside the steps: states, ends, pools whose members differ, accounts that are full or unseen.

use super::Picture;
use crate::core::fleet::actual::{ActualDeployment, Provisioning};
use crate::core::fleet::catalogue;
use crate::core::fleet::declared::{DeclaredDeployment, DeclaredPool};
use crate::core::fleet::finding::{Finding, FindingKind};
use crate::core::fleet::key::DeploymentKey;
use crate::core::fleet::policy::Policy;
use crate::core::fleet::retirement::{End, EndCause, RETIRING_SOON_MS, end_of};
use crate::core::fleet::weights::{self, Likeness};
use crate::core::ids::PoolId;
use crate::core::topology::Sku;

/// What is found of one declared deployment.
pub(super) fn of_declared(picture: &Picture<'_>, declared: &DeclaredDeployment, findings: &mut Vec<Finding>) {
    let mut find = |kind, sentence| findings.push(Finding::of(kind, declared, sentence));
    if !picture.actual.accounts.contains_key(&declared.key.account) {
        return;
    }
    let Some(actual) = picture.actual.find(&declared.key) else {
        return find(
            FindingKind::Missing,
            format!("Azure has no such deployment{}", by_policy(declared.policy)),
        );
    };
    if let Some(model) = &declared.model
        && actual.model != *model
    {
        find(
            FindingKind::ModelDrift,
            format!("it runs {} and should run {model}", actual.model),
        );
    }
    if actual.sku() != Some(declared.sku) {
        let should = declared.sku.as_str();
        find(
            FindingKind::SkuDrift,
            format!("its SKU is {} and should be {should}", actual.sku_name),
        );
    } else if let Some(capacity) = declared.capacity.filter(|capacity| Some(*capacity) != actual.capacity) {
        let has = actual
            .capacity
            .map_or_else(|| "not known".to_owned(), |has| has.to_string());
        find(
            FindingKind::CapacityDrift,
            format!("its capacity is {has} and should be {capacity}"),
        );
    }
    let state = actual.state.as_str();
    match actual.state {
        Provisioning::Failed | Provisioning::Canceled => {
            find(
                FindingKind::Broken,
                format!("its last write ended as `{state}`; it is written again"),
            );
        }
        Provisioning::Disabled => {
            find(
                FindingKind::Disabled,
                "Azure has turned it off; ask Azure's support why".to_owned(),
            );
        }
        passing if passing.is_passing() => find(FindingKind::Passing, format!("it is `{state}`")),
        _ if actual.is_paused => {
            let sentence = "it is paused: requests get 423, and hosting is assumed to be charged; resume or delete it";
            find(FindingKind::Paused, sentence.to_owned());
        }
        _ => {}
    }
    if let Some(sentence) = filter_drift(declared, actual) {
        find(FindingKind::FilterDrift, sentence);
    }
    if let Some(end) = retirement_of(picture, actual) {
        match end.left_ms(picture.now_ms) {
            left if left <= 0 => find(FindingKind::Retired, end.sentence(picture.now_ms)),
            left if left <= RETIRING_SOON_MS => find(FindingKind::RetiringSoon, end.sentence(picture.now_ms)),
            _ => {}
        }
    }
}

/// What becomes of a missing one by its policy.
fn by_policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Keep => "",
        Policy::Recreate { at_once: true } => "; by its policy the running gateway makes it again",
        Policy::Recreate { at_once: false } => "; by its policy the first request that needs it has it made",
        Policy::Expire | Policy::DeleteAfter { .. } => {
            "; by its policy it was let go, so take it out of the configuration to leave it so"
        }
    }
}

/// That its content filter is another one than declared.
fn filter_drift(declared: &DeclaredDeployment, actual: &ActualDeployment) -> Option<String> {
    let wanted = declared.settings.rai_policy_name.as_ref()?;
    let is = actual.settings.rai_policy_name.as_deref();
    if is.is_some_and(|is| is.eq_ignore_ascii_case(wanted)) {
        return None;
    }
    let is = is.unwrap_or("Azure's default");
    Some(format!(
        "its content filter is `{is}`, not `{wanted}`; `emberway deployment create` with `--rai-policy-name {wanted}` sets it"
    ))
}

/// When a deployment's model retires.
fn retirement_of(picture: &Picture<'_>, actual: &ActualDeployment) -> Option<End> {
    let listed = || picture.catalogue.retires_at_ms(&actual.model.name);
    end_of(None, None, actual.retires_at_ms.or_else(listed))
}

/// What is found of accounts.
pub(super) fn of_accounts(picture: &Picture<'_>, findings: &mut Vec<Finding>) {
    let limits = &picture.catalogue.limits;
    for account in &picture.declared.accounts {
        let name = account.name();
        let Some(view) = picture.actual.accounts.get(account) else {
            let sentence = "its deployments could not be listed, so nothing is done in it".to_owned();
            findings.push(Finding::about(FindingKind::Unseen, name, sentence));
            continue;
        };
        let has = view
            .deployments
            .values()
            .filter(|deployment| catalogue::is_fine_tuned(&deployment.model.name))
            .count();
        let most = limits.fine_tuned_deployments as usize;
        if has >= most {
            let sentence = format!(
                "it has {has} fine-tuned deployments, of {most} that it may have ({})",
                limits.source
            );
            findings.push(Finding::about(FindingKind::TooMany, name, sentence));
        }
    }
}

/// What is found of pools.
pub(super) fn of_pools(picture: &Picture<'_>, findings: &mut Vec<Finding>) {
    for pool in &picture.declared.pools {
        let members: Vec<weights::MemberWeights<'_>> = pool
            .members
            .iter()
            .map(|member| {
                let actual = member.key.as_ref().and_then(|key| picture.actual.find(key));
                (&member.id, actual.map(|actual| &actual.model))
            })
            .collect();
        let verdict = weights::compare(&members, &pool.equivalents);
        let kind = match verdict.likeness {
            Likeness::Same | Likeness::Equivalent => None,
            Likeness::Unknown => Some(FindingKind::WeightsUnknown),
            Likeness::Unlike => Some(FindingKind::UnlikeWeights),
        };
        findings.extend(kind.map(|kind| Finding::about(kind, &pool.id, verdict.sentence)));
        if is_developer_only(picture, pool) {
            let end = EndCause::DeveloperTier.as_str();
            let sentence = format!("all of its members end after 24 hours (`{end}`); add one of another SKU");
            findings.push(Finding::about(FindingKind::DeveloperAlone, &pool.id, sentence));
        }
    }
}

/// Whether nobody would be left of a pool after a day.
fn is_developer_only(picture: &Picture<'_>, pool: &DeclaredPool) -> bool {
    let is_developer = |key: &DeploymentKey| {
        let declared = picture.declared.find(key);
        declared.is_some_and(|declared| declared.sku == Sku::DeveloperTier)
    };
    let mut members = pool.members.iter();
    !pool.members.is_empty() && members.all(|member| member.key.as_ref().is_some_and(is_developer))
}

/// A pool in which nobody but this deployment serves now; none if there is no such pool. Members that are not managed are believed
/// to serve.
pub(super) fn pool_without_other<'a>(picture: &Picture<'a>, key: &DeploymentKey) -> Option<&'a PoolId> {
    let serves = |other: &DeploymentKey| {
        let is_out = picture
            .routing
            .get(other)
            .is_some_and(|routed| routed.is_drained || routed.is_absent);
        !is_out && picture.actual.find(other).is_some_and(ActualDeployment::is_serving)
    };
    let is_alone = |pool: &&DeclaredPool| {
        let is_member = pool.members.iter().any(|member| member.key.as_ref() == Some(key));
        let others = pool.members.iter().filter(|member| member.key.as_ref() != Some(key));
        is_member && !others.into_iter().any(|member| member.key.as_ref().is_none_or(serves))
    };
    picture.declared.pools.iter().find(is_alone).map(|pool| &pool.id)
}
