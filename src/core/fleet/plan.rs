//! The difference between what should be and what is, as steps in a safe order and as findings.
//!
//! The order: what is missing is made first, what is too small is raised, then models are replaced (each taken out of routing
//! before), then what is too large is lowered, and last of all what nobody declares is deleted, if that is allowed. So
//! nothing that serves goes before what replaces it is there. Quota is added up before anything: a step that finds
//! too little of it is not taken, and nothing is deleted then either.
//!
//! The plan is made anew from what Azure shows whenever it is looked at, and is the same for the same picture. What is remembered across a
//! crash is in [`apply`](super::apply).

use std::collections::BTreeMap;

use crate::core::fleet::actual::{Actual, ActualDeployment, Provisioning, Quota};
use crate::core::fleet::catalogue::{Answer, Catalogue, Wish};
use crate::core::fleet::declared::{Declared, DeclaredDeployment};
use crate::core::fleet::finding::{Finding, FindingKind};
use crate::core::fleet::key::{DeploymentKey, QuotaKey};
use crate::core::fleet::step::{Step, StepKind};

mod findings;

/// What a plan is made of.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// What should be.
    pub declared: &'a Declared,
    /// What Azure shows.
    pub actual: &'a Actual,
    /// What can be deployed where.
    pub catalogue: &'a Catalogue,
    /// What may be done.
    pub allowed: Allowed,
    /// What may be deleted, where that is not everything that nobody declares.
    pub deletable: Option<&'a Deletable>,
    /// What requests are sent to.
    pub routing: &'a Routing,
    /// In milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// What may be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Deleting what nobody declares.
    pub deleting: bool,
    /// Taking out a pool's only member to replace its model, so that its requests fail meanwhile.
    pub outage: bool,
    /// Refusing what the catalogue does not know to be offered, instead of letting Azure decide.
    pub strict: bool,
}

/// Deployments that somebody has agreed to delete, by when each was created: one that was made since is another one.
pub type Deletable = BTreeMap<DeploymentKey, Option<i64>>;

/// What requests are sent to, by the gateway whose fleet it is. What is not in it gets none.
pub type Routing = BTreeMap<DeploymentKey, Routed>;

/// A deployment that requests may be sent to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Routed {
    /// Whether it gets no new ones.
    pub is_drained: bool,
    /// Whether the gateway leaves it out by itself, since Azure does not show it in order.
    pub is_absent: bool,
    /// Those that run there.
    pub in_flight: u32,
}

/// The difference.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What the steps need of each quota line, and what is left of it.
    pub quota: Vec<QuotaNeed>,
}

/// What a plan needs of a quota line, in its units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaNeed {
    /// Which line.
    pub key: QuotaKey,
    /// What all steps need together.
    pub needed: u64,
    /// What is left; none where it could not be read, so that Azure must decide.
    pub free: Option<u64>,
}

impl Plan {
    /// Whether something was found that keeps a step from being taken.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind.blocks())
    }
}

/// Makes the plan. Linear in the fleet, for each of its pools.
pub fn plan(picture: &Picture<'_>) -> Plan {
    let mut plan = Plan::default();
    let mut wanted = Vec::new();
    for declared in &picture.declared.deployments {
        findings::of_declared(picture, declared, &mut plan.findings);
        wanted.extend(step_for(picture, declared, &mut plan.findings));
    }
    let mut deletions = Vec::new();
    unknown_ones(picture, &mut plan.findings, &mut deletions);
    findings::of_accounts(picture, &mut plan.findings);
    findings::of_pools(picture, &mut plan.findings);
    wanted = within_quota(picture, wanted, &mut plan);
    // A stable sort: within a kind, steps are in the order of the configuration.
    wanted.sort_by_key(|step| step.kind);
    for step in wanted.into_iter().chain(deletions) {
        let is_interrupting = matches!(step.kind, StepKind::Replace | StepKind::Delete);
        let is_routed = picture.routing.contains_key(&step.key);
        let rejoins = step.kind == StepKind::Replace && is_routed;
        if is_interrupting && is_routed {
            plan.steps
                .push(step.beside(StepKind::Drain, "takes it out of routing first"));
        }
        let rejoin = rejoins.then(|| step.beside(StepKind::Rejoin, "puts it back into routing"));
        plan.steps.push(step);
        plan.steps.extend(rejoin);
    }
    plan
}

/// What is to be done about one declared deployment, if anything is and can be.
fn step_for(picture: &Picture<'_>, declared: &DeclaredDeployment, findings: &mut Vec<Finding>) -> Option<Step> {
    // An account that could not be read says nothing of what is missing in it.
    let account = picture.actual.accounts.get(&declared.key.account)?;
    let Some(actual) = account.deployments.get(&declared.key) else {
        return creation(picture, declared, FindingKind::Missing, findings);
    };
    match actual.state {
        state if state.is_passing() => return None,
        Provisioning::Failed | Provisioning::Canceled => {
            return creation(picture, declared, FindingKind::Broken, findings);
        }
        Provisioning::Disabled => return None,
        _ => {}
    }
    if let Some(model) = &declared.model
        && actual.model != *model
    {
        return replacement(picture, declared, actual, findings);
    }
    resizing(picture, declared, actual, findings)
}

fn creation(
    picture: &Picture<'_>,
    declared: &DeclaredDeployment,
    why: FindingKind,
    findings: &mut Vec<Finding>,
) -> Option<Step> {
    let lacks = match (&declared.model, declared.capacity) {
        (None, _) => Some("`fine_tuned_model`"),
        (_, None) => Some("`capacity`"),
        _ => None,
    };
    if let Some(lacks) = lacks {
        let sentence = format!("it cannot be made: the configuration does not give its {lacks}");
        findings.push(Finding::of(FindingKind::Incomplete, declared, sentence));
        return None;
    }
    is_offered(picture, declared, findings).then(|| {
        let model = declared.model.as_ref().map_or_else(String::new, ToString::to_string);
        let capacity = declared.capacity.unwrap_or_default();
        let text = format!("make it: {model}, {} with capacity {capacity}", declared.sku.as_str());
        Step::new(StepKind::Create, declared, why, text)
    })
}

/// The model in place of another: the same name, by a whole new resource.
fn replacement(
    picture: &Picture<'_>,
    declared: &DeclaredDeployment,
    actual: &ActualDeployment,
    findings: &mut Vec<Finding>,
) -> Option<Step> {
    let wanted = declared.model.as_ref()?;
    if declared.capacity.is_none() {
        let sentence = "its model cannot be replaced: the configuration does not give its `capacity`".to_owned();
        findings.push(Finding::of(FindingKind::Incomplete, declared, sentence));
        return None;
    }
    if !is_offered(picture, declared, findings) {
        return None;
    }
    if !picture.allowed.outage
        && let Some(pool) = findings::pool_without_other(picture, &declared.key)
    {
        let sentence = format!(
            "its model is not replaced: nobody else of pool `{pool}` serves now; deploy the new model under another name first, or allow the outage"
        );
        findings.push(Finding::of(FindingKind::OnlyMember, declared, sentence));
        return None;
    }
    let text = format!("replace {} by {wanted}", actual.model);
    Some(Step::new(StepKind::Replace, declared, FindingKind::ModelDrift, text).of_incarnation(actual))
}

fn resizing(
    picture: &Picture<'_>,
    declared: &DeclaredDeployment,
    actual: &ActualDeployment,
    findings: &mut Vec<Finding>,
) -> Option<Step> {
    let has_sku = actual.sku() == Some(declared.sku);
    let wanted = declared.capacity.or(actual.capacity);
    if has_sku && wanted == actual.capacity {
        return None;
    }
    if !is_offered(picture, declared, findings) {
        return None;
    }
    let was = actual.capacity.unwrap_or_default();
    let will = wanted.unwrap_or_default();
    let (kind, why, text) = if has_sku {
        let kind = if will >= was { StepKind::Raise } else { StepKind::Lower };
        (
            kind,
            FindingKind::CapacityDrift,
            format!("change its capacity from {was} to {will}"),
        )
    } else {
        let (from, to) = (&actual.sku_name, declared.sku.as_str());
        let text = format!("change its SKU from {from} with capacity {was} to {to} with capacity {will}");
        (StepKind::Raise, FindingKind::SkuDrift, text)
    };
    Some(Step::new(kind, declared, why, text).of_incarnation(actual))
}

/// Whether a step may go on as far as the catalogue goes; what it says against it is found.
fn is_offered(picture: &Picture<'_>, declared: &DeclaredDeployment, findings: &mut Vec<Finding>) -> bool {
    let Some(model) = &declared.model else { return true };
    let offered = picture.catalogue.is_offered(Wish {
        model: &model.name,
        region: &declared.region,
        sku: declared.sku,
        capacity: declared.capacity,
    });
    let kind = match (offered.answer, picture.allowed.strict) {
        (Answer::Yes, _) => return true,
        (Answer::No, true) => FindingKind::NotOffered,
        (Answer::Unknown, true) => FindingKind::NotVouchedFor,
        (Answer::No | Answer::Unknown, false) => FindingKind::OfferDoubtful,
    };
    findings.push(Finding::of(kind, declared, offered.sentence));
    !kind.blocks()
}

/// What Azure has and nobody declares.
fn unknown_ones(picture: &Picture<'_>, findings: &mut Vec<Finding>, deletions: &mut Vec<Step>) {
    for account in &picture.declared.accounts {
        let Some(view) = picture.actual.accounts.get(account) else {
            continue;
        };
        for (key, actual) in &view.deployments {
            if picture.declared.find(key).is_some() {
                continue;
            }
            let what = format!(
                "{}, {} with capacity {}",
                actual.model,
                actual.sku_name,
                actual.capacity.unwrap_or_default()
            );
            let is_agreed = picture
                .deletable
                .is_none_or(|deletable| deletable.get(key) == Some(&actual.created_at_ms));
            let is_deletable = picture.allowed.deleting && is_agreed;
            let remedy = if is_deletable {
                "it will be deleted"
            } else {
                "declare it, or allow deleting"
            };
            findings.push(Finding::new(
                FindingKind::Unknown,
                key,
                format!("nobody declares it ({what}): {remedy}"),
            ));
            if is_deletable && !actual.state.is_passing() {
                deletions.push(Step::deletion(key, actual, format!("delete it: {what}")));
            }
        }
    }
}

/// The steps for which there is quota, all of a line's or none.
fn within_quota(picture: &Picture<'_>, steps: Vec<Step>, plan: &mut Plan) -> Vec<Step> {
    let mut needs: BTreeMap<&QuotaKey, u64> = BTreeMap::new();
    let of_step = |step: &Step| {
        let declared = picture.declared.find(&step.key)?;
        Some((declared, declared.quota.as_ref()?, additional(picture, declared)))
    };
    for (_, line, needed) in steps.iter().filter_map(of_step) {
        *needs.entry(line).or_default() += needed;
    }
    needs.retain(|_, needed| *needed > 0);
    let free = |line: &QuotaKey| picture.actual.quotas.get(line).copied().map(Quota::free);
    let is_short = |line: &QuotaKey| {
        needs
            .get(line)
            .is_some_and(|needed| free(line).is_some_and(|free| *needed > free))
    };
    let mut kept = Vec::new();
    for step in steps {
        match of_step(&step) {
            Some((declared, line, needed)) if needed > 0 && is_short(line) => {
                let (all, free) = (
                    needs.get(line).copied().unwrap_or_default(),
                    free(line).unwrap_or_default(),
                );
                let sentence = format!(
                    "it needs {needed} of quota `{line}`, and the plan {all} in all, of which {free} is left: ask Azure for more, or lower or delete something"
                );
                plan.findings
                    .push(Finding::of(FindingKind::QuotaShort, declared, sentence));
            }
            _ => kept.push(step),
        }
    }
    plan.quota = needs
        .iter()
        .map(|(line, needed)| QuotaNeed {
            key: (*line).clone(),
            needed: *needed,
            free: free(line),
        })
        .collect();
    kept
}

/// What a deployment needs of its quota line beyond what it has already.
fn additional(picture: &Picture<'_>, declared: &DeclaredDeployment) -> u64 {
    let has = picture.actual.find(&declared.key).filter(|actual| {
        // What it has of another line does not help; lines are by SKU and family.
        let same_family = declared.model.as_ref().is_none_or(|model| {
            *model == actual.model || picture.catalogue.is_one_family(&model.name, &actual.model.name)
        });
        same_family && actual.sku() == Some(declared.sku)
    });
    let has = has.and_then(|actual| actual.capacity).unwrap_or_default();
    u64::from(declared.capacity.unwrap_or_default().saturating_sub(has))
}

#[cfg(test)]
mod tests;
