//! What gets no requests since an `apply` took it out of routing and did not come to its end, or since somebody did by hand.
//!
//! A plan by itself compares what is declared with what Azure has, which says nothing of routing. Linear in the fleet.

use crate::core::calendar::shown_span;
use crate::core::fleet::apply::{is_due, is_serving, rejoining};
use crate::core::fleet::finding::{Finding, FindingKind};
use crate::core::fleet::journal::Journal;
use crate::core::fleet::plan::{Picture, Plan};

/// Adds to a plan what is out of routing: a finding each, and a step back for what an `apply` took out, that serves, and that the plan
/// does not touch. What the gateway shows as in, as after its restart, is not out; without a gateway the journal is believed.
pub fn add(plan: &mut Plan, journal: &Journal, picture: &Picture<'_>) {
    for drain in journal.drains() {
        let key = &drain.key;
        if picture.routing.get(key).is_some_and(|routed| !routed.is_drained) {
            continue;
        }
        let is_next = is_due(plan, key);
        let ago = shown_span(picture.now_ms.saturating_sub(drain.begun_at_ms));
        let then = match (is_next, is_serving(picture, key)) {
            (true, _) => "the next one goes on from there",
            (false, true) => "the next one puts it back",
            (false, false) => "Azure does not show it as serving, so it stays out",
        };
        let step = rejoining(picture, key, true);
        let sentence =
            format!("it gets no requests: an `apply` took it out of routing {ago} ago and has not put it back; {then}");
        plan.findings.push(Finding {
            kind: FindingKind::LeftOut,
            of: step.of.clone(),
            key: Some(key.clone()),
            sentence,
        });
        if !is_next && is_serving(picture, key) {
            plan.steps.push(step);
        }
    }
    for (key, routed) in picture.routing {
        if routed.is_drained && journal.drained_at_ms(key).is_none() {
            let of = rejoining(picture, key, true).of;
            let sentence = format!(
                "it gets no requests: it is drained at the gateway, by hand or by an `apply` with another store; `emberway drain deployment {of} --undo` puts it back"
            );
            plan.findings.push(Finding {
                kind: FindingKind::LeftOut,
                of,
                key: Some(key.clone()),
                sentence,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fleet::actual::Provisioning;
    use crate::core::fleet::catalogue::{Catalogue, EMBEDDED};
    use crate::core::fleet::plan::{Allowed, Routed, plan};
    use crate::core::fleet::step::{Step, StepKind};
    use crate::core::fleet::toy::{Toy, declared, key, shown};

    /// What is added for `a/one`, by what the journal and the gateway have as out, and whether its model is as declared.
    fn added(by_apply: bool, routed: Option<bool>, is_as_declared: bool, state: Provisioning) -> String {
        let declared = declared(&[("a/one", "1", 10), ("a/two", "1", 10)]);
        let live = shown(if is_as_declared { "1" } else { "2" }, 10, state);
        let toy = Toy::new(
            &declared,
            &[("a/one", live), ("a/two", shown("1", 10, Provisioning::Succeeded))],
            &[],
        );
        let mut journal = Journal::default();
        let step = Step {
            kind: StepKind::Drain,
            key: key("a/one"),
            of: "a/one".to_owned(),
            incarnation_ms: None,
            why: FindingKind::ModelDrift,
            text: String::new(),
        };
        if by_apply {
            journal.begin(&step, toy.now_ms);
        }
        let drained = |is_drained| Routed {
            is_drained,
            ..Routed::default()
        };
        let routing = routed.into_iter().map(|is| (key("a/one"), drained(is))).collect();
        let catalogue = Catalogue::parse(EMBEDDED).expect("the embedded catalogue");
        let picture = Picture {
            declared: &declared,
            actual: &toy.actual(),
            catalogue: &catalogue,
            allowed: Allowed::default(),
            deletable: None,
            routing: &routing,
            now_ms: toy.now_ms,
        };
        let mut plan = plan(&picture);
        add(&mut plan, &journal, &picture);
        let found = plan
            .findings
            .iter()
            .filter(|finding| finding.kind == FindingKind::LeftOut);
        let ends: Vec<&str> = found
            .map(|finding| finding.sentence.rsplit("; ").next().unwrap_or_default())
            .collect();
        let steps: Vec<&str> = plan.steps.iter().map(|step| step.kind.as_str()).collect();
        format!("{} | {}", ends.join(", "), steps.join(" "))
    }

    #[test]
    fn what_is_out_is_told_and_put_back_by_whoever_took_it_out() {
        let fine = Provisioning::Succeeded;
        let by_hand = "`emberway drain deployment a/one --undo` puts it back | ";
        for (by_apply, routed, is_as_declared, state, expected) in [
            (true, Some(true), true, fine, "the next one puts it back | rejoin"),
            (true, None, true, fine, "the next one puts it back | rejoin"),
            (true, Some(false), true, fine, " | "),
            (
                true,
                Some(true),
                false,
                fine,
                "the next one goes on from there | drain replace rejoin",
            ),
            (
                true,
                Some(true),
                true,
                Provisioning::Disabled,
                "Azure does not show it as serving, so it stays out | ",
            ),
            (false, Some(true), true, fine, by_hand),
            (false, Some(false), true, fine, " | "),
        ] {
            assert_eq!(added(by_apply, routed, is_as_declared, state), expected);
        }
    }
}
