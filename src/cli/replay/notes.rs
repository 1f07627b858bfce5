//! What must be said with a replay's figures, so that nobody takes them for more than they are.

use super::ReplayArgs;
use super::flags::Count;
use crate::replay::trace::{InUse, Trace};

impl ReplayArgs {
    /// A sentence for each thing to know of the traces and of how they were played.
    pub(super) fn notes(&self, traces: &[impl AsRef<Trace>]) -> Vec<String> {
        let mut notes = Vec::new();
        for trace in traces.iter().map(AsRef::as_ref) {
            notes.extend(self.left_out_note(trace));
            notes.extend(self.provider_note(trace));
            notes.extend(self.share_note(trace));
            notes.extend(refused_note(trace));
            notes.extend(self.limit_note(trace));
            notes.extend(in_use_note(trace));
        }
        notes
    }

    /// Whose requests are left out, where no configuration tells whether it matters.
    fn left_out_note(&self, trace: &Trace) -> Option<String> {
        (self.config.is_none() && !trace.left_out.is_empty()).then(|| {
            format!(
                "of {} the requests of {} are left out; where they use the same deployments, limits are tighter than they look here",
                trace.name,
                trace.left_out.join(", ")
            )
        })
    }

    /// Which provider was taken and why, where no flag says it.
    fn provider_note(&self, trace: &Trace) -> Option<String> {
        if self.provider.is_some() {
            return None;
        }
        let name = &trace.name;
        Some(if self.is_hosted(trace) {
            format!("{name} is played with `--provider hosted`, since it tells the cached tokens of a real fleet")
        } else {
            format!("{name} is played with `--provider engine`, since it does not tell what a real fleet found cached")
        })
    }

    /// What part of all traffic it was.
    fn share_note(&self, trace: &Trace) -> Option<String> {
        let name = &trace.name;
        match trace.share {
            Some(share) if share < 1.0 => Some(format!(
                "{name} is a sample of {} % of all conversations: tokens, load, limits and money are those of all; heads look colder than they are, so hit \
                 ratios are a lower bound, and refusals rather an upper one; trace with `share: 1` for money to act on",
                share * 100.0
            )),
            Some(_) => None,
            None => {
                let matters = trace.is_own() || self.price_input.is_some() || !self.tokens_per_minute.is_empty();
                matters.then(|| {
                    format!("{name} does not tell which share of all conversations it has: share unknown, taken as 1")
                })
            }
        }
    }

    /// That a limit by factor gives further deployments no capacity.
    fn limit_note(&self, trace: &Trace) -> Option<String> {
        let is_by_factor = self.limits().iter().any(|(factor, _)| factor.is_some());
        let differs = |count: &Count| count.of(trace).is_ok_and(|count| count != trace.actual.deployments);
        let is_compared = trace.actual.deployments > 0 && self.deployments.iter().any(differs);
        (is_by_factor && is_compared).then(|| {
            "limits are multiples of a fair share, so more deployments have no more tokens a minute in all, and fewer no less; \
             `--tokens-per-minute N` gives each deployment its own"
                .to_owned()
        })
    }
}

/// How much of the demand was refused in life.
fn refused_note(trace: &Trace) -> Option<String> {
    let refused = trace.actual.refused;
    (refused > 0).then(|| {
        format!(
            "as it was, {refused} of {} requests of {} were refused; they are played too, with the mean answer's length",
            trace.requests.len(),
            trace.name
        )
    })
}

/// That savings hold the model's error, where it cannot be told.
fn in_use_note(trace: &Trace) -> Option<String> {
    let why = match trace.in_use {
        InUse::One(_) => return None,
        InUse::Several => "was placed by several policies",
        InUse::Unknown => "does not tell by which policy it was placed",
    };
    (trace.actual.requests > 0).then(|| {
        format!(
            "{} {why}, so savings are told against what really happened, and the model's error is in them",
            trace.name
        )
    })
}
