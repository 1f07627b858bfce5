//! Plans and their outcomes, for people and for programs.

use serde_json::{Value, json};

use crate::columns::columns;
use crate::core::fleet::apply::{Left, LeftReason};
use crate::core::fleet::finding::Finding;
use crate::core::fleet::plan::{Plan, QuotaNeed};
use crate::core::fleet::step::Step;
use crate::fleet::apply::Applied;

/// Whether something is to be done, or should be and cannot.
pub(super) fn differs(plan: &Plan) -> bool {
    !plan.steps.is_empty() || plan.is_blocked()
}

/// A plan in sections; a sentence where there is nothing in it.
pub(super) fn plan_text(plan: &Plan) -> String {
    let mut sections = Vec::new();
    if !plan.findings.is_empty() {
        sections.push(findings_table(&plan.findings));
    }
    if !plan.steps.is_empty() {
        let row = |step: &Step| vec![step.kind.as_str().to_owned(), step.of.clone(), step.text.clone()];
        let rows = plan.steps.iter().map(row).collect();
        sections.push(columns(&["step", "of", "what"], 3, rows));
    }
    if !plan.quota.is_empty() {
        let row = |need: &QuotaNeed| {
            let free = need
                .free
                .map_or_else(|| "not known".to_owned(), |free| free.to_string());
            vec![need.key.to_string(), need.needed.to_string(), free]
        };
        let rows = plan.quota.iter().map(row).collect();
        sections.push(columns(&["quota", "needed", "free"], 1, rows));
    }
    sections.push(summary(plan));
    sections.join("\n\n")
}

fn summary(plan: &Plan) -> String {
    match (plan.steps.len(), plan.is_blocked()) {
        (0, false) => "nothing is to be done".to_owned(),
        (0, true) => "nothing can be done".to_owned(),
        (1, false) => "1 step is to be done".to_owned(),
        (steps, false) => format!("{steps} steps are to be done"),
        (steps, true) => format!("{steps} of the steps can be done; nothing is deleted before all can be"),
    }
}

fn findings_table(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        vec![
            finding.kind.as_str().to_owned(),
            finding.of.clone(),
            finding.sentence.clone(),
        ]
    };
    columns(&["finding", "of", "what"], 3, findings.iter().map(row).collect())
}

/// The same for programs.
pub(super) fn plan_json(plan: &Plan) -> Value {
    let step = |step: &Step| {
        json!({
            "step": step.kind.as_str(), "of": step.of, "deployment": step.key.to_string(),
            "why": step.why.as_str(), "text": step.text,
        })
    };
    let need = |need: &QuotaNeed| json!({ "quota": need.key.to_string(), "needed": need.needed, "free": need.free });
    json!({
        "differs": differs(plan),
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
        "findings": findings_json(&plan.findings),
        "quota": plan.quota.iter().map(need).collect::<Vec<_>>(),
    })
}

fn findings_json(findings: &[Finding]) -> Vec<Value> {
    let finding = |finding: &Finding| {
        json!({
            "finding": finding.kind.as_str(), "of": finding.of,
            "blocks": finding.kind.blocks(), "sentence": finding.sentence,
        })
    };
    findings.iter().map(finding).collect()
}

/// How a run ended.
pub(super) fn applied_text(applied: &Applied) -> String {
    let mut sections = Vec::new();
    let blocking: Vec<Finding> = applied
        .findings
        .iter()
        .filter(|finding| finding.kind.blocks())
        .cloned()
        .collect();
    if !blocking.is_empty() {
        sections.push(findings_table(&blocking));
    }
    if !applied.left.is_empty() {
        let row = |left: &Left| {
            let step = &left.step;
            vec![
                step.kind.as_str().to_owned(),
                step.of.clone(),
                reason(&left.reason),
                step.text.clone(),
            ]
        };
        let rows = applied.left.iter().map(row).collect();
        sections.push(columns(&["left", "of", "why", "what"], 4, rows));
    }
    for name in &applied.put_back {
        sections.push(format!(
            "{name} is back in routing as it was: it was taken out for what is not done"
        ));
    }
    for key in &applied.still_out {
        sections.push(format!(
            "{key} is still out of routing: Azure does not show it as serving; once it does, apply again puts it back"
        ));
    }
    let steps = match applied.begun {
        1 => "1 step was taken".to_owned(),
        steps => format!("{steps} steps were taken"),
    };
    sections.push(if applied.is_whole() {
        format!("{steps}; nothing more is to be done")
    } else {
        format!("{steps}; what is left is listed above: mend its cause, and apply again")
    });
    sections.join("\n\n")
}

fn reason(reason: &LeftReason) -> String {
    match reason {
        LeftReason::Refused { code } => format!("refused: {code}"),
        other => other.as_str().to_owned(),
    }
}

/// The same for programs.
pub(super) fn applied_json(applied: &Applied) -> Value {
    let left = |left: &Left| {
        let code = match &left.reason {
            LeftReason::Refused { code } => Some(code),
            _ => None,
        };
        json!({ "step": left.step.kind.as_str(), "of": left.step.of, "reason": left.reason.as_str(), "code": code })
    };
    json!({
        "whole": applied.is_whole(),
        "begun": applied.begun,
        "put_back": applied.put_back,
        "still_out": applied.still_out.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "left": applied.left.iter().map(left).collect::<Vec<_>>(),
        "findings": findings_json(&applied.findings),
    })
}
